"""Video: cameras, files and pipelines become frames with a capture time.

Owns reconnecting, stalls and the dropping of frames. Never looks at what is in a picture, beyond whether it is new.
"""

from agent.video.address import Address, Kind, parse_address
from agent.video.capture import CaptureOptions
from agent.video.live import LiveCamera, LiveOptions
from agent.video.opening import SourceOptions, open_source
from agent.video.probe import Probe, probe
from agent.video.source import CameraState, Phase, Source

__all__ = [
    "Address",
    "CameraState",
    "CaptureOptions",
    "Kind",
    "LiveCamera",
    "LiveOptions",
    "Phase",
    "Probe",
    "Source",
    "SourceOptions",
    "open_source",
    "parse_address",
    "probe",
]
