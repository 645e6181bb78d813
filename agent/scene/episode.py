"""One condition that holds for a while and its event: start, updates and end under one id.

A condition must hold for a time before the event starts, counted from its beginning, and must be over for a time
before it ends; so it never starts twice for one thing. An open event survives a restart and goes on or ends after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.clock import Instant
from agent.records import Detail, EventBody, EventKind, Phase, Severity
from agent.scene.rule import Setting, State

SOON_S: Final = 1.0
"""Even what can't wait is told no faster than this."""


class Episode:
    """The event of one condition at one place.

    Args:
        setting: Which camera.
        kind: Of event.
        where: Zone or line; ``None`` for the camera as a whole.
        enter_s: How long the condition must hold before the event starts.
        leave_s: How long it must be over before the event ends.
        update_s: Updates come no faster than this, but for those that can't wait.
        state: What an earlier :meth:`state` gave.
        number: Tells apart what began at the same moment at the same place.
    """

    def __init__(
        self,
        setting: Setting,
        kind: EventKind,
        where: str | None,
        *,
        enter_s: float,
        leave_s: float,
        update_s: float = 10.0,
        state: Mapping[str, Any] | None = None,
        number: int = 0,
    ) -> None:
        self._setting, self._kind, self._where, self._number = setting, kind, where, number
        self._enter_s, self._leave_s, self._update_s = enter_s, leave_s, update_s
        kept = state or {}
        self._since_s: float | None = kept.get("since_s")
        self._number = int(kept.get("number", number))
        self._told: dict[str, Detail] = dict(kept.get("details", {}))
        self._told_s: float | None = None
        self._began: Instant | None = None
        self._over_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the event has started and not ended."""
        return self._since_s is not None

    @property
    def where(self) -> str | None:
        """The zone or line."""
        return self._where

    @property
    def details(self) -> Mapping[str, Detail]:
        """What was last told about the open event."""
        return self._told

    def state(self) -> State:
        """The open event; empty when there is none."""
        if self._since_s is None:
            return {}
        return {"since_s": self._since_s, "number": self._number, "details": self._told}

    def feed(
        self,
        at: Instant,
        details: dict[str, Detail] | None,
        *,
        severity: Severity = "warning",
        confidence: float = 1.0,
        soon: bool = False,
    ) -> list[EventBody]:
        """Say whether the condition holds now, with its details, or ``None`` when it doesn't.

        ``soon`` says that what was told last misleads by now, so that the next update can't wait.
        """
        if self._since_s is None:
            return self._wait(at, details, severity, confidence)
        if details is not None:
            self._over_s = None
            return self._go_on(at, details, severity, confidence, SOON_S if soon else self._update_s)
        if self._over_s is None:
            self._over_s = at.mono_s
        if at.mono_s - self._over_s < self._leave_s:
            return []
        return [self.end(at, confidence=confidence)]

    def end(
        self,
        at: Instant,
        *,
        confidence: float = 1.0,
        why: str | None = None,
        details: Mapping[str, Detail] | None = None,
    ) -> EventBody:
        """End the open event at once, with what was told last or with other details.

        ``why`` says it where it is not that the condition is over.
        """
        since_s = self._since_s if self._since_s is not None else at.utc_s
        lasted: dict[str, Detail] = {"lasted_s": round(max(0.0, at.utc_s - since_s), 3)}
        if why is not None:
            lasted["ended"] = why
        last = self._told if details is None else dict(details)
        event = self._event("end", since_s, last | lasted, "info", confidence)
        self._since_s = self._began = self._over_s = self._told_s = None
        self._told = {}
        return event

    def _wait(
        self, at: Instant, details: dict[str, Detail] | None, severity: Severity, confidence: float
    ) -> list[EventBody]:
        if details is None:
            self._began = None
            return []
        self._began = self._began or at
        if at.mono_s - self._began.mono_s < self._enter_s:
            return []
        self._since_s = round(self._began.utc_s, 3)
        self._over_s = None
        return [self._tell("start", at, details, severity, confidence)]

    def _go_on(
        self, at: Instant, details: dict[str, Detail], severity: Severity, confidence: float, after_s: float
    ) -> list[EventBody]:
        if details == self._told or (self._told_s is not None and at.mono_s - self._told_s < after_s):
            return []
        return [self._tell("update", at, details, severity, confidence)]

    def _tell(
        self, phase: Phase, at: Instant, details: dict[str, Detail], severity: Severity, confidence: float
    ) -> EventBody:
        self._told, self._told_s = details, at.mono_s
        return self._event(phase, self._since_s or 0.0, details, severity, confidence)

    def _event(
        self, phase: Phase, since_s: float, details: dict[str, Detail], severity: Severity, confidence: float
    ) -> EventBody:
        return EventBody(
            kind=self._kind,
            phase=phase,
            event=self._setting.event_id(self._kind, self._where, since_s, self._number),
            where=self._where,
            severity=severity,
            confidence=round(confidence, 3),
            since=since_s,
            details=details,
        )
