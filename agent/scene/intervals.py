"""The intervals of counts and zone reports: on the wall clock, without overlap, without a hole, each with its quality.

A timetable is fed the moments at which frames were looked at and says which intervals are over. It promises that
what it emits lines up end to start, over restarts too, except where the clock was set back by more than an hour:
then the earlier times were wrong and a new series begins. After a start of the machine on a clock that isn't set,
a new series begins too; the time between is told as soon as the clock is set. It never looks at a clock of its own.
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
        watched_s: How long what is reported in it was really looked at; with 0 nothing is known about it but that
            it passed.
    """

    interval: Interval
    quality: Quality
    watched_s: float


class Timetable:
    """The intervals of one length for one camera.

    Args:
        interval_s: Length; divides an hour.
        state: What an earlier :meth:`state` gave, to go on from there.
        machine: An id of this start of the machine: times on a clock that isn't set can be compared only within one.
    """

    def __init__(self, interval_s: int, state: Mapping[str, Any] | None = None, machine: str = "") -> None:
        self._length_s = interval_s
        self._start_s: float | None = None
        self._watched_s = 0.0
        self._frames = 0
        self._stepped_s = 0.0
        self._partial = True
        self._reasons: set[Reason] = {"starting"}
        self._last: Instant | None = None
        self._last_frame: Instant | None = None
        self._machine = machine
        self._from_elsewhere = False  # the series was begun by another start of the machine
        self._synced: bool | None = None
        self._offset_s: float | None = None  # UTC less monotonic time at the last look
        self._due_s: float | None = None  # where what a trusted clock told ends, until it is set again
        self._first_s = 0.0  # where the series began that goes on since, on the clock that isn't set
        self._carried_s = 0.0  # watched before the open interval, for what is reported in it
        if state and state.get("start_s") is not None:
            self._start_s = float(state["start_s"])
            self._watched_s = float(state["watched_s"])
            self._frames = int(state["frames"])
            self._reasons |= set(state["reasons"])
            self._from_elsewhere = state.get("machine") != machine
            self._synced = bool(state.get("synced", True))
            self._offset_s = state.get("offset_s")
            self._due_s = state.get("due_s")
            self._first_s = float(state.get("first_s", self._start_s))
            self._carried_s = float(state.get("carried_s", 0.0))

    def state(self) -> dict[str, Any]:
        """What is needed to go on after a restart, as JSON values."""
        return {
            "start_s": self._start_s,
            "watched_s": round(self._watched_s, 3),
            "frames": self._frames,
            "reasons": sorted(self._reasons, key=_ORDER.__getitem__),
            "machine": self._machine,
            "synced": self._synced is not False,
            **({} if self._synced is not False else self._unset_state()),
            **({"carried_s": round(self._carried_s, 3)} if self._carried_s else {}),
        }

    def _unset_state(self) -> dict[str, Any]:
        """What is needed besides to go on when the clock is set: that may be in the next process."""
        return {
            "offset_s": None if self._offset_s is None else round(self._offset_s, 3),
            "due_s": self._due_s,
            "first_s": self._first_s,
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
        end = _floor_ms(at.utc_s)
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
            self._start_s = self._first_s = self._boundary(at.utc_s)
        if (closed := self._follow_trust(at)) is not None:
            return closed
        why: Reason = "starting" if self._last is None else "overloaded"
        if self._notice_step(at):
            why = "clock_stepped"
        closed = []
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

    def _follow_trust(self, at: Instant) -> list[Closed] | None:
        """Note whether the clock can be trusted; returns what ended by its being set, ``None`` when it was not."""
        was_synced = at.synced if self._synced is None else self._synced
        from_elsewhere, self._from_elsewhere = self._from_elsewhere, False
        offset_s = at.utc_s - at.mono_s
        step_s = 0.0 if self._offset_s is None else offset_s - self._offset_s
        self._synced, self._offset_s = at.synced, offset_s
        if not at.synced:
            self._distrust(at, was_synced=was_synced, from_elsewhere=from_elsewhere)
            return None
        due_s, self._due_s = self._due_s, None
        if was_synced:
            return None
        if from_elsewhere:  # nobody can know when its last intervals really were
            if due_s is not None:
                self._reopen(due_s, "starting")
            return None
        if abs(step_s) <= STEP_S and due_s in (None, self._first_s):
            return None
        return self._clock_is_set(at, step_s, due_s)

    def _distrust(self, at: Instant, *, was_synced: bool, from_elsewhere: bool) -> None:
        """The clock is not set: begin a new series where that of before was on another clock."""
        start_s = self._opened()
        if was_synced:
            self._due_s = self._first_s = start_s
        if not from_elsewhere:
            return
        if self._due_s is not None or start_s - at.utc_s > LONGEST_HOLD_S:
            self._reopen(_floor_ms(at.utc_s), "starting")
        self._first_s = min(self._opened(), at.utc_s)

    def _clock_is_set(self, at: Instant, step_s: float, due_s: float | None) -> list[Closed]:
        """A clock that could not be trusted now can: the open interval is cut, with its times moved to the new clock.

        Records of this start of the machine are moved in the same way when they are sent, so all of them still line
        up. What lies between them and the records of before, on a clock that was trusted, comes last: the open
        interval must take what was counted.
        """
        now_s = _floor_ms(at.utc_s)
        self._last = at
        if due_s is not None and due_s >= now_s:  # told already, by a clock that was ahead: it is waited for
            self._reopen(due_s, "clock_stepped")
            return []
        on_old_clock_s = at.utc_s - step_s
        first_s = round(self._first_s + step_s, 3)
        start_s = self._opened() + step_s if self._opened() <= on_old_clock_s else first_s
        self._start_s = min(max(round(start_s, 3), due_s or start_s), now_s - 0.001)
        self._reasons |= {"clock_stepped"}
        self._partial = True
        closed = [self._close(now_s)]
        if due_s is not None and first_s > due_s:
            closed.extend(self._unseen(due_s, first_s, "clock_stepped" if due_s == self._first_s else "starting"))
        self._open(now_s)
        self._begin_late("clock_stepped")
        return closed

    def _unseen(self, start_s: float, end_s: float, why: Reason) -> list[Closed]:
        """The intervals of a time that doesn't begin or end on their boundaries."""
        head_s = min(end_s, -self._boundary(-start_s))
        tail_s = max(head_s, self._boundary(end_s))
        quality = Quality(valid=False, watched=0.0, reasons=(why,))
        cut = [(start, end) for start, end in ((start_s, head_s), (tail_s, end_s)) if start < end]
        parts = [Closed(Interval(start=start, end=end, partial=True), quality, 0.0) for start, end in cut]
        return sorted([*parts, *self._missed(head_s, tail_s, {why})], key=lambda each: each.interval.start)

    def _reopen(self, start_s: float, why: Reason) -> None:
        """Go on at another time with what the open interval holds."""
        carried_s = self._carried_s + self._watched_s
        self._open(start_s)
        self._carried_s = carried_s
        self._begin_late(why)

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
        self._watched_s = self._carried_s = 0.0
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
        return Closed(
            Interval(start=start_s, end=end_s, partial=self._partial), quality, self._watched_s + self._carried_s
        )


def _floor_ms(utc_s: float) -> float:
    return math.floor(utc_s * 1000) / 1000


def _in_order(reasons: set[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(reasons, key=_ORDER.__getitem__))
