"""What a fleet of boxes says about its updates: read from their birth and health messages, shown as a table.

Reads only. What a box says is shown as it is, without anything a terminal could take for a command.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from agent.records import load
from agent.update.status import UpdateStatus

_FAILED: Final = frozenset({"blocked", "rolled_back"})


@dataclass(slots=True)
class BoxBook:
    """What one box said last."""

    link: str = "unknown"
    updates: dict[str, UpdateStatus] = field(default_factory=dict)


class Fleet:
    """Every box that was heard of."""

    def __init__(self) -> None:
        self.boxes: dict[str, BoxBook] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """Note one message; what is no message of a box is passed over.

        Args:
            topic: ``kentongan/v1/<device>/status``, ``birth`` or ``health``.
            payload: JSON.
        """
        parts = topic.split("/")
        if len(parts) != 4 or parts[3] not in ("status", "birth", "health"):
            return
        try:
            content = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(content, dict):
            return
        book = self.boxes.setdefault(parts[2], BoxBook())
        if parts[3] == "status":
            book.link = str(content.get("state", "unknown"))
            return
        for status in _statuses(content):
            self.note(parts[2], status)

    def note(self, device: str, status: UpdateStatus) -> None:
        """Note where one slot of one box stands."""
        self.boxes.setdefault(device, BoxBook()).updates[status.slot] = status

    def outcomes(self, slot: str) -> Mapping[int, tuple[int, int]]:
        """For each release how many boxes tried it to an end, and how many of those failed it."""
        counted: dict[int, tuple[int, int]] = {}
        for book in self.boxes.values():
            status = book.updates.get(slot)
            if status is None:
                continue
            if status.state in _FAILED and status.candidate_serial and status.reason != "withdrawn":
                tried, failed = counted.get(status.candidate_serial, (0, 0))
                counted[status.candidate_serial] = (tried + 1, failed + 1)
            if status.serial:
                tried, failed = counted.get(status.serial, (0, 0))
                counted[status.serial] = (tried + 1, failed)
        return counted

    def table(self) -> Table:
        """Box by box, slot by slot."""
        table = Table("box", "link", "slot", "state", "model", "release", "reason", "shadow")
        for device, book in sorted(self.boxes.items()):
            if not book.updates:
                table.add_row(escape(device), escape(book.link), "-", "-", "-", "-", "-", "-")
            for slot, status in sorted(book.updates.items()):
                table.add_row(*(escape(_clean(text)) for text in (device, book.link, slot, *_columns(status))))
        return table

    def summary(self) -> str:
        """One line: how many boxes are in which state."""
        states: dict[str, int] = {}
        for book in self.boxes.values():
            for status in book.updates.values():
                states[status.state] = states.get(status.state, 0) + 1
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "nothing of updates"
        return f"{len(self.boxes)} boxes: {told}"


def _statuses(content: Mapping[str, Any]) -> Iterable[UpdateStatus]:
    updates = content.get("updates")
    for plain in updates if isinstance(updates, list) else []:
        try:
            status: UpdateStatus = load(UpdateStatus, plain)
        except ValidationError:
            continue  # a newer agent may say more than this command understands
        yield status


def _columns(status: UpdateStatus) -> tuple[str, ...]:
    model, candidate = status.model, status.candidate
    running = "as installed" if model is None else f"{model.name} {model.version} {model.sha256[:8]}"
    if candidate is not None and status.state not in ("idle", "committed"):
        running += f" ({candidate.version} {candidate.sha256[:8]})"
    shadow = status.shadow
    compared = "-" if shadow is None else f"{shadow.candidate}/{shadow.in_charge} in {shadow.frames} frames"
    reason = "-" if status.reason is None else f"{status.reason}: {status.detail or ''}"
    return status.state, running, str(status.serial or "-"), reason[:120], compared


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
