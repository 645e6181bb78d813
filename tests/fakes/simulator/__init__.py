"""A street that never was: exact trajectories seen by an imperfect detector, with exact truth beside it.

scenario = free_flow(seed=7)
line = main_line(scenario)
for at, detections in scenario.frames():
    ...
expected = scenario.truth(line)
"""

from tests.fakes.simulator.camera import PerspectiveCamera
from tests.fakes.simulator.motion import SIZES_M, Actor, Entry, Lane, Path, drive, walk
from tests.fakes.simulator.observe import PERFECT, DetectorErrors, FrameTiming
from tests.fakes.simulator.scenario import PixelLine, Scenario, TrueCrossing, TrueScene

__all__ = [
    "PERFECT",
    "SIZES_M",
    "Actor",
    "DetectorErrors",
    "Entry",
    "FrameTiming",
    "Lane",
    "Path",
    "PerspectiveCamera",
    "PixelLine",
    "Scenario",
    "TrueCrossing",
    "TrueScene",
    "drive",
    "walk",
]
