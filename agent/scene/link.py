"""The event that a camera is lost: one from the moment it fails to the moment it is back, over restarts too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.records import Body, EventBody
from agent.scene.rule import Moment, Setting, State


class CameraLost:
    """Watches the link of one camera.

    Args:
        setting: Which.
        state: What an earlier :meth:`state` gave; a loss that was open then goes on.
    """

    def __init__(self, setting: Setting, state: Mapping[str, Any]) -> None:
        self._setting = setting
        self._since_s: float | None = state.get("since_s")
        self._how: str | None = state.get("how")

    def state(self) -> State:
        """The open loss."""
        return {"since_s": self._since_s, "how": self._how}

    def step(self, moment: Moment) -> list[Body]:
        """Start, update or end the event as the link says."""
        state = moment.link.state
        if state == "live":
            return self._end(moment)
        if state == "connecting" or (self._since_s is not None and state == self._how):
            return []
        phase = "update" if self._since_s is not None else "start"
        if self._since_s is None:
            self._since_s = round(moment.at.utc_s, 3)
        self._how = state
        return [self._event(phase, moment)]

    def _end(self, moment: Moment) -> list[Body]:
        if self._since_s is None:
            return []
        event = self._event("end", moment)
        self._since_s = self._how = None
        return [event]

    def _event(self, phase: Any, moment: Moment) -> EventBody:
        since_s = self._since_s if self._since_s is not None else moment.at.utc_s
        details: dict[str, Any] = {"state": moment.link.state}
        if moment.link.reason:
            details["reason"] = moment.link.reason
        if phase == "end":
            details["lasted_s"] = round(max(0.0, moment.at.utc_s - since_s), 3)
        return EventBody(
            kind="camera_lost",
            phase=phase,
            event=self._setting.event_id("camera_lost", None, since_s),
            severity="info" if phase == "end" else "alarm",
            confidence=1.0,
            since=since_s,
            details=details,
        )
