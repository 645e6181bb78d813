"""Time as the agent sees it: monotonic inside, UTC on the wire.

Promises that, once the clock was known to be set, agent time never runs backwards, whatever is done to the system
clock, and that every instant says whether the clock behind it could be trusted. Never sleeps and never sets a clock.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What the machine's clocks say at one moment.

    Attributes:
        mono_s: The clock that only runs forward.
        utc_s: The clock that people and NTP can set.
        synced: The kernel believes that clock to be set.
        error_ms: The kernel's bound on its error; ``None`` when it has none.
    """

    mono_s: float
    utc_s: float
    synced: bool
    error_ms: float | None = None


class ClockReader(Protocol):
    """The machine's clocks; tests pass their own."""

    def read(self) -> Reading:
        """Read them all, as nearly at once as can be."""
        ...


_STEP_S: Final = 0.5  # NTP slews at most 500 ppm: between two readings a larger change is somebody setting the clock
_BELIEVE_AFTER_S: Final = 900.0  # a step that NTP has stood by for so long was right
_DRIFT_PPM: Final = 500  # by which the kernel, too, lets its error bound grow (MAXFREQ in include/linux/timex.h)


class SystemClock:
    """The machine's clock, believed only while there is reason to.

    Time is counted on the monotonic clock from an anchor in UTC. While the kernel says that its clock is set, the
    anchor follows it; when it is set for the first time, the anchor moves there. A clock that is set to something
    else while the agent runs and trusted it is not followed: time goes on from the old anchor, marked as not synced,
    until the clock comes back or NTP has stood by the new time for a quarter of an hour. Once the clock has been
    trusted, time never runs backwards. Safe to share between threads.

    Args:
        reader: The machine's clocks.
        not_before_s: UTC seconds before which the present can't be, such as the newest stored record.
    """

    def __init__(self, reader: ClockReader | None = None, *, not_before_s: float | None = None) -> None:
        self._reader = reader or KernelClocks()
        self._mutex = threading.Lock()
        first = self._reader.read()
        self._offset_s = first.utc_s - first.mono_s
        self._is_trusted = False
        self._trusted_at_s = first.mono_s
        self._error_ms: float | None = None
        self._newest_s = not_before_s if not_before_s is not None else 0.0
        self._stepped_to_s: float | None = None
        self._stepped_at_s = 0.0
        self._problem: str | None = None

    def now(self) -> Instant:
        """Return the present instant."""
        with self._mutex:
            reading = self._reader.read()
            self._judge(reading)
            utc_s = reading.mono_s + self._offset_s
            if self._error_ms is not None:  # before the clock was ever set, its time may be anything and is let go
                utc_s = self._newest_s = max(utc_s, self._newest_s)
            return Instant(reading.mono_s, utc_s, self._is_trusted, self._error_at(reading.mono_s))

    def problem(self) -> str | None:
        """One sentence on why the clock isn't trusted, as of the last :meth:`now`; ``None`` when it is."""
        with self._mutex:
            return self._problem

    def _judge(self, reading: Reading) -> None:
        offset_s = reading.utc_s - reading.mono_s
        is_early = reading.utc_s < self._newest_s - _STEP_S
        if not reading.synced:
            self._doubt("the machine's clock is not set (no NTP); times may be wrong until it is")
        elif is_early:
            self._doubt("the machine's clock was set back and is not believed; check its time source")
        elif self._error_ms is None or abs(offset_s - self._offset_s) <= _STEP_S or self._has_stood(reading, offset_s):
            self._trust(reading, offset_s)
        else:
            self._doubt("the machine's clock jumped and is not believed yet; check its time source")

    def _trust(self, reading: Reading, offset_s: float) -> None:
        self._offset_s = offset_s
        self._is_trusted = True
        self._trusted_at_s = reading.mono_s
        self._error_ms = reading.error_ms or 0.0
        self._stepped_to_s = None
        self._problem = None

    def _doubt(self, why: str) -> None:
        self._is_trusted = False
        self._problem = why

    def _has_stood(self, reading: Reading, offset_s: float) -> bool:
        """Whether NTP has stood by a step for long enough."""
        if self._stepped_to_s is None or abs(offset_s - self._stepped_to_s) > _STEP_S:
            self._stepped_to_s, self._stepped_at_s = offset_s, reading.mono_s
        return reading.mono_s - self._stepped_at_s >= _BELIEVE_AFTER_S

    def _error_at(self, mono_s: float) -> float | None:
        """The error when the clock was last trusted, and what the crystal may have added since."""
        if self._error_ms is None:
            return None
        return round(self._error_ms + (mono_s - self._trusted_at_s) * _DRIFT_PPM / 1000, 3)


class _Timex(ctypes.Structure):
    """The head of ``struct timex`` (adjtimex(2)); the rest is room the kernel may write to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


class KernelClocks:
    """Linux's clocks, and what its NTP discipline says of them (adjtimex(2), which reading needs no rights)."""

    _STA_UNSYNC: Final = 0x0040
    _TIME_ERROR: Final = 5

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def read(self) -> Reading:
        """Read them all."""
        timex = _Timex()
        state = self._libc.adjtimex(ctypes.byref(timex))
        is_synced = 0 <= state != self._TIME_ERROR and not timex.status & self._STA_UNSYNC
        return Reading(
            mono_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            utc_s=time.time(),
            synced=is_synced,
            error_ms=timex.maxerror / 1000 if is_synced else None,
        )


def machine_boot(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """An id of this start of the machine: monotonic times can be compared only within one.

    Where the kernel tells none, an id nobody else has: then no time is ever compared.
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return os.urandom(16).hex()
