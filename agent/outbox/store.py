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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from agent.clock import Clock
from agent.errors import OutboxError
from agent.outbox.batch import Batch, Depth, Packed
from agent.outbox.damage import fresh_of, has_successor, ready_of, remove, salvage, succeed
from agent.outbox.database import DamagedError, translated
from agent.outbox.holdings import Holdings
from agent.outbox.mark import lock
from agent.outbox.room import Lost
from agent.outbox.rows import Rank, Row, joined
from agent.records import Record

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


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
        self._mutex = threading.RLock()
        self._held = Holdings(path, boot=boot, clock=clock, machine=machine, max_bytes=max_bytes)
        self._depth = Depth(records=0, oldest_s=None, used_bytes=0, max_bytes=max_bytes)
        self._offered = 0
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
        return self._held.last

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
        found = self._guarded(lambda: self._held.db.execute(query).fetchone())
        return None if found is None else found[0] / 1000

    def load_state(self) -> dict[str, str]:
        """Every named state as it was last committed.

        Raises:
            OutboxError: The store can't be read.
        """
        return self._guarded(lambda: dict(self._held.db.execute("SELECT name, json FROM state").fetchall()))

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
                self._held.shut()
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
            self._held.measure_disk()
            remove(fresh_of(self.path))
            if has_successor(self.path):  # the agent was ended just before it took its place
                self._tell(succeed(self.path), "the last time it was used")
        self._held.recall()
        is_empty = not self.path.exists() or self.path.stat().st_size == 0
        try:
            if is_empty and self._held.mark is not None:  # the database was lost
                self._rebuild()
            else:
                self._held.open(self.path)
                with translated(self.path):
                    self._held.resume(sound=True, saved=[])
        except DamagedError as damage:
            self._replace_damaged(damage)
        self._publish_depth()

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
        self._held.shut()
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
        self._held.open(self.path)
        return aside

    def _fill(self, fresh: Path) -> None:
        """Put what can be read, and the account of what can't, into a new database."""
        has_content = self.path.exists() and self.path.stat().st_size > 0
        # Killed from here on, the next start must still know from where on records may be missing.
        held = self._held
        held.oldest_kept = None if held.mark is None else held.mark.oldest
        try:
            held.open(fresh)
            held.resume(sound=False, saved=salvage(self.path, held.db) if has_content else [])
            held.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            held.oldest_kept = None
            held.shut()

    # Inside

    def _guarded(self, work: Callable[[], _T]) -> _T:
        """Do the work; when it meets damage, replace the database and do it once more."""
        with self._mutex:
            if self._lock < 0:
                raise OutboxError(f"{self.path}: the outbox is closed")
            if not self._held.is_open:  # replacing it failed the last time: the disk was full
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
        numbers = self._held.commit(batch, packed, offered=self._offered)
        self._publish_depth()
        return numbers

    def _rows(self, where: str, low: int, high: int, limit: int) -> list[Row]:
        rows, broken = self._held.rows(where, low, high, limit)
        if broken:
            self._drop_broken(broken)
        return rows

    def _drop_broken(self, seqs: list[int]) -> None:
        _log.error("%s: %d records are damaged and are reported as a gap; check the disk", self.path, len(seqs))
        self._held.report([Lost(joined((seq, seq) for seq in seqs))], "outbox_damaged")
        self._publish_depth()

    def _publish_depth(self) -> None:
        """Renew what :meth:`depth` tells; what was committed stands, whether or not it can be measured."""
        with suppress(sqlite3.Error, OSError):
            self._depth = self._held.measure()
