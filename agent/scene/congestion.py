"""Congestion in a zone: many vehicles, all slow, for a while; at one of two levels, ``slow`` and ``jam``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from agent.config.rules import Congestion as Settings
from agent.records import Body, Detail, Severity
from agent.scene.places import Places, vehicles
from agent.scene.roster import Sight
from agent.scene.rule import Setting
from agent.scene.zone_episodes import Watched, ZoneEpisodes
from agent.scene.zone_rule import ZoneRule

SOFTER: Final = 1.2
"""Once congested, a zone is congested up to so much more speed: levels don't flap at their edge."""


class Congestion(ZoneRule[Settings]):
    """Watches every zone that asks for it; ``state`` is what an earlier :meth:`state` gave."""

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        super().__init__(places, ZoneEpisodes(setting, "congestion", lambda rules: rules.congestion, state))
        self._jammed: dict[str, bool] = {}

    def _see(self, sight: Sight, each: Watched[Settings]) -> list[Body]:
        wish, episode = each.wish, each.episode
        here = self._places.inside(sight)[:, each.index] & vehicles(sight)
        speeds = self._places.kmh(sight)[here]
        known = speeds[np.isfinite(speeds)]
        count = int(here.sum())
        slack = SOFTER if episode.is_open else 1.0
        slow = count >= wish.vehicles and len(known) > 0 and float(np.median(known)) < wish.slow_kmh * slack
        if not slow:
            return list(episode.feed(sight.at, None))
        median = float(np.median(known))
        jam = median < wish.jam_kmh * (SOFTER if self._jammed.get(each.zone.name) else 1.0)
        self._jammed[each.zone.name] = jam
        details: dict[str, Detail] = {"level": "jam" if jam else "slow", "vehicles": count}
        if self._places.pace is not None:
            details["speed_kmh"] = round(median)
        severity: Severity = "alarm" if jam else "warning"
        return list(episode.feed(sight.at, details, severity=severity, confidence=len(known) / count))
