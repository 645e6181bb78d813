"""Zones: who is in them, who came and went, how long they stayed, and from which other zone they came.

One record per zone and interval. Somebody is in a zone when its ground point is, with a little hysteresis at the
edge. Whoever comes into being in a zone has entered it, and whoever vanishes there has left, so that the numbers add
up. ``dwell_s`` is of those who left during the interval; ``origins`` counts each road user once per zone.
"""

from __future__ import annotations

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
from agent.scene.roster import Columns, Sight
from agent.scene.rule import Moment, Setting, State
from agent.values import CLASS_NAMES, RoadUser

BAND: Final = 0.05
"""To come or go, a ground point must be this far, in box sizes, on the other side of the zone's edge."""
LEAST_BAND_PX: Final = 2.0
HIDDEN_S: Final = 1.0
"""Somebody not observed for longer than this is no longer counted as present, though not yet as gone."""


@dataclass(slots=True)
class _Book:
    """What the open interval of one zone holds."""

    seconds: Array = field(default_factory=lambda: np.zeros(len(CLASS_NAMES)))
    most: int = 0
    entered: int = 0
    left: int = 0
    dwells_s: list[float] = field(default_factory=list)
    origins: dict[str, int] = field(default_factory=dict)


class Zones:
    """All zones of one camera.

    Args:
        setting: Where they are.
        places: Who is in which.
        table: PCU factors for the level of service.
    """

    def __init__(self, setting: Setting, *, places: Places, table: PcuTable) -> None:
        self._zones = setting.camera.zones
        self._places = places
        self._table = table
        self._books = [_Book() for _ in self._zones]
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
        """Nothing: who was in a zone before a restart is not known after it."""
        return {}

    def step(self, moment: Moment) -> list[Body]:
        """Report the intervals that ended, then see who is where."""
        bodies: list[Body] = [
            self._report(index, zone, closed)
            for index, zone in enumerate(self._zones)
            for closed in moment.closed.get(zone.interval_s, ())
        ]
        if moment.sight is not None and self._zones:
            self._see(moment.sight)
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

    def _leave(self, slots: Array | Any, when_s: Array) -> None:
        columns = self._columns
        members = columns["member"][slots] & self._wanted[:, columns["category"][slots]].T
        for row, zone in np.argwhere(members).tolist():
            book = self._books[zone]
            book.left += 1
            book.dwells_s.append(max(0.0, float(when_s[row] - columns["since_s"][slots[row], zone])))

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
                book.left += 1
                book.dwells_s.append(max(0.0, now_s - float(columns["since_s"][slot, zone])))
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
        by_class: dict[ClassName, float] = {
            user.label: round(float(mean[user]), 3)  # type: ignore[misc]
            for user in RoadUser
            if self._wanted[index, user]
        }
        per_km, per_m2, level = self._density(index, zone, mean)
        return ZoneBody(
            zone=zone.name,
            interval=closed.interval,
            present=Spread(mean=round(float(mean.sum()), 3), max=book.most),
            by_class=by_class,
            entered=book.entered,
            left=book.left,
            dwell_s=_dwell(book.dwells_s),
            density_per_km=per_km,
            density_per_m2=per_m2,
            level_of_service=level,
            origins=dict(sorted(book.origins.items())) if len(self._zones) > 1 else None,
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


def _dwell(values: list[float]) -> Spread | None:
    if not values:
        return None
    return Spread(mean=round(float(np.mean(values)), 3), max=round(max(values), 3), n=len(values))
