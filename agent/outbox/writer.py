"""The thread that commits: stages hand records over and never wait for the disk.

Promises that whatever was put before a crash is either committed with its state or not there at all, that a record
is durable within ``commit_s`` while the disk works, and that records wait in memory while it doesn't. The queue in
memory is bounded; when it is full, counts go first and alarms last, and a gap record tells.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent.errors import KentonganError, TooSmallError
from agent.outbox.batch import Batch
from agent.outbox.rows import Rank, rank_of
from agent.records import Record, RecordKind

_log = logging.getLogger(__name__)
_BATCH_DONE: Final = 1000
_MAX_DONE: Final = 100_000
_MOST_AT_ONCE: Final = 1000
"""Records in one transaction: a small store takes it, and after an outage the disk is not held for seconds."""
_HANG_S: Final = 20.0
"""Even a worn SD card answers within seconds. Below the watchdog's 30 s, so that a hang is told and not just killed."""


_RECORD_BYTES: Final = 150
"""About what a record takes on disk: tells whether the records or their state made a batch too large."""
_FORGO_STATE_S: Final = 60.0
"""Before a state that was too large for the store is tried again."""


class Store(Protocol):
    """Where the writer commits to: an :class:`agent.outbox.Outbox`."""

    def commit(self, batch: Batch) -> range:
        """Do all of the batch or raise OutboxError."""
        ...


@dataclass(frozen=True, slots=True)
class WriterState:
    """How the writer fares, for ``health``.

    Attributes:
        ok: The last commit worked.
        reason: One sentence when it didn't, or when it had to leave the state out: what, where, what to do.
        waiting: Records in memory that are not durable yet.
        dropped: Records that never became durable since the start; a gap record tells of them.
        commits: Transactions so far.
    """

    ok: bool = True
    reason: str | None = None
    waiting: int = 0
    dropped: int = 0
    commits: int = 0


@dataclass(slots=True)
class _Parcel:
    """Records and the state that belongs to them: one transaction, or part of one, and never two.

    ``ticket`` is that of the last :meth:`OutboxWriter.put` in it.
    """

    records: deque[Record]
    state: dict[str, str]
    ticket: int = 0

    def takes(self, more: int) -> bool:
        """Whether so many records more still make one transaction."""
        return len(self.records) + more <= _MOST_AT_ONCE or not self.records

    def add(self, other: _Parcel) -> None:
        """Append what came later."""
        self.records.extend(other.records)
        self.state.update(other.state)
        self.ticket = other.ticket


class OutboxWriter:
    """Commits in the background, in the order records were put.

    Args:
        store: The outbox.
        commit_s: Longest wait before a record is durable, and the shortest time between two commits.
        done_s: Longest wait before a delivered record is forgotten; a crash before it sends the record again.
        retry_s: Pause after a disk that refused.
        queue_records: Records that may wait in memory; beyond, counts go first and alarms last.
    """

    def __init__(
        self,
        store: Store,
        *,
        commit_s: float = 0.2,
        done_s: float = 1.0,
        retry_s: float = 1.0,
        queue_records: int = 10_000,
    ) -> None:
        self._store = store
        self._commit_s = commit_s
        self._done_s = done_s
        self._retry_s = retry_s
        self._limit = queue_records
        self._changed = threading.Condition()
        self._counts_first_queue: deque[_Parcel] = deque()
        self._waiting = 0  # records in it
        self._skipped: Counter[RecordKind] = Counter()
        self._oldest_first_done: deque[int] = deque(maxlen=_MAX_DONE)  # one that falls out is only sent twice
        self._done_through = 0
        self._state = WriterState()
        self._tickets = 0  # what was handed over
        self._settled = 0  # what of it was committed
        self._hurry = False
        self._committing_since_s: float | None = None
        self._forgone: str | None = None  # why the state is left out
        self._forgo_until_s = 0.0
        self._stopping = False
        self._listeners: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)

    def start(self) -> None:
        """Begin to commit."""
        self._thread.start()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call this after every commit that stored records, from the writer's thread; it must return at once."""
        with self._changed:
            self._listeners.append(listener)

    def put(self, records: Sequence[Record], state: Mapping[str, str] | None = None) -> None:
        """Hand over records and the state they came from; never waits."""
        with self._changed:
            self._tickets += 1
            self._queue(_Parcel(deque(records), dict(state or {}), self._tickets))
            self._waiting += len(records)
            while self._waiting > self._limit:
                self._drop_lowest(self._counts_first_queue)
            self._changed.notify_all()

    def done(self, seq: int) -> None:
        """A record was delivered and may be forgotten; never waits."""
        with self._changed:
            self._oldest_first_done.append(seq)
            self._tickets += 1
            self._changed.notify_all()

    def done_through(self, seq: int) -> None:
        """Every record up to this one was delivered; never waits."""
        with self._changed:
            self._done_through = max(self._done_through, seq)
            self._tickets += 1
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything handed over so far is durable; False when the time ran out first."""
        with self._changed:
            mine = self._tickets
            self._hurry = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._settled >= mine, timeout_s)

    def stop(self, timeout_s: float = 3.0) -> bool:
        """Commit what waits and end the thread; False when the disk didn't let it in time."""
        end_s = time.monotonic() + timeout_s
        flushed = self.flush(timeout_s)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(max(0.05, end_s - time.monotonic()))
        return flushed and not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Whether the thread runs and no commit hangs, for the watchdog; a disk that refuses is no hang."""
        since_s = self._committing_since_s
        return self._thread.is_alive() and (since_s is None or time.monotonic() - since_s < _HANG_S)

    def state(self) -> WriterState:
        """How the writer fares now."""
        with self._changed:
            old = self._state
            return WriterState(old.ok, old.reason, self._waiting, old.dropped, old.commits)

    def _queue(self, parcel: _Parcel) -> None:
        """Append to the last parcel while that stays one transaction; otherwise begin another one."""
        queue = self._counts_first_queue
        if queue and queue[-1].takes(len(parcel.records)):
            queue[-1].add(parcel)
            return
        for waiting in [queue.popleft() for _ in range(len(queue))]:  # records were dropped from some: fewer will do
            if queue and queue[-1].takes(len(waiting.records)):
                queue[-1].add(waiting)
            else:
                queue.append(waiting)
        queue.append(parcel)

    def _drop_lowest(self, among: Iterable[_Parcel]) -> None:
        """Drop the oldest record of the lowest rank."""
        places = ((rank_of(record), parcel, i) for parcel in among for i, record in enumerate(parcel.records))
        rank, parcel, index = next(places)
        while rank != Rank.COUNT and (later := next((place for place in places if place[0] < rank), None)):
            rank, parcel, index = later
        self._skipped[parcel.records[index].kind] += 1
        del parcel.records[index]
        self._waiting -= 1
        old = self._state
        self._state = WriterState(old.ok, old.reason, self._waiting, old.dropped + 1, old.commits)

    def _run(self) -> None:
        last_s = -self._done_s
        while self._wait(last_s):
            self._turn()
            last_s = time.monotonic()

    def _wait(self, last_s: float) -> bool:
        """Wait for work and for its time; False when it is time to end."""
        with self._changed:
            while not self._stopping:
                due_s = self._due_s(last_s)
                if due_s is not None and due_s <= time.monotonic():
                    return True
                self._changed.wait(None if due_s is None else max(0.0, due_s - time.monotonic()))
            return False

    def _due_s(self, last_s: float) -> float | None:
        if not self._state.ok:
            return last_s + self._retry_s
        if self._settled == self._tickets:
            self._hurry = False
            return None
        if self._hurry or len(self._counts_first_queue) > 1:
            return last_s
        if self._counts_first_queue or self._skipped or len(self._oldest_first_done) >= _BATCH_DONE:
            return last_s + self._commit_s
        return last_s + self._done_s

    def _turn(self) -> None:
        """Commit what waits, at most one parcel; on failure put it back for the next turn."""
        with self._changed:
            queue = self._counts_first_queue
            parcel = queue.popleft() if queue else _Parcel(deque(), {})
            self._waiting -= len(parcel.records)
            ticket = parcel.ticket if queue else self._tickets
            batch = Batch(
                records=tuple(parcel.records),
                state=parcel.state if time.monotonic() >= self._forgo_until_s else {},
                skipped=dict(self._skipped),
                done=tuple(self._oldest_first_done),
                done_through=self._done_through,
            )
            self._skipped.clear()
            self._oldest_first_done.clear()
        self._committing_since_s = time.monotonic()
        try:
            self._store.commit(batch)
        except KentonganError as error:
            self._put_back(parcel, batch, error)
            return
        finally:
            self._committing_since_s = None
        self._succeeded(batch, ticket)

    def _succeeded(self, batch: Batch, ticket: int) -> None:
        with self._changed:
            old = self._state
            if not old.ok:
                _log.info("the outbox can be written again")
            if batch.state:
                self._forgone = None
            self._state = WriterState(reason=self._forgone, dropped=old.dropped, commits=old.commits + 1)
            self._settled = ticket
            listeners = tuple(self._listeners) if batch.records or batch.skipped else ()
            self._changed.notify_all()
        for listener in listeners:
            listener()

    def _put_back(self, parcel: _Parcel, batch: Batch, error: Exception) -> None:
        with self._changed:
            self._counts_first_queue.appendleft(parcel)
            self._waiting += len(parcel.records)
            self._skipped.update(batch.skipped)
            self._oldest_first_done.extendleft(reversed(batch.done))
            old = self._state
            if old.ok:
                _log.error("%s; records wait in memory meanwhile", error)
            self._state = WriterState(False, str(error), self._waiting, old.dropped, old.commits)
            if isinstance(error, TooSmallError):
                self._shrink(parcel, batch.state, error)
            while self._waiting > self._limit:
                self._drop_lowest(self._counts_first_queue)

    def _shrink(self, parcel: _Parcel, state: Mapping[str, str], error: TooSmallError) -> None:
        """A store as small as this would never take the batch: leave out its state, or else half of its records."""
        state_bytes, count = sum(map(len, state.values())), len(parcel.records)
        if state_bytes <= _RECORD_BYTES * count:
            for _ in range(min(count, max(1, count // 2))):
                self._drop_lowest([parcel])
            return
        self._forgo_until_s = time.monotonic() + _FORGO_STATE_S
        self._forgone = (
            f"counters and open events ({state_bytes // 1000} kB) are not kept over a restart, records are: {error}"
        )
        _log.error("%s", self._forgone)
