"""Hearing single boxes past the group for a while, so that what is asked for can't go to a receiver that is gone.

The broker may give the session of a receiver that died every second message of the group, the repeated ones too. What
comes both ways is dropped by the store. Decides nothing about which boxes: it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from agent.mqtt.topics import ROOT


class Subscriptions(Protocol):
    """What is needed of a connection to the broker: paho's client has it."""

    def subscribe(self, topic: list[tuple[str, int]], /) -> Any:
        """Hear these topics, each with its quality of service."""
        ...

    def unsubscribe(self, topic: list[str], /) -> Any:
        """Hear them no longer."""
        ...


class HearingAlone:
    """Which boxes one receiver of a group hears by itself.

    Args:
        broker: The connection.
        keep_s: How long a box is heard after it was last named.
        now_s: A monotonic clock.
    """

    def __init__(self, broker: Subscriptions, keep_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._broker, self._keep_s, self._now_s = broker, keep_s, now_s
        self._until_s: dict[str, float] = {}

    def hear(self, devices: Iterable[str]) -> None:
        """Hear these from now on, and no longer those whose time is over."""
        # Of this connection: paho's thread puts an empty one in its place when the connection is new, and what is noted
        # here of the old one must not pass for heard on the new.
        now_s, until = self._now_s(), self._until_s
        for device in devices:
            if device not in until:
                self._broker.subscribe([(topic, 1) for topic in topics_of(device)])
            until[device] = now_s + self._keep_s
        for device in [device for device, until_s in until.items() if until_s < now_s]:
            del until[device]
            self._broker.unsubscribe(topics_of(device))

    def forget(self, known: Iterable[str]) -> None:
        """Begin anew on a new connection: its session may still hold what an earlier life of this receiver heard."""
        self._until_s = {}
        for device in known:
            self._broker.unsubscribe(topics_of(device))


def topics_of(device: str) -> list[str]:
    """The topics of a box's records and replies; ``+`` for every box."""
    return [f"{ROOT}/{device}/{leaf}" for leaf in ("+/count", "+/zone", "+/event", "gap", "reply")]
