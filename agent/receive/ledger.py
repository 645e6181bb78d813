"""What is kept of every box, in the few clauses of SQL that SQLite and PostgreSQL read alike.

Promises what :class:`agent.receive.store.Store` does, on any database that runs one writing transaction at a time.
Knows nothing of how that database is reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeAlias

from agent.outbox.rows import joined
from agent.receive.store import Arrival, DeviceReport, Hole, Mark

Value: TypeAlias = str | int | float | bytes | None

_PAGE: Final = 2_000
_MAX_REFUSED: Final = 10_000
# Types and clauses that SQLite and PostgreSQL read alike.
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS records (
        device TEXT NOT NULL, id TEXT NOT NULL, life BIGINT NOT NULL, seq BIGINT NOT NULL, boot TEXT NOT NULL,
        kind TEXT NOT NULL, camera TEXT, time_s DOUBLE PRECISION NOT NULL, received_s DOUBLE PRECISION NOT NULL,
        fault TEXT, json TEXT NOT NULL, PRIMARY KEY (device, id)
    ){end}""",
    "CREATE UNIQUE INDEX IF NOT EXISTS by_seq ON records (device, life, seq)",
    "CREATE INDEX IF NOT EXISTS by_time ON records (time_s)",
    """CREATE TABLE IF NOT EXISTS devices (
        device TEXT PRIMARY KEY, life BIGINT NOT NULL DEFAULT 1, mark BIGINT NOT NULL DEFAULT 0,
        duplicates BIGINT NOT NULL DEFAULT 0, online BIGINT NOT NULL DEFAULT 0,
        moved_s DOUBLE PRECISION NOT NULL DEFAULT 0, asked_s DOUBLE PRECISION NOT NULL DEFAULT 0
    ){end}""",
    """CREATE TABLE IF NOT EXISTS boots (
        device TEXT NOT NULL, boot TEXT NOT NULL, life BIGINT NOT NULL, PRIMARY KEY (device, boot)
    ){end}""",
    """CREATE TABLE IF NOT EXISTS gone (
        device TEXT NOT NULL, life BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, why TEXT NOT NULL,
        PRIMARY KEY (device, life, first, last)
    ){end}""",
    """CREATE TABLE IF NOT EXISTS refused (
        number {number}, received_s DOUBLE PRECISION NOT NULL, topic TEXT NOT NULL, why TEXT NOT NULL,
        payload {bytes} NOT NULL
    )""",
)


class Database(Protocol):
    """A database; all but :meth:`close` raise :class:`agent.errors.OutboxError` when it refuses."""

    def writing(self) -> AbstractContextManager[None]:
        """One transaction, all or nothing, and no other one that writes beside it."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """What is read within."""
        ...

    def rows(self, query: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Every row of a query; ``?`` stands for a value."""
        ...

    def change(self, query: str, values: Sequence[Value] = ()) -> int:
        """Insert, update or delete; how many rows that were."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def tables(*, end: str, number: str, of_bytes: str) -> Iterator[str]:
    """The statements that make the tables where they are missing.

    Args:
        end: What follows a table with a primary key of its own.
        number: The type of a column that numbers its rows.
        of_bytes: The type of a column of bytes.
    """
    for statement in _TABLES:
        yield statement.format(end=end, number=number, bytes=of_bytes)


_LOOKED_AT: Final = 1_000
_MANY: Final = 20
"""More holes than that are no accident: something takes records away as fast as they come."""
_CLOSE: Final = 16
"""Numbers between two holes that it is cheaper to send again than to ask around."""


class Ledger:
    """A :class:`agent.receive.store.Store` on a :class:`Database` that has the :func:`tables`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def store(self, arrivals: Iterable[Arrival], now_s: float) -> list[Mark]:
        """Keep what is new, in one transaction; return the marks of the boxes that sent something."""
        with self._db.writing():
            touched: dict[str, None] = {}
            for arrival in arrivals:
                if arrival.device not in touched:
                    self._meet(arrival.device, now_s)
                    touched[arrival.device] = None
                self._keep(arrival, now_s)
            return [self._advance(device, now_s) for device in touched]

    def refuse(self, topic: str, payload: bytes, why: str, now_s: float) -> None:
        """Keep a message that can't be understood at all, so that somebody can look at it; the oldest go."""
        with self._db.writing():
            self._db.change(
                "INSERT INTO refused (received_s, topic, why, payload) VALUES (?, ?, ?, ?)",
                (now_s, _storable(topic), _storable(why), payload),
            )
            self._db.change(
                "DELETE FROM refused WHERE number <= (SELECT max(number) FROM refused) - ?", (_MAX_REFUSED,)
            )

    def set_online(self, device: str, *, online: bool) -> None:
        """A box came or went."""
        with self._db.writing():
            self._db.change("INSERT INTO devices (device) VALUES (?) ON CONFLICT DO NOTHING", (device,))
            self._db.change("UPDATE devices SET online = ? WHERE device = ?", (int(online), device))

    def give_up(self, hole: Hole, now_s: float) -> Mark:
        """The box itself doesn't hold these: they will never come."""
        with self._db.writing():
            life, mark = self._device(hole.device)
            # Whatever was never asked for, or has been passed since, is no business of a late answer.
            first = max(hole.first, mark + 1)
            if first <= hole.last:
                self._add_gone(hole.device, life, first, hole.last, "not held")
            return self._advance(hole.device, now_s)

    def marks(self) -> list[Mark]:
        """Up to where every box may forget."""
        with self._db.reading():
            devices = [row[0] for row in self._db.rows("SELECT device FROM devices ORDER BY device")]
            return [self._mark_of(device) for device in devices]

    def claim_holes(self, now_s: float, *, older_s: float, again_s: float, most: int = 5) -> list[Hole]:
        """Holes of boxes that are online which have lasted long enough; nobody else is handed the same for a while.

        Args:
            now_s: UTC seconds.
            older_s: A younger hole may still close by itself.
            again_s: Seconds before anybody is handed holes of this box again.
            most: How many holes of one box at once. Where there are very many, as after the end of a receiver that
                shared the load, holes that lie close together are asked for as one: what comes twice is dropped.
        """
        holes: list[Hole] = []
        with self._db.writing():
            devices = self._db.rows(
                "SELECT device, life, mark FROM devices WHERE online = 1 AND moved_s <= ? AND asked_s <= ?",
                (now_s - older_s, now_s - again_s),
            )
            for device, life, mark in devices:
                found = self._holes(device, life, mark, _LOOKED_AT)
                if len(found) > _MANY:
                    found = _merged(found)
                holes += found[:most]
                if found:
                    self._db.change("UPDATE devices SET asked_s = ? WHERE device = ?", (now_s, device))
        return holes

    def report(self) -> list[DeviceReport]:
        """What is known of every box."""
        with self._db.reading():
            devices = self._db.rows("SELECT device, life, mark, duplicates FROM devices ORDER BY device")
            return [self._report_of(*row) for row in devices]

    def seqs(self, device: str) -> list[int]:
        """The numbers stored of a box's present life, rising."""
        with self._db.reading():
            life, _ = self._device(device)
            rows = self._db.rows("SELECT seq FROM records WHERE device = ? AND life = ? ORDER BY seq", (device, life))
            return [row[0] for row in rows]

    # Inside

    def _one(self, query: str, values: Sequence[Value] = ()) -> tuple[Any, ...] | None:
        return next(iter(self._db.rows(query, values)), None)

    def _meet(self, device: str, now_s: float) -> None:
        """Know a box from its first record on."""
        self._db.change("INSERT INTO devices (device, moved_s) VALUES (?, ?) ON CONFLICT DO NOTHING", (device, now_s))

    def _keep(self, arrival: Arrival, now_s: float) -> None:
        """Store one record, unless it is here already."""
        device = arrival.device
        life = self._life_of(arrival)
        added = self._db.change(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                device, arrival.id, life, arrival.seq, arrival.boot, arrival.kind, arrival.camera, arrival.time_s,
                now_s, _storable(arrival.fault), arrival.json,
            ),
        )  # fmt: skip
        if not added:
            self._db.change("UPDATE devices SET duplicates = duplicates + 1 WHERE device = ?", (device,))
            return
        for first, last in arrival.gone:
            self._add_gone(device, life, first, last, arrival.why)

    def _life_of(self, arrival: Arrival) -> int:
        """Which life of the box a record belongs to: a box whose disk was replaced counts from 1 again."""
        device = arrival.device
        known = self._one("SELECT life FROM boots WHERE device = ? AND boot = ?", (device, arrival.boot))
        life = known[0] if known else self._device(device)[0]
        other = self._one(
            "SELECT 1 FROM records WHERE device = ? AND life = ? AND seq = ? AND id <> ?",
            (device, life, arrival.seq, arrival.id),
        )
        if other:
            life = self._begin_life(device, arrival.boot)
        if known is None or other:
            self._db.change(
                "INSERT INTO boots VALUES (?, ?, ?) ON CONFLICT (device, boot) DO UPDATE SET life = excluded.life",
                (device, arrival.boot, life),
            )
        return life

    def _begin_life(self, device: str, boot: str) -> int:
        life = self._device(device)[0] + 1
        self._db.change("UPDATE devices SET life = ?, mark = 0, asked_s = 0 WHERE device = ?", (life, device))
        self._db.change("UPDATE records SET life = ? WHERE device = ? AND boot = ?", (life, device, boot))
        return life

    def _device(self, device: str) -> tuple[int, int]:
        row = self._one("SELECT life, mark FROM devices WHERE device = ?", (device,))
        return (row[0], row[1]) if row else (1, 0)

    def _add_gone(self, device: str, life: int, first: int, last: int, why: str) -> None:
        self._db.change(
            "INSERT INTO gone VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (device, life, first, last, why)
        )

    def _advance(self, device: str, now_s: float) -> Mark:
        """Move the mark past everything that is stored or will never come."""
        life, mark = self._device(device)
        moved = mark
        while True:
            reached = self._pass_gone(device, life, self._pass_stored(device, life, moved))
            if reached == moved:
                break
            moved = reached
        if moved != mark:
            self._db.change("UPDATE devices SET mark = ?, moved_s = ? WHERE device = ?", (moved, now_s, device))
        return self._mark_of(device)

    def _pass_stored(self, device: str, life: int, mark: int) -> int:
        for seq in self._stored_after(device, life, mark):
            if seq != mark + 1:
                break
            mark = seq
        return mark

    def _pass_gone(self, device: str, life: int, mark: int) -> int:
        query = "SELECT max(last) FROM gone WHERE device = ? AND life = ? AND first <= ? AND last > ?"
        while True:
            row = self._one(query, (device, life, mark + 1, mark))
            if row is None or row[0] is None:
                return mark
            mark = int(row[0])

    def _mark_of(self, device: str) -> Mark:
        life, mark = self._device(device)
        row = self._one("SELECT id FROM records WHERE device = ? AND life = ? AND seq = ?", (device, life, mark))
        return Mark(device, mark, row[0] if row else None)

    def _holes(self, device: str, life: int, mark: int, most: int) -> list[Hole]:
        holes: list[Hole] = []
        reached = mark
        for seq in self._stored_after(device, life, mark):
            if seq > reached + 1:
                reached = self._pass_gone(device, life, reached)
            if seq > reached + 1:
                holes.append(Hole(device, reached + 1, seq - 1))
                if len(holes) == most:
                    break
            reached = max(reached, seq)
        return holes

    def _stored_after(self, device: str, life: int, mark: int) -> Iterator[int]:
        """Stored numbers above ``mark``, rising, a page at a time: there may be millions."""
        query = "SELECT seq FROM records WHERE device = ? AND life = ? AND seq > ? ORDER BY seq LIMIT ?"
        while True:
            page = self._db.rows(query, (device, life, mark, _PAGE))
            for (seq,) in page:
                mark = seq
                yield seq
            if len(page) < _PAGE:
                return

    def _report_of(self, device: str, life: int, mark: int, duplicates: int) -> DeviceReport:
        ((stored, faulty),) = self._db.rows(
            "SELECT count(*), count(fault) FROM records WHERE device = ? AND life = ?", (device, life)
        )
        gone = sum(self._unstored(device, life, *run) for run in self._gone_runs(device, life))
        missing = sum(hole.last - hole.first + 1 for hole in self._holes(device, life, mark, _PAGE))
        return DeviceReport(device, mark, stored, duplicates, faulty, gone, missing)

    def _gone_runs(self, device: str, life: int) -> list[tuple[int, int]]:
        query = "SELECT first, last FROM gone WHERE device = ? AND life = ?"
        return joined(self._db.rows(query, (device, life)))

    def _unstored(self, device: str, life: int, first: int, last: int) -> int:
        query = "SELECT count(*) FROM records WHERE device = ? AND life = ? AND seq BETWEEN ? AND ?"
        ((stored,),) = self._db.rows(query, (device, life, first, last))
        return last - first + 1 - int(stored)


def _storable(text: str | None) -> str | None:
    """Text of unknown origin, without what a database's text can't hold: half characters and zeros."""
    return None if text is None else text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _merged(holes: Sequence[Hole]) -> list[Hole]:
    """The same holes, those close together as one."""
    merged: list[Hole] = []
    for hole in holes:
        if merged and hole.first - merged[-1].last <= _CLOSE:
            merged[-1] = Hole(hole.device, merged[-1].first, hole.last)
        else:
            merged.append(hole)
    return merged
