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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent.errors import KentonganError
from agent.outbox.rows import Rank, rank_of
from agent.outbox.store import Batch
from agent.records import Record, RecordKind

_log = logging.getLogger(__name__)
_BATCH_DONE: Final = 1000
_MAX_DONE: Final = 100_000
_HANG_S: Final = 60.0
"""Even a worn SD card answers within seconds; a commit that takes longer will not come back."""


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
        reason: One sentence when it didn't: what, where, what to do.
        waiting: Records in memory that are not durable yet.
        dropped: Records that never became durable since the start; a gap record tells of them.
        commits: Transactions so far.
    """

    ok: bool = True
    reason: str | None = None
    waiting: int = 0
    dropped: int = 0
    commits: int = 0


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
        self._counts_first_queue: deque[Record] = deque()
        self._fresh_state: dict[str, str] = {}
        self._skipped: Counter[RecordKind] = Counter()
        self._oldest_first_done: deque[int] = deque(maxlen=_MAX_DONE)  # one that falls out is only sent twice
        self._done_through = 0
        self._state = WriterState()
        self._tickets = 0  # what was handed over
        self._settled = 0  # what of it was committed
        self._hurry = False
        self._committing_since_s: float | None = None
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
            self._counts_first_queue.extend(records)
            self._fresh_state.update(state or {})
            while len(self._counts_first_queue) > self._limit:
                self._drop_lowest()
            self._tickets += 1
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
        flushed = self.flush(timeout_s)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return flushed and not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Whether the thread runs and no commit hangs, for the watchdog; a disk that refuses is no hang."""
        since_s = self._committing_since_s
        return self._thread.is_alive() and (since_s is None or time.monotonic() - since_s < _HANG_S)

    def state(self) -> WriterState:
        """How the writer fares now."""
        with self._changed:
            old = self._state
            waiting = len(self._counts_first_queue)
            return WriterState(old.ok, old.reason, waiting, old.dropped, old.commits)

    def _drop_lowest(self) -> None:
        queue = self._counts_first_queue
        lowest = min(rank_of(record) for record in queue) if rank_of(queue[0]) != Rank.COUNT else Rank.COUNT
        index = next(index for index, record in enumerate(queue) if rank_of(record) == lowest)
        self._skipped[queue[index].kind] += 1
        del queue[index]
        old = self._state
        self._state = WriterState(old.ok, old.reason, len(queue), old.dropped + 1, old.commits)

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
        if self._hurry:
            return last_s
        if (
            self._counts_first_queue
            or self._fresh_state
            or self._skipped
            or len(self._oldest_first_done) >= _BATCH_DONE
        ):
            return last_s + self._commit_s
        return last_s + self._done_s

    def _turn(self) -> None:
        """Commit everything that waits; on failure put it back for the next turn."""
        with self._changed:
            ticket = self._tickets
            batch = Batch(
                records=tuple(self._counts_first_queue),
                state=dict(self._fresh_state),
                skipped=dict(self._skipped),
                done=tuple(self._oldest_first_done),
                done_through=self._done_through,
            )
            self._counts_first_queue.clear()
            self._fresh_state.clear()
            self._skipped.clear()
            self._oldest_first_done.clear()
        self._committing_since_s = time.monotonic()
        try:
            self._store.commit(batch)
        except KentonganError as error:
            self._put_back(batch, error)
            return
        finally:
            self._committing_since_s = None
        self._succeeded(batch, ticket)

    def _succeeded(self, batch: Batch, ticket: int) -> None:
        with self._changed:
            old = self._state
            if not old.ok:
                _log.info("the outbox can be written again")
            self._state = WriterState(dropped=old.dropped, commits=old.commits + 1)
            self._settled = ticket
            listeners = tuple(self._listeners) if batch.records or batch.skipped else ()
            self._changed.notify_all()
        for listener in listeners:
            listener()

    def _put_back(self, batch: Batch, error: Exception) -> None:
        with self._changed:
            self._counts_first_queue.extendleft(reversed(batch.records))
            self._fresh_state = {**batch.state, **self._fresh_state}
            self._skipped.update(batch.skipped)
            self._oldest_first_done.extendleft(reversed(batch.done))
            old = self._state
            if old.ok:
                _log.error("%s; records wait in memory meanwhile", error)
            self._state = WriterState(False, str(error), len(self._counts_first_queue), old.dropped, old.commits)
            while len(self._counts_first_queue) > self._limit:
                self._drop_lowest()
