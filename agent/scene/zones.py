"""Zones: who is in them, who came and went, how long they stayed, and from which other zone they came.

One record per zone and interval. Somebody is in a zone when its ground point is, with a little hysteresis at the
edge. Whoever comes into being in a zone has entered it, and whoever vanishes there has left, so that the numbers add
up. ``dwell_s`` is of those who left during the interval; ``origins`` counts each road user once per zone. What the
open interval holds survives a restart; whoever stands there then has left without a dwell, and comes anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from agent.config.schema import Zone
from agent.records import Body, ClassName, Spread, ZoneBody
from agent.scene import geometry, service
from agent.scene.geometry import Array, Mask
from agent.scene.intervals import LONGEST_GAP_S, Closed
from agent.scene.pcu import PcuTable
from agent.scene.places import Places
from agent.scene.roster import Columns, Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.values import SecondLook
from agent.values import CLASS_NAMES, RoadUser

BAND: Final = 0.05
"""To come or go, a ground point must be this far, in box sizes, on the other side of the zone's edge."""
LEAST_BAND_PX: Final = 2.0
LOOK_STANDS_S: Final = 4.0
"""A second look, one in a second or three, stands for no more than so long of an interval."""
HIDDEN_S: Final = 1.0
"""Somebody not observed for longer than this is no longer counted as present, though not yet as gone."""


@dataclass(slots=True)
class _Book:
    """What the open interval of one zone holds."""

    seconds: Array = field(default_factory=lambda: np.zeros(len(CLASS_NAMES)))
    most: int = 0
    entered: int = 0
    left: int = 0
    dwells: int = 0
    dwelt_s: float = 0.0
    longest_s: float = 0.0
    origins: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    looked: int = 0
    most_looked: int = 0

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> _Book:
        """Go on with what :meth:`state` gave."""
        seconds = as_state(kept.get("seconds"))
        return cls(
            seconds=np.array([float(seconds.get(name, 0.0)) for name in CLASS_NAMES]),
            most=int(kept.get("most", 0)),
            entered=int(kept.get("entered", 0)),
            left=int(kept.get("left", 0)),
            dwells=int(kept.get("dwells", 0)),
            dwelt_s=float(kept.get("dwelt_s", 0.0)),
            longest_s=float(kept.get("longest_s", 0.0)),
            looks=int(kept.get("looks", 0)),
            looked=int(kept.get("looked", 0)),
            most_looked=int(kept.get("most_looked", 0)),
            origins={str(name): int(count) for name, count in as_state(kept.get("origins")).items()},
        )

    def state(self, inside: int) -> State:
        """What it holds, in a size that no crowd lets grow; empty when it holds nothing.

        Who is inside is not known after a restart: they are let go without a dwell, so that the numbers add up.
        """
        seconds = {name: round(float(of), 3) for name, of in zip(CLASS_NAMES, self.seconds, strict=True) if of > 0}
        every: State = {
            "seconds": seconds,
            "most": self.most,
            "entered": self.entered,
            "left": self.left + inside,
            "dwells": self.dwells,
            "dwelt_s": round(self.dwelt_s, 3),
            "longest_s": round(self.longest_s, 3),
            "origins": dict(self.origins),
            "looks": self.looks,
            "looked": self.looked,
            "most_looked": self.most_looked,
        }
        return {key: value for key, value in every.items() if value}

    def leave(self, after_s: float) -> None:
        """Somebody left who had come so long ago."""
        self.left += 1
        self.dwells += 1
        self.dwelt_s += max(0.0, after_s)
        self.longest_s = max(self.longest_s, after_s)

    def look(self, people: int) -> None:
        """A second look found so many people."""
        self.looks += 1
        self.looked += people
        self.most_looked = max(self.most_looked, people)

    def second_look(self, watched_s: float) -> Spread | None:
        """People by second looks, where there were enough of them to stand for the interval."""
        if self.looks == 0 or self.looks * LOOK_STANDS_S < watched_s:
            return None
        return Spread(mean=round(self.looked / self.looks, 3), max=self.most_looked, n=self.looks)

    def dwell(self) -> Spread | None:
        """How long those stayed who left."""
        if not self.dwells:
            return None
        return Spread(mean=round(self.dwelt_s / self.dwells, 3), max=round(self.longest_s, 3), n=self.dwells)


class Zones:
    """All zones of one camera.

    Args:
        setting: Where they are.
        places: Who is in which.
        table: PCU factors for the level of service.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, *, places: Places, table: PcuTable, state: Mapping[str, Any]) -> None:
        self._zones = setting.camera.zones
        self._places = places
        self._table = table
        self._books = [_Book.restored(as_state(state.get(zone.name))) for zone in self._zones]
        self._size = (1, 1)
        self._wanted = np.array(
            [[zone.classes is None or name in zone.classes for name in CLASS_NAMES] for zone in self._zones], np.bool_
        ).reshape(len(self._zones), len(CLASS_NAMES))
        count = len(self._zones)
        self._columns = Columns(
            member=(False, np.bool_, (count,)),
            been=(False, np.bool_, (count,)),
            since_s=(np.nan, np.float64, (count,)),
            origin=(-1, np.int64, ()),
            category=(0, np.int64, ()),
        )

    def state(self) -> State:
        """What the open interval of each zone holds."""
        kept = {}
        category = self._columns["category"]
        inside = (self._columns["member"] & self._wanted[:, category].T).sum(axis=0).tolist()
        for zone, book, count in zip(self._zones, self._books, inside, strict=True):
            if book_state := book.state(count):
                kept[zone.name] = book_state
        return kept

    def step(self, moment: Moment) -> list[Body]:
        """Report the intervals that ended, then see who is where."""
        bodies: list[Body] = [
            self._report(index, zone, closed)
            for index, zone in enumerate(self._zones)
            for closed in moment.closed.get(zone.interval_s, ())
        ]
        if moment.sight is not None and self._zones:
            self._see(moment.sight)
            if moment.closer is not None:
                self._see_closer(moment.closer, moment.sight.size)
        return bodies

    def _see(self, sight: Sight) -> None:
        self._size = sight.size
        columns = self._columns
        columns.fit(sight.capacity)
        self._leave(sight.gone, sight.roster.last_seen_s(sight.gone))
        columns.reset(sight.gone)
        for row, slot in sight.heirs:
            columns.move(np.array([slot]), sight.slots[row : row + 1])
        columns["category"][sight.slots] = sight.classes
        self._come_and_go(sight)
        self._stay(sight)

    def _see_closer(self, closer: SecondLook, size: tuple[int, int]) -> None:
        feet = np.array(closer.feet, np.float64).reshape(-1, 2) * size
        for index, zone in enumerate(self._zones):
            if zone.name in closer.zones and self._wanted[index, RoadUser.PERSON]:
                self._books[index].look(int(geometry.inside(feet, self._places.polygon(index, size)).sum()))

    def _leave(self, slots: Array | Any, when_s: Array) -> None:
        columns = self._columns
        members = columns["member"][slots] & self._wanted[:, columns["category"][slots]].T
        for row, zone in np.argwhere(members).tolist():
            self._books[zone].leave(float(when_s[row] - columns["since_s"][slots[row], zone]))

    def _come_and_go(self, sight: Sight) -> None:
        if not len(sight.ids):
            return
        columns, inside = self._columns, self._places.inside(sight)
        member = columns["member"][sight.slots]
        changing = (inside != member) & sight.observed[:, np.newaxis]
        fresh = sight.fresh & ~member.any(axis=1)
        for zone in changing.any(axis=0).nonzero()[0].tolist():
            rows = changing[:, zone].nonzero()[0]
            outline = self._places.polygon(zone, sight.size)
            clear = geometry.boundary_distance(sight.feet[rows], outline)
            certain = (clear >= np.maximum(LEAST_BAND_PX, BAND * sight.scale[rows])) | fresh[rows]
            self._change(zone, sight, rows[certain], inside)

    def _change(self, zone: int, sight: Sight, rows: Array | Any, inside: Mask) -> None:
        columns, book, now_s = self._columns, self._books[zone], sight.at.mono_s
        for row in rows.tolist():
            slot, wanted = sight.slots[row], self._wanted[zone, sight.classes[row]]
            came = bool(inside[row, zone])
            if came:
                columns["since_s"][slot, zone] = now_s
                book.entered += int(wanted)
                self._arrive(zone, slot, wanted=bool(wanted))
            elif wanted:
                book.leave(now_s - float(columns["since_s"][slot, zone]))
            columns["member"][slot, zone] = came

    def _arrive(self, zone: int, slot: int, *, wanted: bool) -> None:
        """Note from which zone a road user came: the first it was ever in."""
        columns = self._columns
        origin = int(columns["origin"][slot])
        if origin < 0:
            columns["origin"][slot] = zone
        elif origin != zone and wanted and not columns["been"][slot, zone]:
            name = self._zones[origin].name
            origins = self._books[zone].origins
            origins[name] = origins.get(name, 0) + 1
        columns["been"][slot, zone] = True

    def _stay(self, sight: Sight) -> None:
        """Add the time since the sight before to everyone who is there."""
        recent = sight.at.mono_s - sight.roster.last_seen_s(sight.slots) <= HIDDEN_S
        present = self._columns["member"][sight.slots] & recent[:, np.newaxis] & self._wanted[:, sight.classes].T
        gap_s = sight.gap_s if sight.gap_s <= LONGEST_GAP_S else 0.0
        for zone, book in enumerate(self._books):
            counts = np.bincount(sight.classes[present[:, zone]], minlength=len(CLASS_NAMES))
            book.seconds += counts * gap_s
            book.most = max(book.most, int(counts.sum()))

    def _report(self, index: int, zone: Zone, closed: Closed) -> ZoneBody:
        book, self._books[index] = self._books[index], _Book()
        if closed.watched_s <= 0:
            return ZoneBody(zone=zone.name, interval=closed.interval, quality=closed.quality)
        mean = book.seconds / closed.watched_s
        present = Spread(mean=round(float(mean.sum()), 3), max=book.most)
        by_class: dict[ClassName, float] = {
            user.label: round(float(mean[user]), 3)  # type: ignore[misc]
            for user in RoadUser
            if self._wanted[index, user]
        }
        closer = book.second_look(closed.watched_s)
        if closer is not None:
            mean = mean.copy()
            mean[RoadUser.PERSON] = closer.mean
        per_km, per_m2, level = self._density(index, zone, mean)
        return ZoneBody(
            zone=zone.name,
            interval=closed.interval,
            present=present,
            by_class=by_class,
            entered=book.entered,
            left=book.left,
            dwell_s=book.dwell(),
            density_per_km=per_km,
            density_per_m2=per_m2,
            level_of_service=level,
            origins=dict(sorted(book.origins.items())) if len(self._zones) > 1 else None,
            second_look=closer,
            quality=closed.quality,
        )

    def _density(self, index: int, zone: Zone, mean: Array) -> tuple[float | None, float | None, Any]:
        """Vehicles per kilometre, people per square metre, and the level of service; ``None`` without calibration."""
        pace = self._places.pace
        if pace is None:
            return None, None, None
        outline = pace.metres(self._places.polygon(index, self._size))
        if not np.isfinite(outline).all():
            return None, None, None
        people = float(mean[RoadUser.PERSON])
        per_m2 = people / max(geometry.area(outline), 1e-6)
        if not self._wanted[index, RoadUser.CAR :].any():
            return None, round(per_m2, 4), service.of_walkers(per_m2)
        km = geometry.extent(outline) / 1000
        per_km = float(mean.sum() - people) / km
        units = sum(self._table.factors.get(user.label, 0.0) * mean[user] for user in RoadUser)  # type: ignore[call-overload]
        level = service.of_vehicles(units / km / zone.lanes)
        return round(per_km, 2), (round(per_m2, 4) if self._wanted[index, RoadUser.PERSON] else None), level
