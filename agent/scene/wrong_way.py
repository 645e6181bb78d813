"""Wrong way: a vehicle that drives against the direction of a zone, one event each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agent.config.rules import WrongWay as Settings
from agent.config.schema import Zone
from agent.records import Body
from agent.scene.episode import Episode
from agent.scene.geometry import Mask
from agent.scene.places import Places, vehicles
from agent.scene.roster import Columns, Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.speed import velocity_px
from agent.values import CLASS_NAMES

AGAINST: Final = -0.5
"""Cosine of the angle between a vehicle's way and the allowed one: more than 120 degrees off is against it."""


class WrongWay:
    """Watches every zone that asks for it.

    Args:
        setting: Which camera.
        places: Who is where, and how fast.
        state: What an earlier :meth:`state` gave; the vehicles of its open events are gone, so they end.
    """

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        self._setting = setting
        self._places = places
        self._zones: list[tuple[int, Zone, Settings]] = [
            (index, zone, zone.rules.wrong_way)
            for index, zone in enumerate(setting.camera.zones)
            if zone.rules.wrong_way is not None
        ]
        self._for_s = np.array([wish.for_s for _, _, wish in self._zones])
        self._open: dict[tuple[int, int], Episode] = {}
        self._left: list[Episode] = [
            self._episode(zone, as_state(kept)) for _, zone, _ in self._zones for kept in state.get(zone.name, [])
        ]
        self._columns = Columns(
            wrong_s=(0.0, np.float64, (len(self._zones),)), right_s=(0.0, np.float64, (len(self._zones),))
        )

    def state(self) -> State:
        """The open events by zone."""
        kept: State = {}
        for episode in (*self._left, *self._open.values()):
            kept.setdefault(str(episode.where), []).append(episode.state())
        return kept

    def step(self, moment: Moment) -> list[Body]:
        """Start an event for who drives the wrong way; end it when they turn or leave."""
        events: list[Body] = [episode.end(moment.at) for episode in self._left]
        self._left = []
        if moment.sight is None or not self._zones:
            return events
        sight, columns = moment.sight, self._columns
        columns.fit(sight.capacity)
        columns.reset(sight.gone)
        events.extend(self._end(sight.gone.tolist(), sight))
        wrong = self._wrong(sight)
        gap_s = np.where(sight.observed, sight.gap_s, 0.0)[:, np.newaxis]
        wrong_s = columns["wrong_s"][sight.slots] + gap_s * wrong
        right_s = np.where(wrong, 0.0, columns["right_s"][sight.slots] + gap_s)
        over = right_s >= self._for_s
        columns["wrong_s"][sight.slots] = wrong_s = np.where(over, 0.0, wrong_s)
        columns["right_s"][sight.slots] = right_s
        if self._open:
            events.extend(self._end(sight.slots[over.any(axis=1)].tolist(), sight))
        for column, row in np.argwhere((wrong & (wrong_s >= self._for_s)).T).tolist():
            events.extend(self._start(sight, column, row))
        return events

    def _wrong(self, sight: Sight) -> Mask:
        """Who drives against the direction of which zone now, shape (n, m)."""
        allowed = np.stack(
            [np.diff(self._setting.pixels(wish.along, sight.size), axis=0)[0] for _, _, wish in self._zones]
        )
        velocity = velocity_px(sight)
        least = np.array([wish.least_kmh for _, _, wish in self._zones])
        size = np.hypot(*velocity.T)[:, np.newaxis] * np.hypot(*allowed.T)
        against = velocity @ allowed.T <= AGAINST * size
        driving = (vehicles(sight) & sight.observed)[:, np.newaxis] & (self._places.kmh(sight)[:, np.newaxis] >= least)
        here = self._places.inside(sight)[:, [index for index, _, _ in self._zones]]
        wrong: Mask = here & driving & against
        return wrong

    def _start(self, sight: Sight, column: int, row: int) -> list[Body]:
        slot = int(sight.slots[row])
        if (column, slot) in self._open:
            return []
        episode = self._episode(self._zones[column][1], {}, number=int(sight.ids[row]))
        self._open[column, slot] = episode
        return list(episode.feed(sight.at, {"class": CLASS_NAMES[sight.classes[row]]}, severity="alarm"))

    def _end(self, slots: list[int], sight: Sight) -> list[Body]:
        """End the events of vehicles that are gone, or that have driven as they should in that zone for long enough."""
        columns, gone = self._columns, set(sight.gone.tolist())
        over = [
            (column, slot)
            for column, slot in sorted(self._open)
            if slot in slots and (slot in gone or columns["wrong_s"][slot, column] == 0)
        ]
        return [self._open.pop(which).end(sight.at) for which in over]

    def _episode(self, zone: Zone, state: Mapping[str, Any], number: int = 0) -> Episode:
        return Episode(self._setting, "wrong_way", zone.name, enter_s=0.0, leave_s=0.0, state=state, number=number)
