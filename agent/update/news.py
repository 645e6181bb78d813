"""What an update means to those who read events: it began, went on, or ended, told once over any restart.

Pure: from what was told last and where a slot stands now comes what is to be told. What was told is text, to be
stored together with the records, so that none is lost and none comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from agent.records import Detail, EventBody, EventKind, Phase, Severity
from agent.update.status import UpdateStatus

_TOLD_STATES: Final = frozenset({"trial", "shadow"})
_BAD_ENDS: Final = frozenset({"blocked", "rolled_back"})


@checked(frozen=True, slots=True)
class Told:
    """What was told last of one slot.

    Attributes:
        mark: Where it stood then.
        since: When the update began that is told as going on; ``None`` where none is.
        serial: Its release.
    """

    mark: str = ""
    since: float | None = None
    serial: int = 0

    def text(self) -> str:
        """To be stored with the records."""
        return _TOLD.dump_json(self).decode()


_TOLD: Final = TypeAdapter(Told)


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told of one slot: its phases in order, for each camera that the slot concerns; and what is told."""

    phases: tuple[Phase, ...]
    since_s: float
    serial: int
    told: Told


def told_before(text: str | None) -> Told | None:
    """What was stored; ``None`` where nothing was, or it can't be read."""
    try:
        return None if text is None else _TOLD.validate_json(text)
    except ValidationError:
        return None


def news_of(status: UpdateStatus, told: Told | None) -> News | None:
    """What is new in where a slot stands; ``None`` when nothing is.

    Args:
        status: Where it stands.
        told: What was told last; ``None`` on a box that never told anything.
    """
    about = status.candidate or status.model
    mark = f"{status.state} {status.watching} {'' if about is None else about.sha256}"
    if told is not None and told.mark == mark:
        return None
    is_open = told is not None and told.since is not None
    phases = _phases(status, is_open=is_open, is_first=told is None)
    if not phases:
        kept = Told(mark) if told is None or not is_open else Told(mark, told.since, told.serial)
        return None if told is not None and kept == told else News((), 0.0, 0, kept)
    begun = told if told is not None and is_open else None
    serial = begun.serial if begun else status.candidate_serial or status.serial
    since_s = begun.since if begun and begun.since is not None else status.since or 0.0
    after = Told(mark) if phases[-1] == "end" else Told(mark, since_s, serial)
    return News(phases, since_s, serial, after)


def _phases(status: UpdateStatus, *, is_open: bool, is_first: bool) -> tuple[Phase, ...]:
    if status.state in _TOLD_STATES or status.watching:
        return ("update",) if is_open else ("start",)
    if status.state in _BAD_ENDS:
        return ("end",) if is_open or is_first else ("start", "end")
    if status.state in ("idle", "committed") and is_open:
        return ("end",)
    return ()


def event_of(status: UpdateStatus, news: News, phase: Phase, kind: EventKind, event: str) -> EventBody:
    """One phase of an event as the body of a record."""
    bad = phase == "end" and (status.state in _BAD_ENDS)
    severity: Severity = "warning" if bad else "info"
    return EventBody(
        kind=kind,
        phase=phase,
        event=event,
        severity=severity,
        confidence=1.0,
        since=news.since_s,
        details=_details(status),
    )


def _details(status: UpdateStatus) -> dict[str, Detail]:
    details: dict[str, Detail] = {"slot": status.slot, "state": status.state, "release": status.serial}
    for name, model in (("model", status.model), ("candidate", status.candidate)):
        if model is not None:
            details[name] = {"name": model.name, "version": model.version, "sha256": model.sha256}
    if status.candidate_serial is not None:
        details["candidate_release"] = status.candidate_serial
    if status.reason is not None:
        details |= {"reason": status.reason, "detail": (status.detail or "")[:500]}
    shadow = status.shadow
    if shadow is not None:
        details["shadow"] = {
            "watched_s": shadow.watched_s,
            "frames": shadow.frames,
            "in_charge": shadow.in_charge,
            "candidate": shadow.candidate,
            "matched": shadow.matched,
        }
    return details
