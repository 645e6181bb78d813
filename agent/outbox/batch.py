"""What goes into the outbox in one commit, and what comes out: records as rows of the database.

Promises that what was inserted reads back the same. Runs inside the caller's transaction and decides nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.outbox.rows import Rank, Row, body_text, model_text, pack, rank_of, unpack
from agent.records import ClockState, Record, RecordKind

ROW_BYTES: Final = 120  # a row's columns beside its body, and its place in the index
COLUMNS: Final = (
    "seq, boots.boot, boots.machine, kind, camera, rank, time_s, mono_s, synced, error_ms, models.json, body "
    "FROM records JOIN boots ON boots.id = records.boot LEFT JOIN models ON models.id = records.model"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit does, all or nothing.

    Attributes:
        records: To be stored, in this order.
        state: Named JSON texts that belong to these records: counters, open events.
        skipped: Records by kind that were lost before they came here; they get numbers and a gap record.
        done: Sequence numbers that were delivered.
        done_through: Every number up to this one was delivered.
    """

    records: Sequence[Record] = ()
    state: Mapping[str, str] = field(default_factory=dict)
    skipped: Mapping[RecordKind, int] = field(default_factory=dict)
    done: Sequence[int] = ()
    done_through: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """How full the store is: records waiting, UTC seconds of the oldest, bytes in use and allowed."""

    records: int
    oldest_s: float | None
    used_bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A record with its body and its model as they lie on disk."""

    record: Record
    body: bytes
    model: str | None

    @classmethod
    def of(cls, record: Record) -> Packed:
        """Ready to be inserted."""
        return cls(record, pack(body_text(record)), model_text(record))


def insert(db: sqlite3.Connection, boot_row: int | None, first: int, packed: Sequence[Packed]) -> None:
    """Store records under the numbers from ``first`` on; remember the last number and the newest trusted time."""
    models = {text: _model_row(db, text) for text in {one.model for one in packed}}
    rows = (
        (
            seq,
            boot_row,
            one.record.kind,
            one.record.camera,
            rank_of(one.record),
            one.record.time,
            one.record.mono_s,
            one.record.clock.synced,
            one.record.clock.error_ms,
            models[one.model],
            one.body,
        )
        for seq, one in enumerate(packed, first)
    )
    db.executemany(f"INSERT INTO records VALUES ({', '.join('?' * 11)})", rows)  # noqa: S608 - a count
    db.execute("INSERT OR REPLACE INTO meta VALUES ('last', ?)", (first + len(packed) - 1,))
    trusted = [one.record.time for one in packed if one.record.clock.synced]
    if trusted:
        raise_newest = (
            "INSERT INTO meta VALUES ('newest_ms', ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
        )
        db.execute(raise_newest, (round(max(trusted) * 1000),))


def _model_row(db: sqlite3.Connection, text: str | None) -> int | None:
    if text is None:
        return None
    db.execute("INSERT OR IGNORE INTO models (json) VALUES (?)", (text,))
    return int(db.execute("SELECT id FROM models WHERE json = ?", (text,)).fetchone()[0])


def row_of(raw: tuple[Any, ...]) -> Row:
    """A row of :data:`COLUMNS`.

    Raises:
        ValueError: Its body is damaged.
    """
    seq, boot, machine, kind, camera, rank, time_s, mono_s, synced, error_ms, model, body = raw
    return Row(
        seq=seq,
        boot=boot,
        machine=machine,
        kind=kind,
        camera=camera,
        rank=Rank(rank),
        time_s=time_s,
        mono_s=mono_s,
        clock=ClockState(synced=bool(synced), error_ms=error_ms),
        model=model,
        body=unpack(body),
    )
