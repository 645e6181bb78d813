"""A cap on bandwidth: says how long to wait so that bytes flow no faster than allowed.

Pure arithmetic over the times it is told. Never sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """A bucket that fills at the allowed rate and holds at most one second's worth.

    Attributes:
        bytes_per_s: The cap.
    """

    bytes_per_s: float
    _debt_bytes: float = 0
    _at_s: float | None = None

    def wait_s(self, spent_bytes: int, now_s: float) -> float:
        """Account for bytes that just arrived, and say how many seconds to wait before asking for more."""
        if self._at_s is not None:
            self._debt_bytes = max(-self.bytes_per_s, self._debt_bytes - (now_s - self._at_s) * self.bytes_per_s)
        self._at_s = now_s
        self._debt_bytes += spent_bytes
        return max(0.0, self._debt_bytes / self.bytes_per_s)
