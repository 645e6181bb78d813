"""Counting lines: one record per line, direction and interval.

A crossing is counted in the interval in which it became certain, by the class its track is voted to be when that
interval ends. The cumulative counts never reset; they and what the open interval holds survive a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from agent.config.schema import Line
from agent.records import Body, ClassName, CountBody, Direction, Speed
from agent.scene.crossing import Crossing, CrossingWatch
from agent.scene.geometry import Array, Mask, cross
from agent.scene.intervals import LONGEST_GAP_S, Closed
from agent.scene.pcu import PcuTable
from agent.scene.roster import Roster, Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.speed import Pace
from agent.values import CLASS_NAMES, RoadUser

DIRECTIONS: Final[Mapping[int, Direction]] = {1: "a_to_b", -1: "b_to_a"}
_WAYS: Final = tuple(DIRECTIONS.values())
FOOTPRINT: Final = 0.4
"""The part of a box, from its lower edge, that stands for the ground a vehicle covers."""
_ABSENT_LIMIT: Final = 64
"""So many lines that are not drawn now keep their totals; who was gone for longest is forgotten."""
_ABSENT: Final = "absent"
LENGTH_M: Final[Mapping[RoadUser, float]] = {
    RoadUser.PERSON: 0.5,
    RoadUser.BICYCLE: 1.8,
    RoadUser.MOTORCYCLE: 2.0,
    RoadUser.CAR: 4.5,
    RoadUser.BUS: 12.0,
    RoadUser.TRUCK: 9.0,
    RoadUser.OTHER: 3.0,
}
"""How long a vehicle is taken to be when the time until its rear has passed is worked out."""


@dataclass(slots=True)
class _Tally:
    """One direction of one line: what the open interval holds, and what goes on over intervals."""

    cumulative: int = 0
    live: list[int] = field(default_factory=list)  # slots whose tracks live: their class may still be voted over
    settled: Counter[str] = field(default_factory=Counter)
    live_kmh: list[tuple[int, float]] = field(default_factory=list)  # by slot, as above
    settled_kmh: list[tuple[str, float]] = field(default_factory=list)
    headways_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    occupied_s: float = 0.0
    last_s: float | None = None
    last_passage_s: float | None = None

    def by_class(self, roster: Roster) -> Counter[str]:
        return self.settled + Counter(CLASS_NAMES[roster.class_of(slot)] for slot in self.live)

    def speeds_kmh(self, roster: Roster, counts: Mapping[ClassName, int]) -> list[float]:
        """Of those that are counted: a car's speed is none of the trucks', however late it was voted to be a car."""
        live = [(CLASS_NAMES[roster.class_of(slot)], kmh) for slot, kmh in self.live_kmh]
        return [kmh for name, kmh in (*self.settled_kmh, *live) if name in counts]

    def settle(self, gone: set[int], roster: Roster) -> None:
        """The class of those who are gone is what it was voted to be at last."""
        self.settled.update(CLASS_NAMES[roster.class_of(slot)] for slot in self.live if slot in gone)
        self.settled_kmh += [(CLASS_NAMES[roster.class_of(slot)], kmh) for slot, kmh in self.live_kmh if slot in gone]
        self.live = [slot for slot in self.live if slot not in gone]
        self.live_kmh = [(slot, kmh) for slot, kmh in self.live_kmh if slot not in gone]

    def begin(self) -> None:
        self.live, self.settled = [], Counter()
        self.live_kmh, self.settled_kmh, self.headways_s, self.gaps_s = [], [], [], []
        self.occupied_s = 0.0


class Lines:
    """All counting lines of one camera.

    Args:
        setting: Where they are.
        pace: Speeds over the ground; ``None`` without calibration.
        tables: The table of PCU factors of each line, by its name.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(
        self, setting: Setting, *, pace: Pace | None, tables: Mapping[str, PcuTable], state: Mapping[str, Any]
    ) -> None:
        self._setting = setting
        self._lines = setting.camera.lines
        self._pace = pace
        self._tables = tables
        self._tallies = {(line.name, way): _Tally() for line in self._lines for way in DIRECTIONS}
        self._size: tuple[int, int] | None = None
        self._ends = np.zeros((0, 2, 2))
        self._watch = CrossingWatch(self._ends)
        self._roster = Roster()
        self._unmeasured: list[tuple[_Tally, Crossing]] = []
        self._wanted = np.array(
            [[line.classes is None or name in line.classes for name in CLASS_NAMES] for line in self._lines], np.bool_
        ).reshape(len(self._lines), len(CLASS_NAMES))
        for (name, way), tally in self._tallies.items():
            kept = as_state(as_state(state.get(name)).get(DIRECTIONS[way]))
            tally.cumulative = int(kept.get("cumulative", 0))
            tally.settled = Counter({str(key): int(value) for key, value in as_state(kept.get("open")).items()})
            tally.occupied_s = float(kept.get("occupied_s", 0.0))
        self._absent = _absent(state, {line.name for line in self._lines})

    def state(self) -> State:
        """Cumulative counts and the open interval, by line and direction; of lines not drawn now the counts alone."""
        kept: State = {name: {**totals, _ABSENT: rank} for rank, (name, totals) in enumerate(self._absent.items())}
        for (name, way), tally in self._tallies.items():
            kept.setdefault(name, {})[DIRECTIONS[way]] = {
                "cumulative": tally.cumulative,
                "open": dict(tally.by_class(self._roster)),
                "occupied_s": tally.occupied_s,
            }
        return kept

    def crossed(self) -> dict[tuple[str, Direction], int]:
        """How many of the classes it counts crossed each line in each direction, those of the open interval too."""
        totals = {}
        for line in self._lines:
            for way in DIRECTIONS:
                tally = self._tallies[line.name, way]
                found = tally.by_class(self._roster)
                counted = sum(found[name] for name in _ordered(line.classes))
                totals[line.name, DIRECTIONS[way]] = tally.cumulative + counted
        return totals

    def step(self, moment: Moment) -> list[Body]:
        """Report the intervals that ended, then count what crosses."""
        bodies: list[Body] = []
        for line in self._lines:
            for closed in moment.closed.get(line.interval_s, ()):
                bodies.extend(self._report(line, way, closed) for way in DIRECTIONS)
        if moment.sight is not None and self._lines:
            self._see(moment.sight)
        return bodies

    def _see(self, sight: Sight) -> None:
        self._roster = sight.roster
        if self._pace is not None:
            self._pace.see(sight)
        if sight.gap_s > LONGEST_GAP_S:  # somebody may have passed unseen: no headway spans it
            self._measure(self._unmeasured)
            for tally in self._tallies.values():
                tally.last_s = None
        if sight.size != self._size:
            self._size = sight.size
            self._ends = np.stack([self._setting.pixels(line.points, sight.size) for line in self._lines])
            self._watch = CrossingWatch(self._ends)
        for crossing in self._watch.see(sight):
            self._count(crossing)
        self._occupy(sight)
        gone = set(sight.gone.tolist())
        self._measure([one for one in self._unmeasured if self._told(one[1], sight.at.mono_s) or one[1].slot in gone])
        if gone:
            for tally in self._tallies.values():
                tally.settle(gone, sight.roster)

    def _count(self, crossing: Crossing) -> None:
        tally = self._tallies[self._lines[crossing.line].name, crossing.toward]
        tally.live.append(crossing.slot)
        self._unmeasured.append((tally, crossing))

    def _told(self, crossing: Crossing, now_s: float) -> bool:
        """Whether all is known that a crossing's speed is told by: as much of the way after it as before."""
        return self._pace is None or self._pace.told(self._roster, crossing.slot, crossing.mono_s, now_s)

    def _measure(self, ready: list[tuple[_Tally, Crossing]]) -> None:
        """Note speeds, headways and gaps of some of those who crossed, in the order of their crossings."""
        self._unmeasured = [one for one in self._unmeasured if one not in ready]
        for tally, crossing in sorted(ready, key=lambda one: one[1].mono_s):
            speed_ms = self._pace.at_crossing(self._roster, crossing.slot, crossing.mono_s) if self._pace else None
            if speed_ms is not None:
                tally.live_kmh.append((crossing.slot, speed_ms * 3.6))
            category = self._roster.class_of(crossing.slot)
            if self._wanted[crossing.line, category]:
                length_m = LENGTH_M[RoadUser(category)]
                self._follow(tally, crossing.mono_s, None if not speed_ms else length_m / speed_ms)

    @staticmethod
    def _follow(tally: _Tally, now_s: float, passage_s: float | None) -> None:
        """Headway is front to front, the gap rear to front; crossings become certain a little out of order."""
        if tally.last_s is not None and now_s > tally.last_s:
            headway_s = now_s - tally.last_s
            tally.headways_s.append(headway_s)
            if tally.last_passage_s is not None:
                tally.gaps_s.append(max(0.0, headway_s - tally.last_passage_s))
        if tally.last_s is None or now_s > tally.last_s:
            tally.last_s, tally.last_passage_s = now_s, passage_s

    def _occupy(self, sight: Sight) -> None:
        """Add the time since the sight before to every line and direction that somebody stands over."""
        if not len(sight) or not 0 < sight.gap_s <= LONGEST_GAP_S:
            return
        over = footprints_over(sight.boxes, self._ends) & self._wanted[:, sight.classes].T
        if not over.any():
            return
        toward = self._watch.toward(sight)
        for way in DIRECTIONS:
            for index in ((over & (toward == way)).any(axis=0)).nonzero()[0].tolist():
                self._tallies[self._lines[index].name, way].occupied_s += sight.gap_s

    def _report(self, line: Line, way: int, closed: Closed) -> CountBody:
        tally = self._tallies[line.name, way]
        self._measure([one for one in self._unmeasured if one[0] is tally])
        found = tally.by_class(self._roster)
        counts: dict[ClassName, int] = {name: found[name] for name in _ordered(line.classes)}
        volume = sum(counts.values())
        tally.cumulative += volume
        if closed.watched_s <= 0:
            tally.begin()
            tally.last_s = None
            return CountBody(
                line=line.name,
                direction=DIRECTIONS[way],
                interval=closed.interval,
                cumulative=tally.cumulative,
                quality=closed.quality,
            )
        body = CountBody(
            line=line.name,
            direction=DIRECTIONS[way],
            interval=closed.interval,
            by_class=counts,
            volume=volume,
            pcu=self._tables[line.name].pcu(counts),
            occupancy=round(min(1.0, tally.occupied_s / closed.watched_s), 4),
            speed_kmh=_speed(tally.speeds_kmh(self._roster, counts)),
            headway_s=_mean(tally.headways_s),
            gap_s=_mean(tally.gaps_s),
            cumulative=tally.cumulative,
            quality=closed.quality,
        )
        tally.begin()
        return body


def _absent(state: Mapping[str, Any], drawn: Iterable[str]) -> dict[str, State]:
    """The totals of lines that are not drawn now, by name, the longest gone first: a line may come back."""
    gone = {name: as_state(line) for name, line in state.items() if name not in drawn}
    since = sorted(gone, key=lambda name: float(gone[name].get(_ABSENT, _ABSENT_LIMIT)))
    return {
        name: {way: {"cumulative": int(as_state(gone[name].get(way)).get("cumulative", 0))} for way in _WAYS}
        for name in since[-_ABSENT_LIMIT:]
    }


def footprints_over(boxes: Array, lines: Array) -> Mask:
    """Whose lower part, where the wheels are, lies over which line.

    Two convex shapes are apart exactly when they are apart along one of their edges' normals (separating axes).

    Args:
        boxes: float64, shape (n, 4).
        lines: float64, shape (m, 2, 2).

    Returns:
        bool, shape (n, m).
    """
    left, right, bottom = boxes[:, 0, np.newaxis], boxes[:, 2, np.newaxis], boxes[:, 3, np.newaxis]
    top = bottom - FOOTPRINT * (bottom - boxes[:, 1, np.newaxis])
    low, high = lines.min(axis=1), lines.max(axis=1)
    over: Mask = (left <= high[:, 0]) & (right >= low[:, 0]) & (top <= high[:, 1]) & (bottom >= low[:, 1])
    row, line = np.nonzero(over)
    way = lines[line, 1] - lines[line, 0]
    corners = [np.stack([x[row, 0], y[row, 0]], axis=1) for x in (left, right) for y in (top, bottom)]
    sides = np.stack([cross(way, corner - lines[line, 0]) for corner in corners])
    over[row, line] = (sides.min(axis=0) <= 0) & (sides.max(axis=0) >= 0)
    return over


def _ordered(classes: tuple[ClassName, ...] | None) -> tuple[ClassName, ...]:
    """The classes a line counts, in the order of the contract."""
    return tuple(user.label for user in RoadUser if classes is None or user.label in classes)  # type: ignore[misc]


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 3) if values else None


def _speed(values: list[float]) -> Speed | None:
    if not values:
        return None
    return Speed(mean=round(float(np.mean(values)), 1), p85=round(float(np.percentile(values, 85)), 1), n=len(values))
