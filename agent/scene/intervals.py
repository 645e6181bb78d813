"""The intervals of counts and zone reports: on the wall clock, without overlap, without a hole, each with its quality.

A timetable is fed the moments at which frames were looked at and says which intervals are over. It promises that
what it emits lines up end to start, over restarts too, except where the clock was set back by more than an hour:
then the earlier times were wrong and a new series begins. It never looks at a clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from agent.clock import Instant
from agent.records import Interval, Quality, Reason

LONGEST_GAP_S: Final = 1.1
"""Between two looks further apart than this a vehicle may pass unseen: the time between is not watched."""
NEEDED_FPS: Final = 8.0
"""What tracking in street traffic needs; below it intervals are flagged ``low_rate``."""
LEAST_FPS: Final = 5.0
"""Below this an interval is not valid."""
LEAST_WATCHED: Final = 0.9
"""An interval watched for a smaller share of its time is not valid."""
RATE_TOLERANCE: Final = 0.95
"""A rate this close to the needed one is that rate: frames don't fall evenly into intervals."""
STEP_S: Final = 1.0
"""The wall clock has been set when it differs from the monotonic clock by more than this between two looks."""
LONGEST_HOLD_S: Final = 3600.0
"""A clock set back by no more than this is waited for; by more, and a new series begins."""
MOST_MISSED: Final = 1440
"""Missed intervals that are reported one by one; a longer absence is one long interval on the same boundaries."""
LATENESS_S: Final = 2.0
"""How long past its end an interval waits for the next frame, so that the last gap is split between the two."""

_ORDER: Final[Mapping[Reason, int]] = {reason: place for place, reason in enumerate(get_args(Reason))}
_SPOILING: Final[frozenset[Reason]] = frozenset({"dark", "covered", "moved", "model_failed"})


@dataclass(frozen=True, slots=True)
class Closed:
    """One interval that is over.

    Attributes:
        interval: From when to when.
        quality: How far to trust it.
        watched_s: How long it was really looked at; with 0 nothing is known about it but that it passed.
    """

    interval: Interval
    quality: Quality
    watched_s: float


class Timetable:
    """The intervals of one length for one camera.

    Args:
        interval_s: Length; divides an hour.
        state: What an earlier :meth:`state` gave, to go on from there.
    """

    def __init__(self, interval_s: int, state: Mapping[str, Any] | None = None) -> None:
        self._length_s = interval_s
        self._start_s: float | None = None
        self._watched_s = 0.0
        self._frames = 0
        self._stepped_s = 0.0
        self._partial = True
        self._reasons: set[Reason] = {"starting"}
        self._last: Instant | None = None
        self._last_frame: Instant | None = None
        if state and state.get("start_s") is not None:
            self._start_s = float(state["start_s"])
            self._watched_s = float(state["watched_s"])
            self._frames = int(state["frames"])
            self._reasons |= set(state["reasons"])

    def state(self) -> dict[str, Any]:
        """What is needed to go on after a restart, as JSON values."""
        return {
            "start_s": self._start_s,
            "watched_s": self._watched_s,
            "frames": self._frames,
            "reasons": sorted(self._reasons, key=_ORDER.__getitem__),
        }

    def note(self, reason: Reason) -> None:
        """Say what spoils the interval that is open."""
        self._reasons.add(reason)

    def see(self, at: Instant) -> list[Closed]:
        """A frame was looked at; returns the intervals that ended before it, oldest first."""
        closed = self._advance(at, at.utc_s)
        self._credit(at)
        self._frames += 1
        self._last_frame = at
        return closed

    def tick(self, at: Instant) -> list[Closed]:
        """Time passed without a frame; returns the intervals that ended a moment before, oldest first."""
        return self._advance(at, at.utc_s - LATENESS_S)

    def cut(self, at: Instant) -> list[Closed]:
        """The agent stops: everything up to now, the open interval cut short."""
        closed = self._advance(at, at.utc_s)
        start = self._opened()
        end = math.floor(at.utc_s * 1000) / 1000
        if end - start < 0.001:
            return closed
        self._reasons.add("stopping")
        self._partial = True
        closed.append(self._close(end))
        self._open(end)
        self._reasons.add("starting")
        self._partial = True
        return closed

    def _opened(self) -> float:
        if self._start_s is None:
            raise RuntimeError("a timetable closes nothing before it was told the time")
        return self._start_s

    def _advance(self, at: Instant, until_s: float) -> list[Closed]:
        if self._start_s is None:
            self._start_s = self._boundary(at.utc_s)
        if self._last is not None and at.synced and not self._last.synced and abs(self._step(at)) > STEP_S:
            return [self._clock_is_set(at)]
        why: Reason = "starting" if self._last is None else "overloaded"
        if self._notice_step(at):
            why = "clock_stepped"
        closed: list[Closed] = []
        if self._start_s - at.utc_s > LONGEST_HOLD_S:
            closed.append(self._close(self._end()))
            self._open(self._boundary(at.utc_s))
            self._begin_late("clock_stepped")
        elif until_s >= self._end():
            closed.extend(self._catch_up(at, until_s, why))
        if not at.synced:
            self._reasons.add("clock_unset")
        self._last = at
        return closed

    def _step(self, at: Instant) -> float:
        """How far the wall clock was set forward since the last look."""
        last = self._last or at
        return (at.utc_s - last.utc_s) - (at.mono_s - last.mono_s)

    def _clock_is_set(self, at: Instant) -> Closed:
        """A clock that could not be trusted now can: the open interval is cut, with its times moved to the new clock.

        Records of before are moved in the same way when they are sent, so all of them still line up.
        """
        now_s = math.floor(at.utc_s * 1000) / 1000
        self._start_s = min(self._opened() + self._step(at), now_s - 0.001)
        self._reasons |= {"clock_stepped"}
        self._partial = True
        closed = self._close(now_s)
        self._open(now_s)
        self._begin_late("clock_stepped")
        self._last = at
        return closed

    def _notice_step(self, at: Instant) -> bool:
        if self._last is None:
            return self._opened() > at.utc_s and self._note_step(self._opened() - at.utc_s)
        step_s = self._step(at)
        return abs(step_s) > STEP_S and self._note_step(abs(step_s))

    def _note_step(self, step_s: float) -> bool:
        self._stepped_s += step_s
        self._reasons.add("clock_stepped")
        return True

    def _catch_up(self, at: Instant, until_s: float, why: Reason) -> list[Closed]:
        """Close the open interval and whatever passed unseen after it."""
        self._credit(at)
        standing = self._reasons - {"starting", "stopping", "clock_unset"}
        closed = [self._close(self._end())]
        start, current = self._end(), self._boundary(until_s)
        passed_unseen = start < current
        if passed_unseen:
            closed.extend(self._missed(start, current, standing or {why}))
        self._open(current)
        if passed_unseen:
            self._begin_late(why)
        return closed

    def _begin_late(self, why: Reason) -> None:
        self._partial = True
        self._reasons.add(why)
        self._last_frame = None

    def _missed(self, start_s: float, end_s: float, reasons: set[Reason]) -> list[Closed]:
        count = round((end_s - start_s) / self._length_s)
        length = self._length_s if count <= MOST_MISSED else end_s - start_s
        quality = Quality(valid=False, watched=0.0, reasons=_in_order(reasons))
        starts = [start_s + index * length for index in range(count if count <= MOST_MISSED else 1)]
        return [Closed(Interval(start=start, end=start + length), quality, 0.0) for start in starts]

    def _boundary(self, utc_s: float) -> float:
        return math.floor(utc_s / self._length_s) * float(self._length_s)

    def _end(self) -> float:
        return self._boundary(self._opened()) + self._length_s

    def _open(self, start_s: float) -> None:
        self._start_s = start_s
        self._watched_s = 0.0
        self._frames = 0
        self._stepped_s = 0.0
        self._partial = False
        self._reasons = set()

    def _credit(self, at: Instant) -> None:
        """Add the time since the last frame, as far as it lies in the open interval."""
        if self._last_frame is None:
            return
        gap_s = at.mono_s - self._last_frame.mono_s
        if gap_s > LONGEST_GAP_S:
            return
        start, end = self._opened(), self._end()
        if at.utc_s < start:  # the clock was set back a little: the interval goes on until it is caught up
            self._watched_s += gap_s
            return
        self._watched_s += max(0.0, min(at.utc_s, end) - max(at.utc_s - gap_s, start))

    def _close(self, end_s: float) -> Closed:
        start_s = self._opened()
        watched = min(1.0, self._watched_s / (end_s - start_s))
        fps = self._frames / self._watched_s if self._watched_s > 0 else None
        reasons = set(self._reasons)
        if fps is not None and fps < NEEDED_FPS * RATE_TOLERANCE:
            reasons.add("low_rate")
        valid = (
            watched >= LEAST_WATCHED
            and fps is not None
            and fps >= LEAST_FPS * RATE_TOLERANCE
            and self._stepped_s <= (1 - LEAST_WATCHED) * self._length_s
            and not reasons & _SPOILING
        )
        quality = Quality(
            valid=valid,
            watched=round(watched, 4),
            detect_fps=None if fps is None else round(fps, 2),
            reasons=_in_order(reasons),
        )
        return Closed(Interval(start=start_s, end=end_s, partial=self._partial), quality, self._watched_s)


def _in_order(reasons: set[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(reasons, key=_ORDER.__getitem__))
