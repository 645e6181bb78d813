"""Opens a source once and says what it delivers: for ``kentongan check --live`` and the installer's page.

Takes a few seconds at most, closes everything again, and turns every failure into a sentence. Never keeps a picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from agent.errors import SourceError
from agent.video.address import Address, Kind, parse_address
from agent.video.capture import Capture, CaptureOptions, open_capture
from agent.video.diagnose import why_no_video
from agent.video.freshness import Freshness, Verdict
from agent.video.timeline import usable_fps

MEASURE_S: Final = 2.0
MAX_FAILED_READS: Final = 20


@dataclass(frozen=True, slots=True)
class Probe:
    """What a source delivers, or why it doesn't.

    Attributes:
        address: The source, without its credentials.
        width_px: Width of its pictures; 0 on failure.
        height_px: Height of its pictures; 0 on failure.
        fps: Pictures per second: measured for cameras, as declared for files; ``None`` where two never came.
        codec: Four letters such as ``h264``; empty when unknown.
        frames: Pictures a file announces; 0 for cameras.
        error: One sentence; empty when all is well.
    """

    address: str
    width_px: int = 0
    height_px: int = 0
    fps: float | None = None
    codec: str = ""
    frames: int = 0
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether pictures come."""
        return not self.error


def probe(address: Address | str | int, options: CaptureOptions | None = None) -> Probe:
    """Open a source, look at its first pictures, and close it."""
    shown = ""
    try:
        known = address if isinstance(address, Address) else parse_address(address)
        shown = known.shown
        capture = open_capture(known, options)
    except SourceError as error:
        return Probe(shown, error=why_no_video(known) if shown and known.kind is Kind.NETWORK else str(error))
    try:
        return _look(known, capture)
    finally:
        capture.close()


def _look(address: Address, capture: Capture) -> Probe:
    if not any(capture.grab() for _ in range(MAX_FAILED_READS)):
        return Probe(address.shown, error=f"{address.shown} opens but sends no picture; look at the camera itself")
    image = capture.retrieve()
    if image is None:
        return Probe(address.shown, error=f"{address.shown} sends pictures that can't be converted; try H.264")
    facts = capture.facts()
    fps = usable_fps(facts.fps) if address.kind is Kind.FILE else _measure_fps(capture)
    return Probe(address.shown, image.shape[1], image.shape[0], fps, facts.codec, facts.frames)


def _measure_fps(capture: Capture) -> float | None:
    """Count the pictures that arrive live, not those that had waited in a buffer."""
    freshness = Freshness()
    end_s = time.monotonic() + MEASURE_S
    first_s: float | None = None
    last_s, count = 0.0, 0
    while time.monotonic() < end_s and capture.grab():
        last_s = time.monotonic()
        if freshness.judge(last_s, capture.pts_s()).verdict is not Verdict.FRESH:
            continue
        first_s = last_s if first_s is None else first_s
        count += 1
    return (count - 1) / (last_s - first_s) if first_s is not None and last_s > first_s else None
