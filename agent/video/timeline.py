"""Gives every picture of a file its time, also where the file's own timestamps are broken.

Promises times that start at the file's first timestamp, rise with every picture and never repeat. Pure: the same
file gives the same times. Never guesses where the file's own timestamp is usable.
"""

from __future__ import annotations

import math
from typing import Final

FALLBACK_FPS: Final = 25.0
MIN_FPS: Final = 0.01
MAX_FPS: Final = 1000.0
RESET_S: Final = 1.0
"""Timestamps that fall back further than this began anew, as in recordings glued together."""


def usable_fps(fps: float) -> float:
    """The container's rate, or 25 where it is missing or absurd."""
    return fps if math.isfinite(fps) and MIN_FPS <= fps <= MAX_FPS else FALLBACK_FPS


class Timeline:
    """The times of one file's pictures, in seconds from its beginning."""

    def __init__(self, fps: float) -> None:
        """Start a timeline that spaces pictures by ``1 / fps`` where the file doesn't say."""
        self._period_s = 1.0 / usable_fps(fps)
        self._shift_s = 0.0
        self._last_s: float | None = None

    @property
    def end_s(self) -> float:
        """Where the next picture would stand if the file didn't say: one period after the last."""
        return 0.0 if self._last_s is None else self._last_s + self._period_s

    def place(self, raw_s: float) -> float:
        """The time of the next picture, from its raw timestamp in seconds."""
        if self._last_s is None:
            self._last_s = raw_s if math.isfinite(raw_s) and raw_s > 0 else 0.0
            return self._last_s
        time_s = raw_s + self._shift_s
        if not math.isfinite(time_s):
            time_s = self.end_s
        elif time_s < self._last_s - RESET_S and raw_s > 0:
            self._shift_s = self.end_s - raw_s
            time_s = self.end_s
        elif time_s <= self._last_s:
            time_s = self.end_s
        self._last_s = time_s
        return time_s
