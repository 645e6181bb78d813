"""Stopped vehicles: one that stands in a zone longer than it may, one event each.

Red lights are allowed for in two ways: by their longest time, and by not counting the time in which the other
vehicles of the zone stand too, for that is a queue. A vehicle hidden for a while, or tracked under a new number, or
standing there still after a restart, is the same vehicle: its event goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.config.rules import StoppedVehicle as Settings
from agent.config.schema import Zone
from agent.records import Body, Detail
from agent.scene.episode import Episode
from agent.scene.geometry import Array, Mask
from agent.scene.intervals import LONGEST_GAP_S
from agent.scene.places import Places, vehicles
from agent.scene.roster import Columns, Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.values import CLASS_NAMES, Ints

SAME_PLACE: Final = 0.5
"""A vehicle this near, in box sizes, to where one stood is that one."""
DRIVES: Final = 2.0
"""It no longer stands when it is so many times as fast as standing allows."""
OTHERS_STAND: Final = 0.5
"""With more than this share of the other vehicles standing, they are a queue."""
MOST: Final = 200
"""Open events of one zone; more vehicles than that stand there by right."""


@dataclass(slots=True)
class _Standing:
    """An open event: where the vehicle stands, relative to the picture, and the slot it is tracked in, if any."""

    episode: Episode
    x: float
    y: float
    size: float
    slot: int | None


class StoppedVehicle:
    """Watches every zone that asks for it.

    Args:
        setting: Which camera.
        places: Who is where, and how fast.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        self._setting = setting
        self._places = places
        self._zones: list[tuple[int, Zone, Settings]] = [
            (index, zone, zone.rules.stopped_vehicle)
            for index, zone in enumerate(setting.camera.zones)
            if zone.rules.stopped_vehicle is not None
        ]
        self._indices = np.array([index for index, _, _ in self._zones], np.int64)
        self._standing_kmh = np.array([wish.standing_kmh for _, _, wish in self._zones])
        self._open: dict[str, list[_Standing]] = {zone.name: [] for _, zone, _ in self._zones}
        self._columns = Columns(stood_s=(0.0, np.float64, (len(self._zones),)))
        for _, zone, wish in self._zones:
            for kept in state.get(zone.name, []):
                episode = self._episode(zone, wish, as_state(kept["event"]))
                self._open[zone.name].append(_Standing(episode, kept["x"], kept["y"], kept["size"], None))

    def state(self) -> State:
        """The open events by zone, with where each vehicle stands."""
        return {
            name: [{"event": each.episode.state(), "x": each.x, "y": each.y, "size": each.size} for each in standing]
            for name, standing in self._open.items()
            if standing
        }

    def step(self, moment: Moment) -> list[Body]:
        """Start events for vehicles that stand too long; end those of vehicles that drove on."""
        if moment.sight is None or not self._zones:
            return []
        sight, columns = moment.sight, self._columns
        columns.fit(sight.capacity)
        for row, slot in sight.heirs:
            columns.move(np.array([slot]), sight.slots[row : row + 1])
        columns.reset(sight.gone)
        kmh = self._places.kmh(sight)[:, np.newaxis]
        here = self._places.inside(sight)[:, self._indices] & vehicles(sight)[:, np.newaxis]
        stands = here & (kmh < self._standing_kmh)
        drives = ~here | (kmh > DRIVES * self._standing_kmh)
        others = np.maximum(here.sum(axis=0) - 1, 1)
        queues = (stands.sum(axis=0) - 1) / others > OTHERS_STAND
        gap_s = sight.gap_s if sight.gap_s <= LONGEST_GAP_S else 0.0
        stood_s = np.where(drives, 0.0, columns["stood_s"][sight.slots] + gap_s * (stands & ~queues))
        columns["stood_s"][sight.slots] = stood_s
        events: list[Body] = []
        for column, (_, zone, wish) in enumerate(self._zones):
            events.extend(self._go_on(sight, zone, drives[:, column]))
            too_long = stands[:, column] & (stood_s[:, column] >= wish.after_s + wish.red_light_s)
            events.extend(self._begin(sight, zone, wish, too_long.nonzero()[0], stood_s[:, column]))
        return events

    def _begin(self, sight: Sight, zone: Zone, wish: Settings, rows: Ints, stood_s: Array) -> list[Body]:
        """Start an event for every row that has none."""
        standing = self._open[zone.name]
        taken = {each.slot for each in standing}
        events: list[Body] = []
        for row in rows.tolist():
            if int(sight.slots[row]) not in taken and len(standing) < MOST:
                events.extend(self._start(sight, row, zone, wish, float(stood_s[row])))
        return events

    def _go_on(self, sight: Sight, zone: Zone, drives: Mask) -> list[Body]:
        """Feed every open event, and forget those that end."""
        events: list[Body] = []
        if not self._open[zone.name]:
            return events
        row_of = {int(slot): row for row, slot in enumerate(sight.slots)}
        held = {each.slot for each in self._open[zone.name]}
        for each in list(self._open[zone.name]):
            if each.slot is None or each.slot not in row_of:
                each.slot = self._find(sight, each, held)
                held.add(each.slot)
            row = row_of.get(each.slot) if each.slot is not None else None
            if row is not None and drives[row]:
                events.append(each.episode.end(sight.at))
            else:
                there = row is not None
                events.extend(each.episode.feed(sight.at, dict(each.episode.details) if there else None))
            if not each.episode.is_open:
                self._open[zone.name].remove(each)
        return events

    def _find(self, sight: Sight, each: _Standing, held: set[int | None]) -> int | None:
        """The slot of the vehicle that stands where this one stood."""
        if not len(sight):
            return None
        away = np.hypot(sight.feet[:, 0] - each.x * sight.size[0], sight.feet[:, 1] - each.y * sight.size[1])
        near = away / np.maximum(each.size * sight.size[0], 1.0)
        near[[int(slot) in held for slot in sight.slots] | ~sight.observed] = np.inf
        best = int(np.argmin(near))
        return int(sight.slots[best]) if near[best] <= SAME_PLACE else None

    def _start(self, sight: Sight, row: int, zone: Zone, wish: Settings, stood_s: float) -> list[Body]:
        episode = self._episode(zone, wish, {}, number=int(sight.ids[row]))
        x, y = (sight.feet[row] / sight.size).tolist()
        size = float(sight.scale[row]) / sight.size[0]
        self._open[zone.name].append(_Standing(episode, x, y, size, int(sight.slots[row])))
        details: dict[str, Detail] = {"class": CLASS_NAMES[sight.classes[row]], "stood_s": round(stood_s, 1)}
        return list(episode.feed(sight.at, details))

    def _episode(self, zone: Zone, wish: Settings, state: Mapping[str, Any], number: int = 0) -> Episode:
        return Episode(
            self._setting,
            "stopped_vehicle",
            zone.name,
            enter_s=0.0,
            leave_s=wish.leave_s,
            state=state,
            number=number,
        )
