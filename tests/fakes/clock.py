"""A clock that tests wind by hand.

Promises that time moves only when told to. Never sleeps and never looks at the machine's clock.
"""

from __future__ import annotations

import threading

from agent.clock import Instant

START_UTC_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z, a whole minute, hour and day
START_MONO_S = 1_000.0


class ManualClock:
    """A :class:`agent.clock.Clock` that stands still until somebody advances it; safe to share between threads."""

    def __init__(
        self,
        utc_s: float = START_UTC_S,
        mono_s: float = START_MONO_S,
        *,
        synced: bool = True,
        error_ms: float | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._now = Instant(mono_s=mono_s, utc_s=utc_s, synced=synced, error_ms=error_ms)

    def now(self) -> Instant:
        """Return the instant the hands show."""
        with self._lock:
            return self._now

    def advance(self, seconds_s: float) -> Instant:
        """Let time pass on both clocks, and return the new instant."""
        if seconds_s < 0:
            message = "time runs forward: use step_utc to set the wall clock back"
            raise ValueError(message)
        with self._lock:
            old = self._now
            self._now = Instant(old.mono_s + seconds_s, old.utc_s + seconds_s, old.synced, old.error_ms)
            return self._now

    def step_utc(self, seconds_s: float) -> Instant:
        """Set the wall clock forward or back, as a person or NTP would; the monotonic clock doesn't notice."""
        with self._lock:
            old = self._now
            self._now = Instant(old.mono_s, old.utc_s + seconds_s, old.synced, old.error_ms)
            return self._now

    def set_synced(self, *, synced: bool, error_ms: float | None = None) -> Instant:
        """Say whether the wall clock can be trusted from now on."""
        with self._lock:
            old = self._now
            self._now = Instant(old.mono_s, old.utc_s, synced, error_ms)
            return self._now
