"""The ledger of open events: what was started and not ended, over restarts.

A rule that is taken out of the configuration while its event is open can't end it any more; the ledger does. So no
receiver ever waits for an end that nobody will send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.clock import Instant
from agent.config.schema import Camera
from agent.records import Body, EventBody, EventKind
from agent.scene.rule import State


class Ledger:
    """The open events of one camera.

    Args:
        camera: Its configuration, which says what is still watched.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, camera: Camera, state: Mapping[str, Any]) -> None:
        self._open: dict[str, dict[str, Any]] = {str(event): dict(kept) for event, kept in state.items()}
        self._orphans = [
            event for event, kept in self._open.items() if not watched(camera, kept["kind"], kept["where"])
        ]

    def state(self) -> State:
        """The open events by id."""
        return dict(self._open)

    def enter(self, bodies: list[Body]) -> None:
        """Keep the books on what the rules said."""
        for body in bodies:
            if not isinstance(body, EventBody):
                continue
            if body.phase == "end":
                self._open.pop(body.event, None)
            else:
                self._open[body.event] = {"kind": body.kind, "where": body.where, "since_s": body.since}

    def orphans(self, at: Instant) -> list[Body]:
        """Ends of the events that nobody watches any more, once."""
        ends: list[Body] = []
        for event in self._orphans:
            kept = self._open.pop(event)
            ends.append(
                EventBody(
                    kind=kept["kind"],
                    phase="end",
                    event=event,
                    where=kept["where"],
                    severity="info",
                    confidence=1.0,
                    since=kept["since_s"],
                    details={"why": "no longer watched", "lasted_s": round(max(0.0, at.utc_s - kept["since_s"]), 3)},
                )
            )
        self._orphans = []
        return ends


def watched(camera: Camera, kind: EventKind, where: str | None) -> bool:
    """Whether the configuration still has what an event of a kind is about."""
    switched = {
        "vandalism": camera.fuses_vandalism,
        "aggression": camera.aggression is not None,
        "camera_tampered": camera.tamper.enabled,
    }
    if not switched.get(kind, True):
        return False
    if where is None or any(region.name == where for region in camera.protected):
        return True
    zone = next((zone for zone in camera.zones if zone.name == where), None)
    if zone is None:
        return any(line.name == where for line in camera.lines)
    return getattr(zone.rules, kind, True) is not None
