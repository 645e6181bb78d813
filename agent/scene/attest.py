"""Ties evidence to the event that it was kept for: name and sha256 go into the event's next message, and all after it.

A clip is finished after its event has started, often after it has ended. So the event is told once more when its clip
is there: as an update while it is open, and with its phase `end` when it is over. Told once, over restarts too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agent.records import Body, EventBody, Scalar, dump, load, utc_text
from agent.scene.rule import State
from agent.scene.values import Clip, Evidence

MOST_EVENTS: Final = 16
"""Events remembered as they were last told, the newest; a clip is finished within two minutes."""
MOST_TOLD: Final = 64
"""Clips remembered as told."""


class Attest:
    """What of one camera's events has evidence.

    Args:
        state: What an earlier :meth:`state` gave.
        watched: Evidence is kept of this camera; otherwise nothing is remembered.
    """

    def __init__(self, state: Mapping[str, Any], *, watched: bool) -> None:
        self._watched = watched
        self._last: dict[str, EventBody] = {}
        self._told: list[str] = []
        if watched:
            for plain in state.get("last", ()):
                body: EventBody = load(EventBody, plain)
                self._last[body.event] = body
            self._told = [str(name) for name in state.get("told", ())]

    def state(self) -> State:
        """The events last told, and the clips."""
        if not self._watched:
            return {}
        return {"last": [dump(body) for body in self._last.values()], "told": list(self._told)}

    def amend(self, bodies: Iterable[Body]) -> list[Body]:
        """The same bodies; those of events that have evidence name it."""
        if not self._watched:
            return list(bodies)
        return [self._amended(body) if isinstance(body, EventBody) else body for body in bodies]

    def attest(self, finished: Sequence[Evidence]) -> list[Body]:
        """Events to tell once more, now that their clips are there."""
        fresh = [each for each in finished if f"{each.event.event} {each.clip.name}" not in self._told]
        for each in fresh:
            last = self._last.get(each.event.event, each.event)
            self._remember(replace(last, details={**last.details, "evidence": [*_named(last), _plain(each.clip)]}))
        self._told = [*self._told, *(f"{each.event.event} {each.clip.name}" for each in fresh)][-MOST_TOLD:]
        events = dict.fromkeys(each.event.event for each in fresh)
        return [self._once_more(self._last[event]) for event in events if event in self._last]

    def _amended(self, body: EventBody) -> EventBody:
        last = self._last.get(body.event)
        if last is not None and "evidence" in last.details:
            body = replace(body, details={**body.details, "evidence": last.details["evidence"]})
        self._remember(body)
        return body

    def _remember(self, body: EventBody) -> None:
        self._last.pop(body.event, None)
        self._last[body.event] = body
        while len(self._last) > MOST_EVENTS:
            del self._last[next(iter(self._last))]

    @staticmethod
    def _once_more(body: EventBody) -> EventBody:
        return body if body.phase == "end" else replace(body, phase="update")


def _named(body: EventBody) -> list[dict[str, Scalar]]:
    """The clips that an event names already."""
    named = body.details.get("evidence", [])
    return [each for each in named if isinstance(each, dict)] if isinstance(named, list) else []


def _plain(clip: Clip) -> dict[str, Scalar]:
    return {
        "clip": clip.name,
        "sha256": clip.sha256,
        "bytes": clip.bytes,
        "from": utc_text(clip.start_s),
        "to": utc_text(clip.end_s),
    }
