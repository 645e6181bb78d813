"""Queues: vehicles that stand in a zone one behind the other, and how long the queue is.

Its length in metres, from the first vehicle's place to the last one's and a vehicle more, needs the road calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agent.config.rules import Queue as Settings
from agent.records import Body, Detail
from agent.scene.geometry import Array
from agent.scene.places import Places, vehicles
from agent.scene.roster import Sight
from agent.scene.rule import Setting
from agent.scene.zone_episodes import Watched, ZoneEpisodes
from agent.scene.zone_rule import ZoneRule

VEHICLE_M: Final = 4.5
"""The last vehicle's own length, added to the distance between the first place and the last."""


class Queue(ZoneRule[Settings]):
    """Watches every zone that asks for it; ``state`` is what an earlier :meth:`state` gave."""

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        super().__init__(places, ZoneEpisodes(setting, "queue", lambda rules: rules.queue, state))

    def _see(self, sight: Sight, each: Watched[Settings]) -> list[Body]:
        wish, episode = each.wish, each.episode
        here = self._places.inside(sight)[:, each.index] & vehicles(sight)
        standing = (here & (self._places.kmh(sight) < wish.standing_kmh)).nonzero()[0]
        count, metres = self._longest(sight.feet[standing], wish.gap_m)
        if count < wish.vehicles:
            return list(episode.feed(sight.at, None))
        details: dict[str, Detail] = {"vehicles": count}
        if metres is not None:
            details["length_m"] = round(metres)
        return list(episode.feed(sight.at, details, severity="info"))

    def _longest(self, feet: Array, gap_m: float) -> tuple[int, float | None]:
        """The queue with most vehicles among those that stand, and its length."""
        pace = self._places.pace
        if pace is None or not len(feet):
            return len(feet), None
        where = pace.metres(feet)
        where = where[np.isfinite(where[:, 0])]
        if not len(where):
            return 0, None
        offset = where - where.mean(axis=0)
        axis = np.linalg.svd(offset, full_matrices=False)[2][0]
        along = np.sort(offset @ axis)
        runs = np.split(along, (np.diff(along) > gap_m).nonzero()[0] + 1)
        longest = max(runs, key=len)
        return len(longest), float(longest[-1] - longest[0]) + VEHICLE_M
