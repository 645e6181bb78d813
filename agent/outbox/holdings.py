"""What the open database holds: records go in under their numbers, and out when they were delivered.

Promises that each change is one transaction, that no number is given out twice whatever becomes of the database, and
that what has to go is told in a gap record. Opening, replacing what is damaged and keeping threads apart is the work
of :class:`agent.outbox.Outbox`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.outbox.batch import COLUMNS, ROW_BYTES, Batch, Depth, Packed, insert, row_of
from agent.outbox.damage import continued
from agent.outbox.database import (
    PAGE_BYTES,
    Limits,
    files_of,
    limit_pages,
    open_database,
    transaction,
    used_pages,
)
from agent.outbox.mark import BLOCK, Mark, read_mark, write_mark
from agent.outbox.room import Lost, Why, has_room, make_room, merged
from agent.outbox.rows import Row
from agent.records import ClockState, Record

_PIECE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Tally:
    """The highest number given out, and how many records there are."""

    last: int = 0
    depth: int = 0


class Holdings:
    """The outbox's database while it is open, and the mark beside it.

    Args:
        path: Where the database lies.
        boot: A UUID for this start of the agent.
        clock: For the times of gap records.
        machine: An id of this start of the machine.
        max_bytes: Room for the database and its log.
    """

    def __init__(self, path: Path, *, boot: str, clock: Clock, machine: str, max_bytes: int) -> None:
        self.db: sqlite3.Connection
        self.is_open = False
        self.limits = Limits.of(max_bytes)
        self.mark: Mark | None = None
        self.oldest_kept: int | None = None
        self._path = path
        self._boot = boot
        self._clock = clock
        self._machine = machine
        self._max_bytes = max_bytes
        self._mark_path = path.with_name(path.name + ".mark")
        self._tally = _Tally()
        self._boot_row: int | None = None

    @property
    def last(self) -> int:
        """The highest sequence number given out; 0 before the first. Any thread may ask."""
        return self._tally.last

    def recall(self) -> None:
        """Read the mark that was left at the last start."""
        self.mark = read_mark(self._mark_path)

    def measure_disk(self) -> None:
        """Find out how much room there may be."""
        self.limits = Limits.on_disk(self._path, self._max_bytes)

    def open(self, path: Path) -> None:
        """Open the database that lies there, or make one."""
        self.db = open_database(path, self.limits)
        self.is_open = True

    def shut(self) -> None:
        """Close the database, if it is open."""
        if self.is_open:
            self.is_open = False
            self.db.close()

    def resume(self, *, sound: bool, saved: list[tuple[int, int]]) -> None:
        """Find where numbering goes on, tell of what is lost, and prune what nothing refers to."""
        last, depth = (
            int(self.db.execute(query).fetchone()[0])
            for query in ("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'last'", "SELECT count(*) FROM records")
        )
        known = max([last, *(run[1] for run in saved)])
        on = continued(known, self.mark, sound=sound)
        self._tally = _Tally(last=max(on.last, known), depth=depth)
        with transaction(self.db):
            self.db.execute("DELETE FROM boots WHERE id < coalesce((SELECT min(boot) FROM records), 1 << 62)")
            self._boot_row = self.db.execute(
                "INSERT INTO boots (boot, machine) VALUES (?, ?)", (self._boot, self._machine)
            ).lastrowid
        if on.lost is not None:
            gone = _without(on.lost, saved)
            self.report(merged(Lost([run]) for run in gone), "outbox_damaged")

    # Changing

    def commit(self, batch: Batch, packed: list[Packed], *, offered: int) -> range:
        """Do everything in the batch; return the numbers of its records, which are ``packed``.

        Rows up to ``offered`` may be on their way already.
        """
        if batch.done_through or len(batch.done) > _PIECE:
            self._forget_in_pieces(batch)
            batch = replace(batch, done=(), done_through=0)
        total_skipped = sum(batch.skipped.values())
        self._reserve(len(packed) + total_skipped + 64)
        draft = self._tally
        with transaction(self.db):
            draft = self._forget(draft, batch.done)
            need = sum(len(one.body) + ROW_BYTES for one in packed) + sum(map(len, batch.state.values()))
            pages = need * 2 // PAGE_BYTES + 8
            self._widen(pages)
            before = self.db.total_changes
            lost = make_room(self.db, pages, self.limits.database_pages, offered=offered)
            draft = replace(draft, depth=draft.depth - (self.db.total_changes - before))
            self.db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", batch.state.items())
            if total_skipped:
                run = (draft.last + 1, draft.last + total_skipped)
                lost.append(Lost([run], Counter(batch.skipped)))
                draft = replace(draft, last=run[1])
            first = draft.last + 1
            draft = self._insert(draft, packed)
            draft = self._insert(draft, self._gaps(merged(lost), "outbox_full"))
        self._tally = draft
        return range(first, first + len(packed))

    def report(self, lost: list[Lost], why: Why) -> None:
        """Delete what is lost and tell of it in gap records."""
        gaps = self._gaps(lost, why)
        self._reserve(len(gaps))
        gone = [(run[0], run[1]) for part in lost for run in part.runs]
        with transaction(self.db):
            deleted = self.db.executemany("DELETE FROM records WHERE seq BETWEEN ? AND ?", gone).rowcount
            draft = replace(self._tally, depth=self._tally.depth - max(deleted, 0))
            draft = self._insert(draft, gaps)
        self._tally = draft

    def _widen(self, pages: int) -> None:
        """Before anything is dropped: the disk may have had little room when this was opened, and have more now."""
        if has_room(self.db, pages, self.limits.database_pages):
            return
        limits = Limits.on_disk(self._path, self._max_bytes)
        if limits.database_pages > self.limits.database_pages:
            self.limits = limits
            limit_pages(self.db, limits)

    def _forget(self, draft: _Tally, seqs: Sequence[int]) -> _Tally:
        gone = self.db.executemany("DELETE FROM records WHERE seq = ?", ((seq,) for seq in seqs)).rowcount
        return replace(draft, depth=draft.depth - max(gone, 0))

    def _forget_in_pieces(self, batch: Batch) -> None:
        """Many rows at once would need as much room in the log as they free: more than a full disk has."""
        query = "DELETE FROM records WHERE seq IN (SELECT seq FROM records WHERE seq <= ? ORDER BY seq LIMIT ?)"
        gone = _PIECE
        while gone == _PIECE:
            with transaction(self.db):
                gone = self.db.execute(query, (batch.done_through, _PIECE)).rowcount
            self._tally = replace(self._tally, depth=self._tally.depth - gone)
        for start in range(0, len(batch.done), _PIECE):
            with transaction(self.db):
                draft = self._forget(self._tally, batch.done[start : start + _PIECE])
            self._tally = draft

    def _insert(self, draft: _Tally, packed: Sequence[Packed]) -> _Tally:
        if not packed:
            return draft
        insert(self.db, self._boot_row, draft.last + 1, packed)
        return _Tally(last=draft.last + len(packed), depth=draft.depth + len(packed))

    def _gaps(self, lost: Iterable[Lost], why: Why) -> list[Packed]:
        now = self._clock.now()
        state = ClockState(synced=now.synced, error_ms=now.error_ms)
        return [
            Packed.of(
                Record(kind="gap", camera=None, time=now.utc_s, clock=state, body=part.gap(why), mono_s=now.mono_s)
            )
            for part in lost
        ]

    def _reserve(self, numbers: int) -> None:
        """Raise the mark before numbers at or above it are given out."""
        last = self._tally.last
        if self.mark is not None and last + numbers < self.mark.ceiling:
            return
        lowest = self.db.execute("SELECT min(seq) FROM records").fetchone()[0] or last + 1
        mark = Mark(oldest=min(lowest, self.oldest_kept or lowest), last=last, ceiling=last + numbers + BLOCK)
        write_mark(self._mark_path, mark)
        self.mark = mark

    # Looking

    def rows(self, where: str, low: int, high: int, limit: int) -> tuple[list[Row], list[int]]:
        """The rows between two numbers, and the numbers of those that are damaged."""
        found = self.db.execute(f"SELECT {COLUMNS} {where} LIMIT ?", (low, high, limit)).fetchall()
        rows: list[Row] = []
        broken: list[int] = []
        for raw in found:
            try:
                rows.append(row_of(raw))
            except ValueError:
                broken.append(raw[0])
        return rows, broken

    def measure(self) -> Depth:
        """How full the database is."""
        oldest = self.db.execute("SELECT time_s FROM records ORDER BY seq LIMIT 1").fetchone()
        log = files_of(self._path)[1]
        return Depth(
            records=self._tally.depth,
            oldest_s=oldest[0] if oldest else None,
            used_bytes=used_pages(self.db) * PAGE_BYTES + (log.stat().st_size if log.exists() else 0),
            max_bytes=self.limits.database_pages * PAGE_BYTES + self.limits.log_bytes,
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
