"""One episode for every zone that asks for a rule: what congestion and queues share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from agent.config.rules import RuleSettings
from agent.config.schema import Zone
from agent.records import EventKind
from agent.scene.episode import Episode
from agent.scene.roster import as_state
from agent.scene.rule import Setting, State

UPDATE_S: Final = 10.0
"""How often an open event is told anew at most, where the configuration doesn't say."""


class Wish(Protocol):
    """The settings of one rule in one zone: at least how long it waits."""

    @property
    def enter_s(self) -> float:
        """Before the event starts."""
        ...

    @property
    def leave_s(self) -> float:
        """Before it ends."""
        ...


W = TypeVar("W", bound=Wish)


@dataclass(frozen=True, slots=True)
class Watched(Generic[W]):
    """A zone with a rule.

    Attributes:
        index: Of the zone, among all of the camera.
        zone: Its configuration.
        wish: The rule's settings there.
        episode: Its event.
    """

    index: int
    zone: Zone
    wish: W
    episode: Episode


class ZoneEpisodes(Generic[W]):
    """The zones of one camera that ask for one rule.

    Args:
        setting: Which camera.
        kind: Of event.
        wish_of: The rule's settings in a zone; ``None`` where it is off.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(
        self,
        setting: Setting,
        kind: EventKind,
        wish_of: Callable[[RuleSettings], W | None],
        state: Mapping[str, Any],
    ) -> None:
        self._zones: list[Watched[W]] = []
        for index, zone in enumerate(setting.camera.zones):
            wish = wish_of(zone.rules)
            if wish is not None:
                episode = Episode(
                    setting,
                    kind,
                    zone.name,
                    enter_s=wish.enter_s,
                    leave_s=wish.leave_s,
                    update_s=getattr(wish, "update_s", UPDATE_S),
                    state=as_state(state.get(zone.name)),
                )
                self._zones.append(Watched(index, zone, wish, episode))

    def __iter__(self) -> Iterator[Watched[W]]:
        return iter(self._zones)

    def state(self) -> State:
        """The open events by zone."""
        return {each.zone.name: each.episode.state() for each in self._zones if each.episode.is_open}
