"""Where received records are kept: one SQLite file that several receivers may share.

Promises that a record is stored once however often it comes, and that the mark up to which a box may forget is moved
only past what is stored here, or what the box itself says will never come. The mark lives in the store, so no
receiver can acknowledge what another one still holds in memory.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import OutboxError
from agent.outbox.rows import joined

_PAGE: Final = 2_000
_MAX_REFUSED: Final = 10_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    device TEXT NOT NULL, id TEXT NOT NULL, life INTEGER NOT NULL, seq INTEGER NOT NULL, boot TEXT NOT NULL,
    kind TEXT NOT NULL, camera TEXT, time_s REAL NOT NULL, received_s REAL NOT NULL, fault TEXT, json TEXT NOT NULL,
    PRIMARY KEY (device, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS by_seq ON records (device, life, seq);
CREATE INDEX IF NOT EXISTS by_time ON records (time_s);
CREATE TABLE IF NOT EXISTS devices (
    device TEXT PRIMARY KEY, life INTEGER NOT NULL DEFAULT 1, mark INTEGER NOT NULL DEFAULT 0,
    duplicates INTEGER NOT NULL DEFAULT 0, online INTEGER NOT NULL DEFAULT 0, moved_s REAL NOT NULL DEFAULT 0,
    asked_s REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS boots (
    device TEXT NOT NULL, boot TEXT NOT NULL, life INTEGER NOT NULL, PRIMARY KEY (device, boot)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gone (
    device TEXT NOT NULL, life INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (device, life, first, last)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    number INTEGER PRIMARY KEY, received_s REAL NOT NULL, topic TEXT NOT NULL, why TEXT NOT NULL, payload BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A durable record as it came.

    Attributes:
        device: The box.
        id: Unique among all records of all boxes.
        seq: Its number on this box.
        boot: The start of the agent that made it.
        kind: count, zone, event or gap.
        camera: The camera, where there is one.
        time_s: When it was made, UTC seconds.
        json: The whole message.
        fault: What about it doesn't fit the contract; it is kept all the same.
        gone: Of a gap: numbers that will never come, ranges with both ends.
        why: Of a gap: the reason.
    """

    device: str
    id: str
    seq: int
    boot: str
    kind: str
    camera: str | None
    time_s: float
    json: str
    fault: str | None = None
    gone: tuple[tuple[int, int], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a box may forget: ``seq``, and the id of that very record where it is stored."""

    device: str
    seq: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a box that have not come, both ends included."""

    device: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What is known of one box: records stored, duplicates dropped, numbers that will never come."""

    device: str
    mark: int
    stored: int
    duplicates: int
    faulty: int
    gone: int
    missing: int


class SqliteStore:
    """One SQLite file; safe to use from several threads and several processes.

    Args:
        path: The file; it is made when missing.

    Raises:
        OutboxError: It can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._db.close()

    def store(self, arrivals: Iterable[Arrival], now_s: float) -> list[Mark]:
        """Keep what is new, in one transaction; return the marks of the boxes that sent something.

        Raises:
            OutboxError: The disk refuses; nothing was stored, and the same call may be tried again.
        """
        with self._transaction():
            touched: dict[str, None] = {}
            for arrival in arrivals:
                self._keep(arrival, now_s)
                touched[arrival.device] = None
            return [self._advance(device, now_s) for device in touched]

    def refuse(self, topic: str, payload: bytes, why: str, now_s: float) -> None:
        """Keep a message that can't be understood at all, so that somebody can look at it; the oldest go.

        Raises:
            OutboxError: The disk refuses.
        """
        with self._transaction():
            self._db.execute(
                "INSERT INTO refused (received_s, topic, why, payload) VALUES (?, ?, ?, ?)",
                (now_s, topic, why, payload),
            )
            self._db.execute(
                "DELETE FROM refused WHERE number <= (SELECT max(number) FROM refused) - ?", (_MAX_REFUSED,)
            )

    def set_online(self, device: str, *, online: bool) -> None:
        """A box came or went.

        Raises:
            OutboxError: The disk refuses.
        """
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO devices (device) VALUES (?)", (device,))
            self._db.execute("UPDATE devices SET online = ? WHERE device = ?", (online, device))

    def give_up(self, hole: Hole, now_s: float) -> Mark:
        """The box itself doesn't hold these: they will never come.

        Raises:
            OutboxError: The disk refuses.
        """
        with self._transaction():
            life, mark = self._device(hole.device)
            # Whatever was never asked for, or has been passed since, is no business of a late answer.
            first = max(hole.first, mark + 1)
            if first <= hole.last:
                self._add_gone(hole.device, life, first, hole.last, "not held")
            return self._advance(hole.device, now_s)

    def marks(self) -> list[Mark]:
        """Up to where every box may forget.

        Raises:
            OutboxError: The store can't be read.
        """
        with self._translated(), self._mutex:
            devices = [row[0] for row in self._db.execute("SELECT device FROM devices ORDER BY device")]
            return [self._mark_of(device) for device in devices]

    def claim_holes(self, now_s: float, *, older_s: float, again_s: float, most: int = 5) -> list[Hole]:
        """Holes of boxes that are online which have lasted long enough; nobody else is handed the same for a while.

        Args:
            now_s: UTC seconds.
            older_s: A younger hole may still close by itself.
            again_s: Seconds before anybody is handed holes of this box again.
            most: How many holes of one box at once.

        Raises:
            OutboxError: The disk refuses.
        """
        holes: list[Hole] = []
        with self._transaction():
            devices = self._db.execute(
                "SELECT device, life, mark FROM devices WHERE online AND moved_s <= ? AND asked_s <= ?",
                (now_s - older_s, now_s - again_s),
            ).fetchall()
            for device, life, mark in devices:
                found = self._holes(device, life, mark, most)
                holes += found
                if found:
                    self._db.execute("UPDATE devices SET asked_s = ? WHERE device = ?", (now_s, device))
        return holes

    def report(self) -> list[DeviceReport]:
        """What is known of every box.

        Raises:
            OutboxError: The store can't be read.
        """
        with self._translated(), self._mutex:
            devices = self._db.execute("SELECT device, life, mark, duplicates FROM devices ORDER BY device").fetchall()
            return [self._report_of(*row) for row in devices]

    def seqs(self, device: str) -> list[int]:
        """The numbers stored of a box's present life, rising.

        Raises:
            OutboxError: The store can't be read.
        """
        with self._translated(), self._mutex:
            life, _ = self._device(device)
            rows = self._db.execute(
                "SELECT seq FROM records WHERE device = ? AND life = ? ORDER BY seq", (device, life)
            ).fetchall()
            return [row[0] for row in rows]

    # Inside

    def _keep(self, arrival: Arrival, now_s: float) -> None:
        """Store one record, unless it is here already."""
        device = arrival.device
        self._db.execute("INSERT OR IGNORE INTO devices (device, moved_s) VALUES (?, ?)", (device, now_s))
        life = self._life_of(arrival)
        added = self._db.execute(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                device, arrival.id, life, arrival.seq, arrival.boot, arrival.kind, arrival.camera, arrival.time_s,
                now_s, arrival.fault, arrival.json,
            ),
        ).rowcount  # fmt: skip
        if not added:
            self._db.execute("UPDATE devices SET duplicates = duplicates + 1 WHERE device = ?", (device,))
            return
        for first, last in arrival.gone:
            self._add_gone(device, life, first, last, arrival.why)

    def _life_of(self, arrival: Arrival) -> int:
        """Which life of the box a record belongs to: a box whose disk was replaced counts from 1 again."""
        device = arrival.device
        known = self._db.execute(
            "SELECT life FROM boots WHERE device = ? AND boot = ?", (device, arrival.boot)
        ).fetchone()
        life = known[0] if known else self._device(device)[0]
        other = self._db.execute(
            "SELECT 1 FROM records WHERE device = ? AND life = ? AND seq = ? AND id <> ?",
            (device, life, arrival.seq, arrival.id),
        ).fetchone()
        if other:
            life = self._begin_life(device, arrival.boot)
        self._db.execute("INSERT OR REPLACE INTO boots VALUES (?, ?, ?)", (device, arrival.boot, life))
        return life

    def _begin_life(self, device: str, boot: str) -> int:
        life = self._device(device)[0] + 1
        self._db.execute("UPDATE devices SET life = ?, mark = 0, asked_s = 0 WHERE device = ?", (life, device))
        self._db.execute("UPDATE records SET life = ? WHERE device = ? AND boot = ?", (life, device, boot))
        return life

    def _device(self, device: str) -> tuple[int, int]:
        row = self._db.execute("SELECT life, mark FROM devices WHERE device = ?", (device,)).fetchone()
        return (row[0], row[1]) if row else (1, 0)

    def _add_gone(self, device: str, life: int, first: int, last: int, why: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO gone VALUES (?, ?, ?, ?, ?)", (device, life, first, last, why))

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
            self._db.execute("UPDATE devices SET mark = ?, moved_s = ? WHERE device = ?", (moved, now_s, device))
        return self._mark_of(device)

    def _pass_stored(self, device: str, life: int, mark: int) -> int:
        query = "SELECT seq FROM records WHERE device = ? AND life = ? AND seq > ? ORDER BY seq LIMIT ?"
        for (seq,) in self._db.execute(query, (device, life, mark, _PAGE)):
            if seq != mark + 1:
                break
            mark = seq
        return mark

    def _pass_gone(self, device: str, life: int, mark: int) -> int:
        query = "SELECT max(last) FROM gone WHERE device = ? AND life = ? AND first <= ? AND last > ?"
        while True:
            row = self._db.execute(query, (device, life, mark + 1, mark)).fetchone()
            if row[0] is None:
                return mark
            mark = int(row[0])

    def _mark_of(self, device: str) -> Mark:
        life, mark = self._device(device)
        row = self._db.execute(
            "SELECT id FROM records WHERE device = ? AND life = ? AND seq = ?", (device, life, mark)
        ).fetchone()
        return Mark(device, mark, row[0] if row else None)

    def _holes(self, device: str, life: int, mark: int, most: int) -> list[Hole]:
        holes: list[Hole] = []
        query = "SELECT seq FROM records WHERE device = ? AND life = ? AND seq > ? ORDER BY seq"
        reached = mark
        for (seq,) in self._db.execute(query, (device, life, mark)):
            if seq > reached + 1:
                reached = self._pass_gone(device, life, reached)
            if seq > reached + 1:
                holes.append(Hole(device, reached + 1, seq - 1))
                if len(holes) == most:
                    break
            reached = max(reached, seq)
        return holes

    def _report_of(self, device: str, life: int, mark: int, duplicates: int) -> DeviceReport:
        stored, faulty = self._db.execute(
            "SELECT count(*), count(fault) FROM records WHERE device = ? AND life = ?", (device, life)
        ).fetchone()
        gone = sum(self._unstored(device, life, *run) for run in self._gone_runs(device, life))
        missing = sum(hole.last - hole.first + 1 for hole in self._holes(device, life, mark, _PAGE))
        return DeviceReport(device, mark, stored, duplicates, faulty, gone, missing)

    def _gone_runs(self, device: str, life: int) -> list[tuple[int, int]]:
        query = "SELECT first, last FROM gone WHERE device = ? AND life = ?"
        return joined(self._db.execute(query, (device, life)).fetchall())

    def _unstored(self, device: str, life: int, first: int, last: int) -> int:
        query = "SELECT count(*) FROM records WHERE device = ? AND life = ? AND seq BETWEEN ? AND ?"
        stored: int = self._db.execute(query, (device, life, first, last)).fetchone()[0]
        return last - first + 1 - stored

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated(), self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(f"{self.path}: can't be used ({error}); free some space and see who may write") from error
