"""The running totals of one source, and a capture that adds its time to them.

One thread writes a tally, others may read it: each number is one attribute and only ever grows. Survives reconnects
and loops, which is why it is no part of the capture itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from agent.values import Image
from agent.video.capture import Capture


@dataclass(slots=True)
class Tally:
    """What a source counted since it was made; the fields mean what they mean in ``CameraState``."""

    frames: int = 0
    dropped: int = 0
    damaged: int = 0
    read_s: float = 0.0
    decode_cpu_s: float = 0.0

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Add the time of what runs inside."""
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.read_s += time.perf_counter() - wall_s
            self.decode_cpu_s += time.thread_time() - cpu_s


class TimedCapture:
    """Reads from a capture and keeps the books."""

    def __init__(self, capture: Capture, tally: Tally) -> None:
        self._capture = capture
        self._tally = tally

    def grab(self) -> bool:
        """Read and decode the next picture."""
        with self._tally.timing():
            return self._capture.grab()

    def retrieve(self) -> Image | None:
        """The grabbed picture as BGR."""
        with self._tally.timing():
            return self._capture.retrieve()

    def pts_s(self) -> float:
        """The grabbed picture's presentation time in seconds."""
        return self._capture.pts_s()

    def close(self) -> None:
        """Give the capture back."""
        self._capture.close()
