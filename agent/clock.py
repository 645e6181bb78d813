"""Time as the agent sees it: monotonic inside, UTC on the wire.

Promises that agent time never runs backwards while the process lives, whatever is done to the system clock, and
that every instant says whether the clock behind it could be trusted. Never sleeps and never sets a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    Attributes:
        mono_s: Seconds on a clock that only runs forward; differences are durations.
        utc_s: Seconds since 1970-01-01T00:00:00Z.
        synced: Whether UTC came from a clock known to be set (NTP, PTP, GPS).
        error_ms: Estimated error of ``utc_s`` in milliseconds; ``None`` when unknown.
    """

    mono_s: float
    utc_s: float
    synced: bool = True
    error_ms: float | None = None


class Clock(Protocol):
    """Where a stage gets its time from; tests and replays pass their own."""

    def now(self) -> Instant:
        """Return the present instant."""
        ...
