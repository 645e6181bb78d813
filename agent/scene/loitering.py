"""Loitering: persons who stay in a zone, at the hours when nobody should.

One event for a zone, however many stay: who they are by track number, and how long the longest has. Somebody hidden
for a while, or tracked under a new number near where they were lost, has stayed all the while. Outside its hours, or
while the clock is not set and hours were asked for, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.config.rules import Loitering as Settings
from agent.config.schema import Zone
from agent.records import Body, Detail, Scalar
from agent.scene.episode import Episode
from agent.scene.geometry import Mask
from agent.scene.intervals import LONGEST_GAP_S
from agent.scene.places import Places
from agent.scene.roster import Columns, Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.values import RoadUser

OUTSIDE_S: Final = 8.0
"""Who steps out of the zone for no longer than this has not left."""
FORGET_S: Final = 20.0
"""So long a lost person's stay is kept for somebody who appears …"""
REACH: Final = 0.75
"""… within so many heights of where they were lost."""
MOST_LOST: Final = 32
MOST_NAMED: Final = 8


class Loitering:
    """Watches every zone that asks for it.

    Args:
        setting: Which camera.
        places: Who is where.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        self._places = places
        self._zones = [
            _Zone(setting, index, zone, zone.rules.loitering, as_state(state.get(zone.name)))
            for index, zone in enumerate(setting.camera.zones)
            if zone.rules.loitering is not None
        ]

    def state(self) -> State:
        """The open events by zone."""
        return {each.name: kept for each in self._zones if (kept := each.episode.state())}

    def step(self, moment: Moment) -> list[Body]:
        """Let everybody's stay grow, and start, update or end events."""
        if moment.sight is None or not self._zones:
            return []
        inside = self._places.inside(moment.sight)
        return [body for zone in self._zones for body in zone.see(moment.sight, inside[:, zone.index])]


class _Zone:
    """One zone: how long each person has stayed, and the event."""

    def __init__(self, setting: Setting, index: int, zone: Zone, wish: Settings, state: Mapping[str, Any]) -> None:
        self.index, self.name, self._wish = index, zone.name, wish
        self._columns = Columns(stay_s=(0.0, np.float64, ()), out_s=(0.0, np.float64, ()))
        self._lost: list[tuple[float, float, float, float]] = []
        self.episode = Episode(
            setting, "loitering", zone.name, enter_s=0.0, leave_s=wish.leave_s, update_s=30.0, state=state
        )

    def see(self, sight: Sight, inside: Mask) -> list[Body]:
        columns = self._columns
        columns.fit(sight.capacity)
        self._lose(sight)
        for row, slot in sight.heirs:
            columns.move(np.array([slot]), sight.slots[row : row + 1])
        if not within(self._wish, sight.at):
            columns["stay_s"][:] = 0.0
            self._lost.clear()
            return list(self.episode.feed(sight.at, None))
        here = inside & (sight.classes == RoadUser.PERSON)
        if not here.any() and not columns["stay_s"].any():  # as nearly always: nobody is there, and nobody was
            return list(self.episode.feed(sight.at, None))
        self._stay(sight, here)
        return list(self.episode.feed(sight.at, self._details(sight), severity="warning"))

    def _lose(self, sight: Sight) -> None:
        """Keep the stays of those whose tracks are given up, for whoever appears where they were."""
        stay_s, now_s = self._columns["stay_s"], sight.at.mono_s
        for slot in sight.gone[stay_s[sight.gone] > 0].tolist():
            left, _, right, bottom = sight.roster.last_box(np.array([slot]))[0].tolist()
            self._lost.append((now_s, (left + right) / 2, bottom, float(stay_s[slot])))
        self._lost = [each for each in self._lost if 0 <= now_s - each[0] <= FORGET_S][-MOST_LOST:]
        self._columns.reset(sight.gone)

    def _stay(self, sight: Sight, here: Mask) -> None:
        columns, slots = self._columns, sight.slots
        for row in (sight.fresh & here).nonzero()[0].tolist():
            if columns["stay_s"][slots[row]] == 0:
                columns["stay_s"][slots[row]] = self._found(sight, row)
        gap_s = sight.gap_s if sight.gap_s <= LONGEST_GAP_S else 0.0
        out_s = np.where(here, 0.0, columns["out_s"][slots] + gap_s)
        columns["out_s"][slots] = out_s
        stay_s = columns["stay_s"][slots] + gap_s * here
        columns["stay_s"][slots] = np.where(out_s > OUTSIDE_S, 0.0, stay_s)

    def _found(self, sight: Sight, row: int) -> float:
        """How long the person had stayed who was lost where this one appears."""
        x, y = sight.feet[row].tolist()
        reach = REACH * float(sight.boxes[row, 3] - sight.boxes[row, 1])
        near = [each for each in self._lost if np.hypot(each[1] - x, each[2] - y) <= reach]
        if not near:
            return 0.0
        longest = max(near, key=lambda each: each[3])
        self._lost.remove(longest)
        return longest[3]

    def _details(self, sight: Sight) -> dict[str, Detail] | None:
        stay_s = self._columns["stay_s"][sight.slots]
        least_s = self._wish.seconds
        staying = (stay_s >= least_s) & (self._columns["out_s"][sight.slots] <= 0)
        if not staying.any():
            return None
        rows = staying.nonzero()[0]
        longest = rows[np.argsort(-stay_s[rows], kind="stable")][:MOST_NAMED]
        x, y = (sight.feet[longest[0]] / sight.size).tolist()
        tracks: list[Scalar] = sorted(int(track) for track in sight.ids[longest])
        # In steps, so that an event is told anew when something happened and not because time passed.
        stayed_s = least_s * 2.0 ** np.floor(np.log2(float(stay_s[longest[0]]) / least_s))
        return {
            "persons": len(rows),
            "tracks": tracks,
            "stayed_s": round(float(stayed_s), 1),
            "place": {"x": round(x, 2), "y": round(y, 2)},
        }


def within(wish: Settings, at: Instant) -> bool:
    """Whether a zone is watched at a moment."""
    if not wish.hours:
        return True
    if not at.synced:
        return False
    minute = int((at.utc_s / 60 + wish.utc_offset_h * 60) % 1440)
    return any(_holds(hours, minute) for hours in wish.hours)


def _holds(hours: str, minute: int) -> bool:
    start, end = (int(time[:2]) * 60 + int(time[3:]) for time in hours.split("-"))
    return start <= minute < end if start < end else minute >= start or minute < end
