"""Tells a picture that is new from one that waited in a buffer.

Compares how a stream's own timestamps advance with how its pictures arrive. Right after opening, and after a
freeze, pictures come in a burst: those are old and are passed over until the burst ends. Pure: same arrivals, same
verdicts. Never trusts a stream's clock for long, because many cameras' clocks are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

MAX_LAG_S: Final = 1.0
"""Pictures that lag more than this behind the best one are stale."""
GAP_S: Final = 1.0
"""Silence that is this much longer than the timestamps explain is a freeze."""
SETTLE_S: Final = 3.0
"""A burst after opening is over by then, whatever the timestamps say."""
CATCH_UP_S: Final = 3.0
"""A stream that is still stale so long after a freeze won't catch up by itself."""
BURST: Final = 0.8
"""Pictures that arrive in less than this part of their own spacing come out of a buffer."""
JUMP_S: Final = 10.0
"""Timestamps that jump this far ahead of the arrivals were set anew by the sender."""
NO_CLOCK_WAIT_S: Final = 0.02
"""Without timestamps, a picture that had to be waited for so long was in no buffer."""
DRIFT: Final = 2e-4
"""How much the sender's clock may run slower than ours: two crystals of 100 ppm each, in opposite directions."""


class Verdict(Enum):
    """What to do with a picture."""

    FRESH = "fresh"
    STALE = "stale"
    HOPELESS = "hopeless"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a picture is worth.

    Attributes:
        verdict: Use it, pass over it, or open the stream again because it won't catch up.
        lag_s: How long ago it was captured, compared with the promptest picture lately; 0 or more.
    """

    verdict: Verdict
    lag_s: float


class Freshness:
    """Judges the pictures of one open stream, in the order they arrive."""

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None
        self._offset_s = 0.0
        self._usual_wait_s = 0.0
        self._draining_since_s: float | None = None
        self._behind_since_s: float | None = None

    def judge(self, arrival_s: float, pts_s: float) -> Judgement:
        """Judge the next picture.

        Args:
            arrival_s: When it was read, on a monotonic clock.
            pts_s: Its presentation time as the stream gives it; a stream without any gives the same number always.
        """
        if self._last is None:
            return self._start_over(arrival_s, pts_s)
        waited_s, advanced_s = arrival_s - self._last[0], pts_s - self._last[1]
        if advanced_s < 0 or advanced_s > waited_s + JUMP_S:
            return self._start_over(arrival_s, pts_s)
        self._last = (arrival_s, pts_s)
        if self._draining_since_s is not None:
            return self._drain(self._draining_since_s, arrival_s, pts_s, waited_s, advanced_s)
        if advanced_s == 0:  # a stream without a clock: only the burst after a freeze can be told
            return self._without_clock(arrival_s, pts_s, waited_s)
        return self._follow(arrival_s, pts_s, waited_s, advanced_s)

    def _start_over(self, arrival_s: float, pts_s: float) -> Judgement:
        self._last = (arrival_s, pts_s)
        self._draining_since_s = arrival_s
        self._behind_since_s = None
        return Judgement(Verdict.STALE, 0.0)

    def _drain(self, since_s: float, arrival_s: float, pts_s: float, waited_s: float, advanced_s: float) -> Judgement:
        expected_s = BURST * advanced_s if advanced_s > 0 else NO_CLOCK_WAIT_S
        if waited_s < expected_s and arrival_s - since_s < SETTLE_S:
            return Judgement(Verdict.STALE, 0.0)
        self._draining_since_s = None
        self._usual_wait_s = waited_s
        self._offset_s = arrival_s - pts_s
        return Judgement(Verdict.FRESH, 0.0)

    def _without_clock(self, arrival_s: float, pts_s: float, waited_s: float) -> Judgement:
        self._offset_s = arrival_s - pts_s
        if waited_s >= max(GAP_S, 3 * self._usual_wait_s):
            return self._start_over(arrival_s, pts_s)
        self._usual_wait_s = waited_s
        return Judgement(Verdict.FRESH, 0.0)

    def _follow(self, arrival_s: float, pts_s: float, waited_s: float, advanced_s: float) -> Judgement:
        self._offset_s = min(self._offset_s + DRIFT * waited_s, arrival_s - pts_s)
        lag_s = arrival_s - pts_s - self._offset_s
        if waited_s - advanced_s >= GAP_S:
            self._behind_since_s = arrival_s
        if lag_s <= MAX_LAG_S:
            self._behind_since_s = None
            return Judgement(Verdict.FRESH, lag_s)
        if self._behind_since_s is None:
            # It fell behind little by little: not a freeze, but a sender whose clock runs at the wrong rate.
            self._offset_s = arrival_s - pts_s
            return Judgement(Verdict.FRESH, 0.0)
        hopeless = arrival_s - self._behind_since_s >= CATCH_UP_S
        return Judgement(Verdict.HOPELESS if hopeless else Verdict.STALE, lag_s)
