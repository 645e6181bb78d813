"""Chooses the pictures of a live camera that are worth converting, when more arrive than anybody looks at.

Promises the wanted rate on average, as evenly as the arrivals allow, and never fewer than two pictures a second: the
camera must be seen to live. Pure: the same arrivals give the same choice.
"""

from __future__ import annotations

from typing import Final

LONGEST_PERIOD_S: Final = 0.5
"""However seldom pictures are wanted: well below the silence that means a frozen camera."""
SLACK: Final = 0.25
"""Part of a period that a picture may come early, so that a camera at just the wanted rate loses none to jitter."""


class Pace:
    """Follows one open stream."""

    def __init__(self, max_fps: float | None) -> None:
        """Choose about ``max_fps`` pictures a second; all for ``None``."""
        self._period_s = min(1 / max_fps, LONGEST_PERIOD_S) if max_fps else 0.0
        self._due_s: float | None = None

    def wants(self, arrival_s: float) -> bool:
        """Whether the picture that arrives now is to be used.

        Args:
            arrival_s: Seconds on a monotonic clock, never falling.
        """
        if self._due_s is None:
            self._due_s = arrival_s
        if arrival_s < self._due_s - SLACK * self._period_s:
            return False
        # From the moment it was due, not from its arrival, else every wait for a picture would lower the rate; but at
        # most one period is made up for, so that a gap is followed by no burst.
        self._due_s = max(self._due_s, arrival_s - self._period_s) + self._period_s
        return True
