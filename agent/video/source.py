"""What every source of video promises, whether camera, file or pipeline.

A source hands out frames one at a time and says at any moment how it is. Reading never blocks longer than asked,
and no message of a source holds a password. Never decides what a lost camera means: that is the scene's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from agent.clock import Instant
from agent.values import Frame


class Phase(Enum):
    """How a source is."""

    CONNECTING = "connecting"
    LIVE = "live"
    FROZEN = "frozen"
    LOST = "lost"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class CameraState:
    """How a source is, and the numbers behind it.

    Attributes:
        phase: Connecting (no picture yet), live, frozen (connected, but nothing new comes), lost (no connection; it
            keeps trying), or ended (a file that was read to its end).
        since: Since when that is so; for frozen and lost, the moment of the last good picture if there was one.
        reason: One sentence for a person; empty while all is well.
        source_fps: Pictures per second that arrive, measured; ``None`` before two came, 0 while none come.
        frames: Pictures that arrived since the start, dropped ones included.
        dropped: Pictures that arrived and that nobody got: newer ones replaced them, or they were stale.
        damaged: Times the decoder failed on a picture.
        reconnects: Times the source was opened again after it had been open.
        frame_age_s: Seconds since the last good picture was captured; ``None`` before the first.
        width_px: Of the last picture; ``None`` before the first.
        height_px: Of the last picture; ``None`` before the first.
        read_s: Seconds spent in reading and decoding since the start, waiting for the camera included.
        decode_cpu_s: Seconds of CPU that reading and decoding cost in the thread that does it.
    """

    phase: Phase
    since: Instant
    reason: str = ""
    source_fps: float | None = None
    frames: int = 0
    dropped: int = 0
    damaged: int = 0
    reconnects: int = 0
    frame_age_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    read_s: float = 0.0
    decode_cpu_s: float = 0.0


class Source(Protocol):
    """Something that yields frames of one camera."""

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Hand out the next frame, or ``None`` when there is none within ``timeout_s``.

        Files block for as long as decoding takes, whatever the timeout; ``None`` from one means its end when
        ``state().phase`` is ``ENDED``.

        Raises:
            SourceError: A file turns out to be damaged before its end. Live sources never raise: they reconnect.
        """
        ...

    def state(self) -> CameraState:
        """Say how the source is now."""
        ...

    def close(self) -> None:
        """Stop within a second and give everything back; safe to call twice."""
        ...
