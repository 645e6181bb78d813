"""The outbox: records become durable here before anyone sends them.

Promises that records and the state they came from are committed together or not at all, that sequence numbers rise
by one and never come twice, and that whatever had to be dropped is told in a gap record. Knows nothing of cameras
and nothing of networks. Every method may be called from any thread.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from agent.clock import Clock
from agent.errors import OutboxError
from agent.outbox.batch import COLUMNS, ROW_BYTES, Batch, Depth, Packed, insert, row_of
from agent.outbox.damage import continued, fresh_of, has_successor, ready_of, remove, salvage, succeed
from agent.outbox.database import (
    PAGE_BYTES,
    DamagedError,
    Limits,
    files_of,
    limit_pages,
    open_database,
    transaction,
    translated,
    used_pages,
)
from agent.outbox.mark import BLOCK, Mark, lock, read_mark, write_mark
from agent.outbox.room import Lost, Why, has_room, make_room, merged
from agent.outbox.rows import Rank, Row, joined
from agent.records import ClockState, Record

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_PIECE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Ledger:
    last: int = 0
    depth: int = 0


class Outbox:
    """The store in one folder: a SQLite database, a high-water mark beside it, and a lock.

    Args:
        path: The database; it and its folder are made when missing.
        boot: A UUID for this start of the agent; with ``seq`` it determines every record's id.
        clock: For the times of gap records.
        machine: An id of this start of the machine, within which ``mono_s`` can be compared.
        max_bytes: Room for the database and its log; less when the disk has less.

    Raises:
        OutboxError: The folder can't be used, or another process uses it.
    """

    def __init__(self, path: Path, *, boot: str, clock: Clock, machine: str = "", max_bytes: int = 1 << 30) -> None:
        self.boot: Final = boot
        self.path: Final = path
        self.notice: str | None = None
        self._clock = clock
        self._machine = machine
        self._max_bytes = max_bytes
        self._mark_path = path.with_name(path.name + ".mark")
        self._mark: Mark | None = None
        self._mutex = threading.RLock()
        self._ledger = _Ledger()
        self._depth = Depth(records=0, oldest_s=None, used_bytes=0, max_bytes=max_bytes)
        self._oldest_kept: int | None = None
        self._offered = 0
        self._is_open = False
        self._lock = self._take_folder()
        try:
            self._open()
        except BaseException:
            os.close(self._lock)
            raise

    # Writing

    def append(self, records: Sequence[Record], state: Mapping[str, str] | None = None) -> range:
        """Store records and the state they came from in one transaction; return their sequence numbers.

        Raises:
            OutboxError: The disk refuses; nothing was stored, and the same call may be tried again.
        """
        return self.commit(Batch(records=records, state=state or {}))

    def done(self, *seqs: int) -> None:
        """Forget records that were delivered; numbers that are already gone are fine.

        Raises:
            OutboxError: The disk refuses; nothing was forgotten.
        """
        self.commit(Batch(done=seqs))

    def done_through(self, seq: int) -> None:
        """Forget every record up to this one: a receiver has them.

        Raises:
            OutboxError: The disk refuses; nothing was forgotten.
        """
        self.commit(Batch(done_through=seq))

    def commit(self, batch: Batch) -> range:
        """Do everything in the batch, or nothing; return the sequence numbers of its records.

        Raises:
            OutboxError: The disk refuses; no record was stored, and the same call may be tried again.
        """
        packed = [Packed.of(record) for record in batch.records]
        if batch == Batch():
            return range(0)
        return self._guarded(lambda: self._commit(batch, packed))

    # Reading

    @property
    def last(self) -> int:
        """The highest sequence number given out; 0 before the first."""
        return self._ledger.last

    def pending(self, after: int = 0, limit: int = 100, *, through: int | None = None) -> list[Row]:
        """Rows with a higher sequence number than ``after``, in order, at most up to ``through``.

        Raises:
            OutboxError: The store can't be read.
        """
        bound = self.last if through is None else through
        rows = self._guarded(lambda: self._rows("WHERE seq > ? AND seq <= ? ORDER BY seq", after, bound, limit))
        if rows:
            self._offered = max(self._offered, rows[-1].seq)
        return rows

    def alarms(self, after: int, through: int, limit: int = 100) -> list[Row]:
        """Alarms with sequence numbers above ``after`` and up to ``through``, the newest first.

        Raises:
            OutboxError: The store can't be read.
        """
        where = f"WHERE rank = {Rank.ALARM:d} AND seq > ? AND seq <= ? ORDER BY seq DESC"
        return self._guarded(lambda: self._rows(where, after, through, limit))

    def row(self, seq: int) -> Row | None:
        """The row with this number, if it is still here.

        Raises:
            OutboxError: The store can't be read.
        """
        rows = self._guarded(lambda: self._rows("WHERE seq >= ? AND seq <= ?", seq, seq, 1))
        return rows[0] if rows else None

    def newest_s(self) -> float | None:
        """The latest time of any record ever stored under a trusted clock: the present can't be earlier.

        Raises:
            OutboxError: The store can't be read.
        """
        query = "SELECT value FROM meta WHERE key = 'newest_ms'"
        found = self._guarded(lambda: self._db.execute(query).fetchone())
        return None if found is None else found[0] / 1000

    def load_state(self) -> dict[str, str]:
        """Every named state as it was last committed.

        Raises:
            OutboxError: The store can't be read.
        """
        return self._guarded(lambda: dict(self._db.execute("SELECT name, json FROM state").fetchall()))

    def depth(self) -> Depth:
        """How full the store was after the last commit; never waits, not even for a disk that hangs."""
        return self._depth

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write everything into the one file, and let another process have the folder. May be called twice.

        Returns:
            Whether it is closed; False when a commit hangs so long that only the end of the process lets go.
        """
        if not self._mutex.acquire(timeout=max(0.0, timeout_s)):
            _log.error("%s: a commit hangs, so it can't be closed; check the disk", self.path)
            return False
        try:
            if self._lock >= 0:
                self._shut()
                os.close(self._lock)
                self._lock = -1
        finally:
            self._mutex.release()
        return True

    # Opening

    def _take_folder(self) -> int:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return lock(self.path.with_name(self.path.name + ".lock"))
        except OSError as error:
            raise OutboxError(
                f"{self.path.parent}: the outbox can't be kept there ({error.strerror}); "
                "make the folder writable for the user the agent runs as"
            ) from error

    def _open(self) -> None:
        with translated(self.path):
            self._limits = Limits.on_disk(self.path, self._max_bytes)
            remove(fresh_of(self.path))
            if has_successor(self.path):  # the agent was ended just before it took its place
                self._tell(succeed(self.path), "the last time it was used")
        self._mark = read_mark(self._mark_path)
        is_empty = not self.path.exists() or self.path.stat().st_size == 0
        try:
            if is_empty and self._mark is not None:  # the database was lost
                self._rebuild()
            else:
                self._connect(self.path)
                with translated(self.path):
                    self._resume(sound=True, saved=[])
        except DamagedError as damage:
            self._replace_damaged(damage)
        self._publish_depth()

    def _connect(self, path: Path) -> None:
        self._db = open_database(path, self._limits)
        self._is_open = True

    def _shut(self) -> None:
        if self._is_open:
            self._is_open = False
            self._db.close()

    def _replace_damaged(self, damage: DamagedError) -> None:
        aside = self._rebuild()
        self._tell(aside, f"({damage})")
        self._publish_depth()

    def _tell(self, aside: Path, how: str) -> None:
        self.notice = (
            f"{self.path}: was damaged {how} and set aside as {aside.name}; "
            "what could be read was kept, the rest is reported as a gap; check the disk"
        )
        _log.error("%s", self.notice)

    def _rebuild(self) -> Path:
        """Make the successor beside the database, complete with its gap record, and let it take the place."""
        self._shut()
        fresh = fresh_of(self.path)
        with translated(self.path):
            remove(fresh)
            try:
                self._fill(fresh)
            except DamagedError as damage:
                raise OutboxError(f"{self.path}: is damaged again at once ({damage}); replace the disk") from damage
            except BaseException:
                remove(fresh)
                raise
            fresh.replace(ready_of(self.path))
            aside = succeed(self.path)
        self._connect(self.path)
        return aside

    def _fill(self, fresh: Path) -> None:
        """Put what can be read, and the account of what can't, into a new database."""
        has_content = self.path.exists() and self.path.stat().st_size > 0
        # Killed from here on, the next start must still know from where on records may be missing.
        self._oldest_kept = None if self._mark is None else self._mark.oldest
        try:
            self._connect(fresh)
            self._resume(sound=False, saved=salvage(self.path, self._db) if has_content else [])
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._oldest_kept = None
            self._shut()

    def _resume(self, *, sound: bool, saved: list[tuple[int, int]]) -> None:
        """Find where numbering goes on, tell of what is lost, and prune what nothing refers to."""
        last, depth = (
            int(self._db.execute(query).fetchone()[0])
            for query in ("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'last'", "SELECT count(*) FROM records")
        )
        known = max([last, *(run[1] for run in saved)])
        on = continued(known, self._mark, sound=sound)
        self._ledger = _Ledger(last=max(on.last, known), depth=depth)
        with transaction(self._db):
            self._db.execute("DELETE FROM boots WHERE id < coalesce((SELECT min(boot) FROM records), 1 << 62)")
            self._boot_row = self._db.execute(
                "INSERT INTO boots (boot, machine) VALUES (?, ?)", (self.boot, self._machine)
            ).lastrowid
        if on.lost is not None:
            gone = _without(on.lost, saved)
            self._report(merged(Lost([run]) for run in gone), "outbox_damaged")

    # Inside

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do the work; when it meets damage, replace the database and do it once more."""
        with self._mutex:
            if self._lock < 0:
                raise OutboxError(f"{self.path}: the outbox is closed")
            if not self._is_open:  # replacing it failed the last time: the disk was full
                self._open()
            try:
                with translated(self.path):
                    return work()
            except DamagedError as damage:
                self._replace_damaged(damage)
            try:
                with translated(self.path):
                    return work()
            except DamagedError as damage:
                raise OutboxError(f"{self.path}: is damaged again at once ({damage}); replace the disk") from damage

    def _commit(self, batch: Batch, packed: list[Packed]) -> range:
        if batch.done_through or len(batch.done) > _PIECE:
            self._forget_in_pieces(batch)
            batch = replace(batch, done=(), done_through=0)
        total_skipped = sum(batch.skipped.values())
        self._reserve(len(packed) + total_skipped + 64)
        draft = self._ledger
        with transaction(self._db):
            draft = self._forget(draft, batch.done)
            need = sum(len(one.body) + ROW_BYTES for one in packed) + sum(map(len, batch.state.values()))
            pages = need * 2 // PAGE_BYTES + 8
            self._widen(pages)
            before = self._db.total_changes
            lost = make_room(self._db, pages, self._limits.database_pages, offered=self._offered)
            draft = replace(draft, depth=draft.depth - (self._db.total_changes - before))
            self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", batch.state.items())
            if total_skipped:
                run = (draft.last + 1, draft.last + total_skipped)
                lost.append(Lost([run], Counter(batch.skipped)))
                draft = replace(draft, last=run[1])
            first = draft.last + 1
            draft = self._insert(draft, packed)
            draft = self._insert(draft, self._gaps(merged(lost), "outbox_full"))
        self._ledger = draft
        self._publish_depth()
        return range(first, first + len(packed))

    def _widen(self, pages: int) -> None:
        """Before anything is dropped: the disk may have had little room when this was opened, and have more now."""
        if has_room(self._db, pages, self._limits.database_pages):
            return
        limits = Limits.on_disk(self.path, self._max_bytes)
        if limits.database_pages > self._limits.database_pages:
            self._limits = limits
            limit_pages(self._db, limits)

    def _forget(self, draft: _Ledger, seqs: Sequence[int]) -> _Ledger:
        gone = self._db.executemany("DELETE FROM records WHERE seq = ?", ((seq,) for seq in seqs)).rowcount
        return replace(draft, depth=draft.depth - max(gone, 0))

    def _forget_in_pieces(self, batch: Batch) -> None:
        """Many rows at once would need as much room in the log as they free: more than a full disk has."""
        query = "DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE seq <= ? ORDER BY seq LIMIT ?)"
        gone = _PIECE
        while gone == _PIECE:
            with transaction(self._db):
                gone = self._db.execute(query, (batch.done_through, _PIECE)).rowcount
            self._ledger = replace(self._ledger, depth=self._ledger.depth - gone)
        for start in range(0, len(batch.done), _PIECE):
            with transaction(self._db):
                draft = self._forget(self._ledger, batch.done[start : start + _PIECE])
            self._ledger = draft

    def _insert(self, draft: _Ledger, packed: Sequence[Packed]) -> _Ledger:
        if not packed:
            return draft
        insert(self._db, self._boot_row, draft.last + 1, packed)
        return _Ledger(last=draft.last + len(packed), depth=draft.depth + len(packed))

    def _gaps(self, lost: Iterable[Lost], why: Why) -> list[Packed]:
        now = self._clock.now()
        state = ClockState(synced=now.synced, error_ms=now.error_ms)
        return [
            Packed.of(
                Record(kind="gap", camera=None, time=now.utc_s, clock=state, body=part.gap(why), mono_s=now.mono_s)
            )
            for part in lost
        ]

    def _report(self, lost: list[Lost], why: Why) -> None:
        gaps = self._gaps(lost, why)
        self._reserve(len(gaps))
        gone = [(run[0], run[1]) for part in lost for run in part.runs]
        with transaction(self._db):
            deleted = self._db.executemany("DELETE FROM records WHERE seq BETWEEN ? AND ?", gone).rowcount
            draft = replace(self._ledger, depth=self._ledger.depth - max(deleted, 0))
            draft = self._insert(draft, gaps)
        self._ledger = draft

    def _reserve(self, numbers: int) -> None:
        """Raise the mark before numbers at or above it are given out."""
        last = self._ledger.last
        if self._mark is not None and last + numbers < self._mark.ceiling:
            return
        lowest = self._db.execute("SELECT min(seq) FROM records").fetchone()[0] or last + 1
        mark = Mark(oldest=min(lowest, self._oldest_kept or lowest), last=last, ceiling=last + numbers + BLOCK)
        write_mark(self._mark_path, mark)
        self._mark = mark

    def _rows(self, where: str, low: int, high: int, limit: int) -> list[Row]:
        found = self._db.execute(f"SELECT {COLUMNS} {where} LIMIT ?", (low, high, limit)).fetchall()
        rows: list[Row] = []
        broken: list[int] = []
        for raw in found:
            try:
                rows.append(row_of(raw))
            except ValueError:
                broken.append(raw[0])
        if broken:
            self._drop_broken(broken)
        return rows

    def _drop_broken(self, seqs: list[int]) -> None:
        _log.error("%s: %d records are damaged and are reported as a gap; check the disk", self.path, len(seqs))
        self._report([Lost(joined((seq, seq) for seq in seqs))], "outbox_damaged")
        self._publish_depth()

    def _publish_depth(self) -> None:
        """Renew what :meth:`depth` tells; what was committed stands, whether or not it can be measured."""
        with suppress(sqlite3.Error, OSError):
            self._depth = self._measure()

    def _measure(self) -> Depth:
        oldest = self._db.execute("SELECT time_s FROM records ORDER BY seq LIMIT 1").fetchone()
        log = files_of(self.path)[1]
        return Depth(
            records=self._ledger.depth,
            oldest_s=oldest[0] if oldest else None,
            used_bytes=used_pages(self._db) * PAGE_BYTES + (log.stat().st_size if log.exists() else 0),
            max_bytes=self._limits.database_pages * PAGE_BYTES + self._limits.log_bytes,
        )


def _without(run: tuple[int, int], saved: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A range less the ranges in ``saved``, which rise."""
    left: list[tuple[int, int]] = []
    low = run[0]
    for first, last in saved:
        if first > low:
            left.append((low, min(first - 1, run[1])))
        low = max(low, last + 1)
    if low <= run[1]:
        left.append((low, run[1]))
    return left
