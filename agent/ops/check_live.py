"""What only the network can tell: whether every camera sends pictures and the broker lets this box in.

Opens each source and the broker once, with timeouts, and closes them again. Nothing is published, and the agent's own
connection is not disturbed: another client name is used.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from agent.config.schema import Camera, Config, Secrets
from agent.errors import BrokerError, ConfigError, SourceError
from agent.mqtt.connection import Connection, Timing, Will
from agent.mqtt.credentials import tls_context
from agent.mqtt.topics import box_topic
from agent.ops.findings import Finding, Level
from agent.values import Image
from agent.video.address import Address, Kind, parse_address
from agent.video.capture import CaptureOptions, open_capture
from agent.video.probe import MAX_FAILED_READS, Probe, probe

CONNECT_S: Final = 5.0
_AT_ONCE: Final = 4


def address_of(camera: Camera, secrets: Secrets) -> Address:
    """A camera's address with its login.

    Raises:
        SourceError: The address can mean nothing.
    """
    password = secrets.cameras.get(camera.name)
    return parse_address(
        camera.source, user=camera.login.user, password=None if password is None else password.get_secret_value()
    )


def probe_cameras(cameras: tuple[Camera, ...], secrets: Secrets) -> dict[str, Probe]:
    """What each camera delivers, by its name; a few are asked at a time.

    Raises:
        SourceError: An address can mean nothing.
    """

    def ask(camera: Camera) -> Probe:
        return probe(address_of(camera, secrets), CaptureOptions(transport=camera.transport))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip((camera.name for camera in cameras), pool.map(ask, cameras), strict=True))


def judge_probe(camera: Camera, number: int, seen: Probe) -> list[Finding]:
    """What is wrong with what a camera delivers."""
    path = ("cameras", number, "source")
    if not seen.ok:
        return [Finding(Level.ERROR, path, *_halves(seen.error, "look at the camera and its address"))]
    if seen.fps is not None and seen.fps < min(camera.detect_fps, 8) * 0.95:
        wrong = f"camera {camera.name} sends {seen.fps:.1f} pictures a second, fewer than are to be looked at"
        hint = f"raise its frame rate to at least {camera.detect_fps:g}, or expect low_rate in intervals"
        return [Finding(Level.WARNING, path, wrong, hint)]
    return []


def check_broker(config: Config, secrets: Secrets) -> list[Finding]:
    """Whether the broker lets this box in."""
    password = None if secrets.mqtt is None else secrets.mqtt.get_secret_value()
    # An empty retained will says nothing to anybody, should this connection break.
    will = Will(box_topic(config.device, "reply"), b"")
    try:
        connection = Connection(
            config.mqtt,
            client_id=f"{config.device}-check",
            will=will,
            tls=None if config.mqtt.plaintext else tls_context(config.mqtt.tls),
            password=password,
            timing=Timing(connect_s=CONNECT_S),
        )
    except ConfigError as error:
        return [Finding(Level.ERROR, ("mqtt", "tls"), *_halves(str(error), "correct it"))]
    try:
        connection.open()
    except BrokerError as error:
        return [Finding(Level.ERROR, ("mqtt",), *_halves(str(error), "check the broker"))]
    finally:
        connection.close()
    return []


def grab(camera: Camera, secrets: Secrets) -> Image | None:
    """One picture of a camera to draw on; ``None`` when none can be had."""
    try:
        capture = open_capture(address_of(camera, secrets), CaptureOptions(transport=camera.transport))
    except SourceError:
        return None
    try:
        return capture.retrieve() if any(capture.grab() for _ in range(MAX_FAILED_READS)) else None
    finally:
        capture.close()


def recording(camera: Camera) -> Path | None:
    """The file a camera's video comes from, where it is one and it exists: it can be opened without asking anybody."""
    try:
        address = parse_address(camera.source)
    except SourceError:
        return None
    path = Path(address.location).expanduser()
    return path if address.kind is Kind.FILE and path.is_file() else None


def is_remote(camera: Camera) -> bool:
    """Whether a camera has to be asked: it is no recording."""
    try:
        return parse_address(camera.source).kind is not Kind.FILE
    except SourceError:
        return False


def _halves(sentence: str, otherwise: str) -> tuple[str, str]:
    wrong, _, hint = sentence.partition("; ")
    return wrong, hint or otherwise
