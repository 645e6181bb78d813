"""From a stored row to the bytes on the wire, times corrected when the clock has been set since.

Promises that the same row gives the same message whenever it is sent, but for ``backfill`` and, once the clock is
set, its times. A record is corrected only on the machine start that made it: only there is the offset known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent.clock import Instant
from agent.mqtt.coding import compact, envelope_plain
from agent.mqtt.messages import Envelope
from agent.outbox import Row
from agent.records import ClockState, ModelRef, Record, dump, load, utc_seconds, utc_text


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of the clock at the moment of sending, on this start of the machine."""

    now: Instant
    machine: str

    def shift_s(self, row: Row) -> float | None:
        """By how much the row's times are wrong; ``None`` when they are right or nobody can know."""
        if row.clock.synced or not self.now.synced or row.mono_s is None or row.machine != self.machine:
            return None
        return row.mono_s + (self.now.utc_s - self.now.mono_s) - row.time_s


def encode_row(row: Row, device: str, setting: Setting, *, backfill: bool) -> bytes:
    """The message that carries this row.

    Raises:
        MessageError: More than 64 kB.
    """
    body = json.loads(row.body)
    time_s, clock = row.time_s, row.clock
    shift_s = setting.shift_s(row)
    if shift_s is not None:
        time_s += shift_s
        clock = ClockState(synced=True, error_ms=setting.now.error_ms, corrected_s=round(shift_s, 3))
        body = shifted(body, shift_s)
    envelope = Envelope(
        device=device,
        boot=row.boot,
        seq=row.seq,
        id=row.id,
        time=time_s,
        camera=row.camera,
        clock=clock,
        model=None if row.model is None else load(ModelRef, json.loads(row.model)),
        backfill=backfill,
    )
    return compact(envelope_plain(envelope, body))


def record_message(record: Record, *, device: str, boot: str, seq: int, record_id: str) -> dict[str, Any]:
    """The message of a record that never was in an outbox, as plain JSON values: for replay and for tests."""
    envelope = Envelope(
        device=device,
        boot=boot,
        seq=seq,
        id=record_id,
        time=record.time,
        camera=record.camera,
        clock=record.clock,
        model=record.model,
    )
    return envelope_plain(envelope, dump(record.body))


def shifted(body: dict[str, Any], by_s: float) -> dict[str, Any]:
    """A body's plain values with every time moved."""
    moved = dict(body)
    if "since" in moved:
        moved["since"] = _moved(moved["since"], by_s)
    if "interval" in moved:
        interval = moved["interval"]
        moved["interval"] = {
            **interval,
            "start": _moved(interval["start"], by_s),
            "end": _moved(interval["end"], by_s),
        }
    return moved


def _moved(text: str, by_s: float) -> str:
    return utc_text(utc_seconds(text) + by_s)
