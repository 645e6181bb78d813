"""A rule that looks at each zone by itself and keeps one event for it: what congestion and queues share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

from agent.records import Body
from agent.scene.places import Places
from agent.scene.roster import Sight
from agent.scene.rule import Moment, State
from agent.scene.zone_episodes import W, Watched, ZoneEpisodes


class ZoneRule(ABC, Generic[W]):
    """Watches every zone that asks for it.

    Args:
        places: Who is where, and how fast.
        zones: The zones that ask for it, with their events.
    """

    def __init__(self, places: Places, zones: ZoneEpisodes[W]) -> None:
        self._places, self._zones = places, zones

    def state(self) -> State:
        """The open events by zone."""
        return self._zones.state()

    def step(self, moment: Moment) -> list[Body]:
        """Start, update and end the events."""
        if moment.sight is None:
            return []
        return [event for each in self._zones for event in self._see(moment.sight, each)]

    @abstractmethod
    def _see(self, sight: Sight, each: Watched[W]) -> list[Body]:
        """What is new in one zone."""
