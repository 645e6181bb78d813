"""What every store of a receiver must keep: once each, marks that pass no hole, holes handed to one at a time."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from agent.receive import Arrival, Hole, SqliteStore, Store
from agent.receive.postgres import PASSWORD, PostgresAddress, PostgresStore
from agent.receive.store import Mark
from tests.fakes.postgres import WORD, Postgres, why_unavailable

Opener = Callable[[], Store]
BOX, OTHER = "pole-17", "pole-18"
LIVES = [str(uuid.UUID(int=number)) for number in range(1, 4)]
NOW_S = 1_750_000_000.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if why_unavailable():
        pytest.skip(why_unavailable())
    with Postgres() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens the same store again and again, as several receivers do."""
    with ExitStack() as stack:
        if request.param == "postgres":
            server: Postgres = request.getfixturevalue("server")
            address = PostgresAddress.read(server.new_database(), {PASSWORD: WORD})
        path = tmp_path_factory.mktemp("store") / "received.sqlite"

        def open_one() -> Store:
            one: Store = PostgresStore(address) if request.param == "postgres" else SqliteStore(path)
            stack.callback(one.close)
            return one

        yield open_one


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()


def arrival(seq: int, *, device: str = BOX, life: int = 0, gone: tuple[tuple[int, int], ...] = ()) -> Arrival:
    """Record number ``seq`` of a box."""
    return Arrival(
        device=device,
        id=str(uuid.uuid5(uuid.UUID(LIVES[life]), f"{device}-{seq}")),
        seq=seq,
        boot=LIVES[life],
        kind="gap" if gone else "count",
        camera=None if gone else "gate",
        time_s=NOW_S + seq + 0.123456,
        json='{"name": "Jalan Pemuda \\u0000 ré"}',
        gone=gone,
        why="outbox_full" if gone else "",
    )


def run(first: int, last: int, **more: int) -> list[Arrival]:
    return [arrival(seq, **more) for seq in range(first, last + 1)]  # type: ignore[arg-type]


def test_what_comes_twice_is_stored_once_and_counted(store: Store) -> None:
    store.store(run(1, 5), NOW_S)
    (mark,) = store.store([*run(3, 7), arrival(7)], NOW_S)
    assert mark == Mark(BOX, 7, arrival(7).id)
    (report,) = store.report()
    assert (report.stored, report.duplicates, report.mark, report.missing) == (7, 4, 7, 0)
    assert store.seqs(BOX) == list(range(1, 8))


def test_the_mark_passes_no_hole_and_waits_for_none_that_will_never_close(store: Store) -> None:
    (mark,) = store.store([*run(1, 3), *run(6, 8), *run(12, 13)], NOW_S)
    assert (mark.seq, mark.id) == (3, arrival(3).id)
    assert store.give_up(Hole(BOX, 4, 5), NOW_S).seq == 8
    assert store.give_up(Hole(BOX, 1, 5), NOW_S).seq == 8, "what has come is not given up"
    (mark,) = store.store([arrival(14, gone=((9, 11),))], NOW_S)
    assert mark.seq == 14
    (report,) = store.report()
    assert (report.stored, report.gone, report.missing) == (9, 5, 0)


def test_a_box_whose_disk_was_replaced_counts_from_one_again(store: Store) -> None:
    store.store(run(1, 9), NOW_S)
    (mark,) = store.store(run(1, 2, life=1), NOW_S)
    assert (mark.seq, mark.id) == (2, arrival(2, life=1).id)
    assert store.seqs(BOX) == [1, 2]
    store.store(run(9, 10), NOW_S)
    assert store.seqs(BOX) == [1, 2], "what still comes of the old life is no part of the new one"


def test_holes_are_handed_to_one_receiver_at_a_time_and_only_of_boxes_that_are_there(opener: Opener) -> None:
    one, other = opener(), opener()
    one.store([arrival(1), *run(4, 5), arrival(9), arrival(3, device=OTHER)], NOW_S)
    patience = {"older_s": 5.0, "again_s": 15.0}
    assert one.claim_holes(NOW_S + 10, **patience) == [], "nobody is online"
    one.set_online(BOX, online=True)
    one.set_online(OTHER, online=True)
    one.set_online(OTHER, online=False)
    assert one.claim_holes(NOW_S + 1, **patience) == [], "it may still close by itself"
    assert other.claim_holes(NOW_S + 10, **patience) == [Hole(BOX, 2, 3), Hole(BOX, 6, 8)]
    assert one.claim_holes(NOW_S + 11, **patience) == []
    assert one.claim_holes(NOW_S + 30, most=1, **patience) == [Hole(BOX, 2, 3)]


def test_where_every_other_record_is_missing_then_they_are_asked_for_as_one_run(store: Store) -> None:
    store.set_online(BOX, online=True)
    every_other = [arrival(seq) for seq in range(2, 201, 2)]
    store.store([*every_other, *run(201, 300), arrival(400), arrival(402)], NOW_S)
    found = store.claim_holes(NOW_S + 9, older_s=1, again_s=1)
    assert found == [Hole(BOX, 1, 199), Hole(BOX, 301, 401)]


def test_holes_and_marks_are_found_across_thousands_of_records(store: Store) -> None:
    store.set_online(BOX, online=True)
    (mark,) = store.store([*run(1, 50), *run(52, 2_100), arrival(2_102)], NOW_S)
    assert mark.seq == 50
    assert store.claim_holes(NOW_S + 9, older_s=1, again_s=1) == [Hole(BOX, 51, 51), Hole(BOX, 2_101, 2_101)]
    (mark,) = store.store([arrival(51)], NOW_S)
    assert mark.seq == 2_100


def test_a_batch_that_fails_in_the_middle_leaves_nothing(store: Store) -> None:
    def breaks() -> Iterator[Arrival]:
        yield arrival(1)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        store.store(breaks(), NOW_S)
    assert store.report() == []
    store.store([arrival(1)], NOW_S)
    assert store.seqs(BOX) == [1]


def test_what_a_stranger_sends_is_kept_whatever_letters_are_in_it(store: Store) -> None:
    nasty = "half \ud800 and \x00 zero"
    store.refuse(nasty, b"\x00\xff", nasty, NOW_S)
    faulty = arrival(1)
    store.store([Arrival(faulty.device, faulty.id, 1, faulty.boot, "count", None, NOW_S, "{}", fault=nasty)], NOW_S)
    (report,) = store.report()
    assert (report.stored, report.faulty) == (1, 1)


def test_another_receiver_sees_what_was_stored(opener: Opener) -> None:
    one = opener()
    one.store(run(1, 3), NOW_S)
    one.close()
    other = opener()
    assert other.marks() == [Mark(BOX, 3, arrival(3).id)]
    (mark,) = other.store(run(2, 4), NOW_S)
    assert mark.seq == 4


def test_receivers_that_store_the_same_at_the_same_time_store_it_once(opener: Opener) -> None:
    stores = [opener() for _ in range(3)]
    failed: list[Exception] = []

    def receive(mine: Store, shift: int) -> None:
        try:
            for first in range(1 + shift, 100, 10):
                mine.store([*run(first, first + 24), arrival(first, device=OTHER)], NOW_S)
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=receive, args=(one, shift)) for shift, one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    seqs = stores[0].seqs(BOX)
    assert seqs == list(range(1, len(seqs) + 1))
    report = {one.device: one for one in stores[1].report()}
    assert report[BOX].stored + report[BOX].duplicates == 3 * 10 * 25
