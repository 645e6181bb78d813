"""What a subscriber knows so far, and how it looks in a terminal: counts, zones, events, boxes.

Fed with messages as they come from a broker and with nothing else, so what it shows is what was received. Memory is
bounded: the newest record of each line and zone, and the last events.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.mqtt.coding import MessageError, decode, decode_record
from agent.mqtt.health import Health
from agent.mqtt.messages import Status
from agent.mqtt.topics import Address, parse
from agent.records import CountBody, EventBody, GapBody, ZoneBody, utc_text

_EVENTS_KEPT: Final = 8
_ROWS_KEPT: Final = 500
_SEVERITY_STYLE: Final = {"info": "cyan", "warning": "yellow", "alarm": "bold red"}


@dataclass(slots=True)
class Board:
    """The newest of everything that was received."""

    counts: dict[tuple[str, ...], CountBody] = field(default_factory=dict)
    zones: dict[tuple[str, ...], ZoneBody] = field(default_factory=dict)
    events: deque[tuple[str, EventBody]] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    boxes: dict[str, str] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    received: int = 0
    refused: str = ""

    def take(self, topic: str, payload: bytes) -> str | None:
        """Take in one message.

        Returns:
            One line that says what came, or ``None`` for what needs no line of its own.
        """
        try:
            line = self._understand(parse(topic), payload)
        except (ValueError, MessageError) as error:
            self.refused = _plain(str(error))
            return f"refused: {self.refused}"
        self.received += 1
        return line

    def _understand(self, address: Address, payload: bytes) -> str | None:
        if address.leaf == "health":
            _bounded(self.health)[address.device] = decode(Health, payload, str(address))
            return None
        if address.leaf == "status":
            status = decode(Status, payload, str(address))
            _bounded(self.boxes)[address.device] = status.state
            return f"{address.device} is {status.state}"
        if address.leaf not in {"count", "zone", "event", "gap"}:
            return None
        message = decode_record(payload, address)
        place = f"{address.device}/{address.camera}"
        body = message.body
        match body:
            case CountBody():
                _bounded(self.counts)[place, body.line, body.direction] = body
            case ZoneBody():
                _bounded(self.zones)[place, body.zone] = body
            case EventBody():
                self.events.append((place, body))
            case GapBody():
                pass
        return _plain(f"#{message.envelope.seq} {place} {_said(body)}")

    def render(self) -> RenderableType:
        """The board as a terminal shows it."""
        parts: list[RenderableType] = [self._count_table()]
        if self.zones:
            parts.append(self._zone_table())
        if self.events:
            parts.append(self._event_table())
        parts.append(self._foot())
        return Group(*parts)

    def _count_table(self) -> Table:
        table = Table(title="Counts, as received", expand=True)
        for column in ("camera", "line", "direction", "interval", "by class", "volume", "ever", "quality"):
            table.add_column(column, justify="right" if column in {"volume", "ever"} else "left")
        for (place, line, direction), body in sorted(self.counts.items()):
            classes = ", ".join(f"{name} {n}" for name, n in (body.by_class or {}).items() if n)
            volume = "" if body.volume is None else str(body.volume)
            texts = (place, line, direction, _since(body), classes, volume, str(body.cumulative))
            table.add_row(*map(_cell, texts), _quality(body))
        return table

    def _zone_table(self) -> Table:
        table = Table(title="Zones", expand=True)
        for column in (
            "camera",
            "zone",
            "interval",
            "present, mean",
            "at most",
            "entered",
            "left",
            "dwell s",
            "quality",
        ):
            table.add_column(column)
        for (place, zone), body in sorted(self.zones.items()):
            present = ("", "") if body.present is None else (f"{body.present.mean:.1f}", f"{body.present.max:.0f}")
            dwell = "" if body.dwell_s is None else f"{body.dwell_s.mean:.1f}"
            numbers = ["" if n is None else str(n) for n in (body.entered, body.left)]
            texts = (place, zone, _since(body), *present, *numbers, dwell)
            table.add_row(*map(_cell, texts), _quality(body))
        return table

    def _event_table(self) -> Table:
        table = Table(title="Events", expand=True)
        for column in ("since", "camera", "kind", "phase", "where", "details"):
            table.add_column(column)
        for place, body in self.events:
            details = json.dumps(body.details, ensure_ascii=False) if body.details else ""
            style = _SEVERITY_STYLE[body.severity]
            row = (utc_text(body.since)[11:19], place, body.kind, body.phase, body.where or "", details)
            table.add_row(*map(_cell, row), style=style)
        return table

    def _foot(self) -> Text:
        boxes = ", ".join(f"{device} {state}" for device, state in sorted(self.boxes.items())) or "no box yet"
        foot = Text(f"{self.received} messages received; {boxes}")
        for device, health in sorted(self.health.items()):
            for name, camera in health.cameras.items():
                rate = f", {camera.detect_fps:.1f} detections/s" if camera.detect_fps else ""
                foot.append(_plain(f"\n{device}/{name}: {camera.state}{rate}", keep="\n"))
        if self.refused:
            foot.append(f"\nlast refused: {self.refused}", style="red")
        return foot


def _plain(text: str, keep: str = "") -> str:
    """What came over the network, without the control characters that could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter in keep else "?" for letter in text)


def _cell(text: str) -> Text:
    """The same for a table, where brackets are no markup."""
    return Text(_plain(text))


def _bounded(rows: dict[Any, Any]) -> dict[Any, Any]:
    while len(rows) >= _ROWS_KEPT:
        rows.pop(next(iter(rows)))
    return rows


def _quality(body: CountBody | ZoneBody) -> Text:
    quality = body.quality
    words = ", ".join(quality.reasons) or ("good" if quality.valid else "not valid")
    return Text(words, style="green" if quality.valid else "red")


def _since(body: CountBody | ZoneBody) -> str:
    """When an interval began, and whether it is shorter than the others."""
    return utc_text(body.interval.start)[11:19] + (", cut short" if body.interval.partial else "")


def _doubt(body: CountBody | ZoneBody) -> str:
    """Why a number should not be used, where it should not."""
    return "" if body.quality.valid else f" (not valid: {', '.join(body.quality.reasons) or 'watched too little'})"


def _said(body: CountBody | ZoneBody | EventBody | GapBody) -> str:
    """One record in a few words."""
    match body:
        case CountBody():
            classes = ", ".join(f"{name} {n}" for name, n in (body.by_class or {}).items() if n) or "none"
            counted = classes if body.volume is not None else "not watched"
            return f"count {body.line} {body.direction} {_since(body)}: {counted}{_doubt(body)}"
        case ZoneBody():
            present = "not watched" if body.present is None else f"{body.present.mean:.1f} present on average"
            return f"zone {body.zone} {_since(body)}: {present}{_doubt(body)}"
        case EventBody():
            return f"event {body.kind} {body.phase} {body.where or ''}".rstrip()
        case GapBody():
            return f"gap {body.first_seq}-{body.last_seq}: {body.why}"
