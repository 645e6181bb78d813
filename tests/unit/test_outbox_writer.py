"""The writer commits in the background, keeps its order, and never loses what a failing disk made wait."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import OutboxError, TooSmallError
from agent.outbox import Batch, Outbox, OutboxWriter
from agent.outbox.writer import _HANG_S
from agent.records import Record
from tests.fakes.clock import ManualClock
from tests.fakes.records import count_record, event_record, zone_record


class Disk:
    """A store that remembers what was committed, and refuses while it is full."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.is_full = False
        self.attempts = 0
        self._changed = threading.Condition()

    def commit(self, batch: Batch) -> range:
        with self._changed:
            self.attempts += 1
            self._changed.notify_all()
            if self.is_full:
                raise OutboxError("/state: the disk is full; free some space on it")
            self.batches.append(batch)
            return range(len(batch.records))

    def await_attempts(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.attempts >= number, 10)

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch.records]


Started = Callable[..., OutboxWriter]


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def started(disk: Disk):  # noqa: ANN201 - a generator of a function
    """Starts writers on the disk; all are stopped at the end."""
    writers: list[OutboxWriter] = []

    def start(**settings: float) -> OutboxWriter:
        writer = OutboxWriter(disk, **{"commit_s": 0.02, "done_s": 0.02, "retry_s": 0.02, **settings})  # type: ignore[arg-type]
        writer.start()
        writers.append(writer)
        return writer

    yield start
    disk.is_full = False
    for writer in writers:
        writer.stop()


def test_given_records_and_state_when_put_then_one_commit_holds_them_all(disk: Disk, started: Started) -> None:
    writer = started(commit_s=0.2)
    writer.put([count_record(1)], {"scene": "1"})
    assert writer.flush(5)
    writer.put([count_record(2)], {"scene": "2"})
    writer.put([count_record(3)], {"scene": "3", "events": "[]"})
    writer.done(1)
    writer.done_through(2)
    assert writer.flush(5)
    assert disk.records == [count_record(1), count_record(2), count_record(3)]
    assert len(disk.batches) == 2, "what came together was committed together"
    assert disk.batches[1].state == {"scene": "3", "events": "[]"}
    assert (disk.batches[1].done, disk.batches[1].done_through) == ((1,), 2)


def test_a_lone_record_is_committed_at_once_and_listeners_hear_of_records_only(disk: Disk, started: Started) -> None:
    heard = threading.Semaphore(0)
    writer = started(commit_s=60, done_s=0.01)
    writer.on_commit(heard.release)
    writer.done(7)
    disk.await_attempts(1)
    assert not heard.acquire(timeout=0.05)
    writer = started(commit_s=60, done_s=61)
    writer.on_commit(heard.release)
    writer.put([count_record(1)])
    assert heard.acquire(timeout=5), "the first record does not wait for a minute to pass"


def test_many_deliveries_are_forgotten_together_without_waiting(disk: Disk, started: Started) -> None:
    writer = started(commit_s=0.01, done_s=60)
    writer.put([count_record(1)])
    disk.await_attempts(1)
    for seq in range(2_000):
        writer.done(seq)
    disk.await_attempts(2)


def test_given_a_full_disk_then_records_wait_and_are_committed_when_it_has_room(disk: Disk, started: Started) -> None:
    writer = started()
    disk.is_full = True
    writer.put([count_record(1)], {"scene": "1"})
    writer.done(5)
    disk.await_attempts(1)
    writer.put([count_record(2)], {"scene": "2"})
    disk.await_attempts(3)
    assert not writer.flush(0.05)
    state = writer.state()
    assert not state.ok
    assert state.reason == "/state: the disk is full; free some space on it"
    assert state.waiting == 2
    disk.is_full = False
    assert writer.flush(5)
    assert disk.records == [count_record(1), count_record(2)]
    assert disk.batches[0].state == {"scene": "2"}
    assert disk.batches[0].done == (5,)
    assert writer.state().ok
    assert writer.state().reason is None


def test_given_a_full_queue_then_counts_go_first_and_are_told(disk: Disk, started: Started) -> None:
    writer = started(queue_records=3)
    disk.is_full = True
    writer.put([event_record(1, severity="info"), count_record(2), event_record(3), zone_record(4), event_record(5)])
    assert writer.state().waiting <= 3
    writer.put([event_record(6)])
    disk.await_attempts(writer._store.attempts + 2)  # type: ignore[attr-defined]
    disk.is_full = False
    assert writer.flush(5)
    assert disk.records == [event_record(3), event_record(5), event_record(6)]
    assert disk.batches[0].skipped == {"count": 1, "zone": 1, "event": 1}
    assert writer.state().dropped == 3


def test_given_records_that_come_back_to_a_full_queue_then_the_lowest_go(disk: Disk) -> None:
    writer = OutboxWriter(disk, queue_records=2)
    disk.is_full = True
    writer.put([event_record(1), event_record(2)])
    batch_holder = threading.Event()

    class Slow(Disk):
        def commit(self, batch: Batch) -> range:
            writer.put([count_record(9), count_record(10)])  # arrives while the commit is under way
            batch_holder.set()
            return super().commit(batch)

    slow = Slow()
    slow.is_full = True
    writer._store = slow
    writer._turn()
    assert batch_holder.is_set()
    slow.is_full = False
    writer._store = disk
    disk.is_full = False
    writer._turn()
    assert disk.records == [event_record(1), event_record(2)]
    assert disk.batches[0].skipped == {"count": 2}


def test_stop_commits_what_waits(disk: Disk, started: Started) -> None:
    writer = started(commit_s=30)
    writer.put([count_record(1)])
    disk.await_attempts(1)
    writer.put([count_record(2)])
    assert writer.stop(5)
    assert disk.records == [count_record(1), count_record(2)]


def test_stop_gives_up_in_time_when_the_disk_refuses(disk: Disk, started: Started) -> None:
    writer = started()
    disk.is_full = True
    writer.put([count_record(1)])
    assert not writer.stop(0.1)


def test_a_writer_is_alive_while_its_thread_runs(disk: Disk, started: Started) -> None:
    writer = started()
    assert writer.is_alive()
    disk.is_full = True
    writer.put([count_record(1)])
    disk.await_attempts(2)
    assert writer.is_alive(), "a disk that refuses is no hang"
    disk.is_full = False
    writer.stop()
    assert not writer.is_alive()


def test_given_a_long_outage_then_records_are_committed_in_transactions_of_bounded_size(
    disk: Disk, started: Started
) -> None:
    writer = started()
    disk.is_full = True
    for number in range(3_500):
        writer.put([count_record(number)], {"scene": str(number)})
    disk.await_attempts(2)
    disk.is_full = False
    assert writer.flush(10)
    assert disk.records == [count_record(number) for number in range(3_500)]
    assert max(len(batch.records) for batch in disk.batches) <= 1000
    number = -1
    for batch in disk.batches:
        number += len(batch.records)
        assert batch.state == {"scene": str(number)}, "each transaction holds the state of its last record"


def test_given_one_put_that_is_larger_than_a_transaction_then_it_is_not_torn_from_its_state(
    disk: Disk, started: Started
) -> None:
    writer = started(commit_s=30)
    writer.put([count_record(0)])
    disk.await_attempts(1)
    writer.put([count_record(number) for number in range(1_500)], {"scene": "1"})
    assert writer.flush(5)
    assert len(disk.batches[-1].records) == 1_500
    assert disk.batches[-1].state == {"scene": "1"}


def test_given_a_month_of_outage_then_what_waits_stays_in_few_parcels(disk: Disk) -> None:
    writer = OutboxWriter(disk, queue_records=1_000)
    for number in range(4_000):
        severity = "alarm" if number % 3 == 0 else "info"
        writer.put([event_record(number, severity=severity)], {"scene": str(number)})
    assert writer.state().waiting == 1_000
    assert len(writer._counts_first_queue) <= 5
    assert writer.state().dropped == 3_000


def test_given_parcels_that_shrank_while_waiting_then_they_become_one_transaction_again(disk: Disk) -> None:
    writer = OutboxWriter(disk, queue_records=1_100)
    writer.put([count_record(number) for number in range(600)], {"scene": "1"})
    for scene, first in (("2", 600), ("3", 1_100), ("4", 1_700)):
        count = 600 if scene == "3" else 500
        writer.put([event_record(number) for number in range(first, first + count)], {"scene": scene})
    assert writer.state().waiting == 1_100
    while writer.state().waiting:
        writer._turn()
    assert disk.records == [event_record(number) for number in range(1_100, 2_200)]
    assert [batch.state["scene"] for batch in disk.batches] == ["2", "3", "4"], "the counts' parcel joined the next one"
    assert sum(disk.batches[0].skipped.values()) == 1_100


def test_given_a_store_too_small_for_a_batch_then_the_batch_shrinks_and_a_gap_tells(disk: Disk) -> None:
    class Tiny(Disk):
        def commit(self, batch: Batch) -> range:
            if len(batch.records) > 3:
                raise TooSmallError("the outbox is too small for 8 kB at once; raise outbox.max_mb")
            return super().commit(batch)

    tiny = Tiny()
    writer = OutboxWriter(tiny, retry_s=0.01)
    writer.put([event_record(0), *(count_record(number) for number in range(1, 10))], {"scene": "9"})
    writer.start()
    assert writer.flush(5)
    assert tiny.records == [event_record(0), count_record(8), count_record(9)]
    assert tiny.batches[0].skipped == {"count": 7}
    assert tiny.batches[0].state == {"scene": "9"}
    assert writer.stop(5)


def test_given_a_store_too_small_for_any_record_then_it_is_told_and_not_tried_for_ever(disk: Disk) -> None:
    class NoRoom(Disk):
        def commit(self, batch: Batch) -> range:
            if batch.records:
                raise TooSmallError("the outbox is too small for 8 kB at once; raise outbox.max_mb")
            return super().commit(batch)

    writer = OutboxWriter(NoRoom(), retry_s=0.01)
    writer.put([event_record(0), count_record(1)], {"scene": "1"})
    writer.start()
    assert writer.flush(5)
    assert writer.state().dropped == 2
    assert writer.stop(5)


def test_given_a_state_larger_than_the_store_then_records_go_on_and_health_says_so(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(tmp_path / "outbox.db", boot=str(uuid.UUID(int=1)), clock=clock, max_bytes=1 << 20)
    writer = OutboxWriter(outbox, commit_s=0.01, retry_s=0.01)
    writer.start()
    writer.put([count_record(1)], {"scene": "small"})
    assert writer.flush(5)
    for number in range(2, 5):
        writer.put([count_record(number)], {"scene": "x" * 900_000})
        assert writer.flush(5)
    state = writer.state()
    assert (state.ok, state.dropped, outbox.last) == (True, 0, 4)
    assert "(900 kB) are not kept over a restart, records are" in (state.reason or "")
    assert "raise outbox.max_mb" in (state.reason or "")
    assert outbox.load_state() == {"scene": "small"}
    writer._forgo_until_s = 0.0
    writer.put([count_record(5)], {"scene": "small again"})
    assert writer.flush(5)
    assert writer.state().reason is None
    assert outbox.load_state() == {"scene": "small again"}
    assert writer.stop(5)
    outbox.close()


def test_given_a_commit_that_hangs_then_it_is_told_before_the_watchdog_acts_and_stopping_ends_in_time(
    disk: Disk,
) -> None:
    let_go = threading.Event()

    class Hanging(Disk):
        def commit(self, batch: Batch) -> range:
            let_go.wait(30)
            return super().commit(batch)

    writer = OutboxWriter(Hanging(), commit_s=0.01)
    writer.start()
    writer.put([count_record(1)])
    began_s = time.monotonic()
    assert not writer.stop(0.3)
    assert time.monotonic() - began_s < 2
    assert _HANG_S < 30, "systemd's WatchdogSec"
    assert writer.is_alive(), "not yet"
    writer._committing_since_s = time.monotonic() - _HANG_S
    assert not writer.is_alive()
    let_go.set()
    writer._thread.join(10)
