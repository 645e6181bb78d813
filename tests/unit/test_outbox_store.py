"""The outbox: durable, in order, numbered for ever, and honest about what it had to drop."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import OutboxError
from agent.outbox import Batch, Outbox, Rank, record_id
from agent.outbox.database import Limits, files_of, limit_pages
from agent.outbox.mark import Mark, read_mark, write_mark
from agent.outbox.room import Lost, merged
from agent.outbox.rows import joined, pack, unpack
from agent.records import EventBody, GapBody, Record, load
from tests.fakes.clock import START_UTC_S, ManualClock
from tests.fakes.records import count_record, event_record, zone_record

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
SMALL = 1 << 20

Opener = Callable[..., Outbox]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the outbox of this test; all are closed at its end."""
    boxes: list[Outbox] = []

    def open_it(
        boot: str = BOOT, *, max_bytes: int = 64 << 20, machine: str = "m1", name: str = "outbox.sqlite"
    ) -> Outbox:
        box = Outbox(tmp_path / "state" / name, boot=boot, clock=ManualClock(), machine=machine, max_bytes=max_bytes)
        boxes.append(box)
        return box

    yield open_it
    for box in boxes:
        box.close()


def gap_bodies(box: Outbox) -> list[GapBody]:
    return [load(GapBody, json.loads(row.body)) for row in box.pending(0, 1_000_000) if row.kind == "gap"]


def covered(gaps: list[GapBody]) -> set[int]:
    return {seq for gap in gaps for first, last in gap.runs for seq in range(first, last + 1)}


# Numbers and contents


def test_given_records_when_appended_then_they_come_back_in_order_with_everything(opened: Opener) -> None:
    box = opened()
    records = [count_record(1), zone_record(2), event_record(3)]
    assert box.append(records) == range(1, 4)
    rows = box.pending()
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [(row.kind, row.camera, row.time_s, row.mono_s) for row in rows] == [
        (record.kind, record.camera, record.time, record.mono_s) for record in records
    ]
    assert [load(type(record.body), json.loads(row.body)) for row, record in zip(rows, records, strict=True)] == [
        record.body for record in records
    ]
    assert [row.rank for row in rows] == [Rank.COUNT, Rank.COUNT, Rank.ALARM]
    assert rows[0].id == record_id(BOOT, 1) != rows[1].id
    assert json.loads(rows[0].model or "")["name"] == "street"
    assert rows[0].machine == "m1"


def test_given_deleted_records_and_restarts_then_numbers_go_on(opened: Opener) -> None:
    box = opened()
    box.append([count_record(i) for i in range(5)])
    box.done(*range(1, 6))
    box.close()
    again = opened(str(uuid.uuid4()))
    assert again.last == 5
    assert again.append([count_record(6)]) == range(6, 7)
    assert again.depth().records == 1


def test_given_a_restart_then_old_rows_keep_their_boot_and_id(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)])
    before = box.pending()[0]
    box.close()
    other = str(uuid.uuid4())
    again = opened(other, machine="m2")
    again.append([count_record(2)])
    old, new = again.pending()
    assert (old.id, old.boot, old.machine) == (before.id, BOOT, "m1")
    assert (new.boot, new.machine) == (other, "m2")


def test_given_state_when_appended_then_it_is_there_after_a_restart(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)], {"scene": '{"north":1}', "events": "[]"})
    box.append([], {"scene": '{"north":2}'})
    box.close()
    assert opened().load_state() == {"scene": '{"north":2}', "events": "[]"}


def test_given_nothing_to_do_then_nothing_is_written(opened: Opener) -> None:
    box = opened()
    assert box.commit(Batch()) == range(0)
    assert box.depth().oldest_s is None
    assert box.newest_s() is None


def test_given_done_numbers_then_only_those_are_gone(opened: Opener) -> None:
    box = opened()
    box.append([count_record(i) for i in range(10)])
    box.done(2, 5, 5, 77)
    box.done_through(3)
    assert [row.seq for row in box.pending()] == [4, 6, 7, 8, 9, 10]
    assert box.depth().records == 6
    assert box.depth().oldest_s == count_record(3).time


def test_given_thousands_of_done_numbers_then_they_are_forgotten_in_pieces(opened: Opener) -> None:
    box = opened()
    box.append([count_record(i) for i in range(3_000)])
    box.commit(Batch(records=[count_record(9)], done=tuple(range(1, 2_501)), done_through=7))
    assert [row.seq for row in box.pending(0, 10_000)] == [*range(2_501, 3_002)]
    assert box.depth().records == 501


def test_given_a_gap_of_another_reason_then_it_is_not_folded_into_a_full_stores(opened: Opener) -> None:
    box = opened(max_bytes=SMALL)
    box.append([count_record(i) for i in range(10)])
    box._held.db.execute("UPDATE records SET body = x'ffff' WHERE seq = 3")
    box.pending(0, 5)
    for start in range(0, 12_000, 200):
        box.append([count_record(i) for i in range(start, start + 200)])
    assert {gap.why for gap in gap_bodies(box)} == {"outbox_full", "outbox_damaged"}


def test_pending_reads_a_window(opened: Opener) -> None:
    box = opened()
    box.append([count_record(i) for i in range(10)])
    assert [row.seq for row in box.pending(3, 4)] == [4, 5, 6, 7]
    assert [row.seq for row in box.pending(3, 100, through=5)] == [4, 5]
    assert box.pending(10) == []
    assert box.row(7) is not None
    assert box.row(11) is None


def test_alarms_come_newest_first(opened: Opener) -> None:
    box = opened()
    box.append([event_record(1), count_record(2), event_record(3, severity="info"), event_record(4), event_record(5)])
    assert [row.seq for row in box.alarms(0, 4)] == [4, 1]
    assert [row.seq for row in box.alarms(1, 5, 1)] == [5]


def test_newest_time_counts_trusted_clocks_only_and_survives_delivery(opened: Opener) -> None:
    box = opened()
    box.append([count_record(5)])
    box.append([count_record(2)])
    box.append([count_record(900, synced=False)])
    box.done(1, 2, 3)
    box.close()
    assert opened().newest_s() == count_record(5).time


def test_an_event_too_large_for_a_message_loses_its_details_and_says_so(opened: Opener) -> None:
    record = event_record(1)
    assert isinstance(record.body, EventBody)
    box = opened()
    box.append([replace(record, body=replace(record.body, details={"text": "x" * 70_000}))])
    assert json.loads(box.pending()[0].body)["details"] == {"truncated": True}


# Limits


def test_given_a_full_store_then_counts_go_first_and_every_number_is_accounted_for(opened: Opener) -> None:
    box = opened(max_bytes=SMALL)
    stored: list[Record] = []
    for start in range(0, 12_000, 100):
        batch = [event_record(i) if i % 50 == 0 else count_record(i) for i in range(start, start + 100)]
        stored += batch
        box.append(batch)
    rows = box.pending(0, 1_000_000)
    held = {row.seq for row in rows}
    gone = covered(gap_bodies(box))
    assert gone
    assert not gone & held
    assert gone | held == set(range(1, box.last + 1))
    assert sum(row.rank == Rank.ALARM for row in rows) == 12_000 // 50, "no alarm went while there were counts"
    assert box.depth().records == len(rows)
    assert box.depth().used_bytes <= box.depth().max_bytes <= SMALL
    assert sum(part.stat().st_size for part in files_of(box.path) if part.exists()) <= SMALL * 1.1


def test_given_a_full_store_of_alarms_then_the_oldest_alarms_go(opened: Opener) -> None:
    box = opened(max_bytes=SMALL)
    for start in range(0, 12_000, 200):
        box.append([event_record(i) for i in range(start, start + 200)])
    gaps = gap_bodies(box)
    assert gaps
    assert gaps[0].first_seq == 1
    assert gaps[0].why == "outbox_full"
    assert sum(gap.dropped.get("event", 0) for gap in gaps) + len(box.alarms(0, box.last, 100_000)) == 12_000


def test_given_gaps_nobody_saw_then_they_are_folded_and_seen_ones_stay(opened: Opener) -> None:
    box = opened(max_bytes=SMALL)
    for start in range(0, 8_000, 200):
        box.append([count_record(i) for i in range(start, start + 200)])
    while not any(row.kind == "gap" for row in box.pending(0, 1_000_000)):
        box.append([count_record(1)] * 100)  # pragma: no cover - only where a page holds more
    seen = [row.seq for row in box.pending(0, 1_000_000) if row.kind == "gap"]
    assert len(seen) == 1, "unseen gaps were folded into one"
    for start in range(0, 8_000, 200):
        box.append([count_record(i) for i in range(start, start + 200)])
    rows = box.pending(0, 1_000_000)
    assert seen[0] in {row.seq for row in rows}
    assert covered(gap_bodies(box)) | {row.seq for row in rows} == set(range(1, box.last + 1))


def test_given_more_than_the_whole_store_at_once_then_it_says_so_and_keeps_what_it_had(opened: Opener) -> None:
    box = opened(max_bytes=SMALL)
    box.append([count_record(1)])
    with pytest.raises(OutboxError, match=r"raise outbox\.max_mb"):
        box.append([count_record(i) for i in range(12_000)])
    assert [row.seq for row in box.pending()] == [1]
    assert box.append([count_record(2)]) == range(2, 3), "no number was lost"


def test_given_records_lost_before_they_came_then_they_get_numbers_and_a_gap(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)])
    assert box.commit(Batch(records=[count_record(9)], skipped={"count": 3, "zone": 1})) == range(6, 7)
    (gap,) = gap_bodies(box)
    assert gap.runs == ((2, 5),)
    assert gap.dropped == {"count": 3, "zone": 1}


def test_accounts_are_split_before_a_gap_grows_beyond_a_message() -> None:
    parts = [Lost([(n, n)], Counter({"count": 1})) for n in range(0, 3_000, 2)]
    whole = merged(parts)
    assert len(whole) == 3
    assert sum(sum(part.kinds.values()) for part in whole) == 1_500
    assert max(len(json.dumps(part.gap("outbox_full").runs)) for part in whole if part.runs[0][0]) < 16_000


def test_limits_leave_the_disk_some_room(tmp_path: Path) -> None:
    huge = Limits.on_disk(tmp_path / "outbox.sqlite", 1 << 60)
    assert huge.database_pages * 4096 < os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert Limits.of(1 << 30).log_bytes == 8 << 20


# Refusals


def test_given_an_outbox_in_use_then_a_second_process_is_refused(opened: Opener) -> None:
    opened()
    with pytest.raises(OutboxError, match="another kentongan"):
        opened()


def test_given_a_closed_outbox_then_it_says_so(opened: Opener) -> None:
    box = opened()
    box.close()
    box.close()
    with pytest.raises(OutboxError, match="closed"):
        box.append([count_record(1)])


def test_given_a_file_where_the_folder_should_be_then_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("x")
    with pytest.raises(OutboxError, match="make the folder writable"):
        Outbox(tmp_path / "state" / "outbox.sqlite", boot=BOOT, clock=ManualClock())


def test_given_a_folder_where_the_file_should_be_then_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").mkdir()
    with pytest.raises(OutboxError, match=r"can't be opened"):
        Outbox(tmp_path / "outbox.sqlite", boot=BOOT, clock=ManualClock())


def test_given_another_programs_database_then_it_is_left_alone(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "state").mkdir()
    path = tmp_path / "state" / "outbox.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE precious (x)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="another program"):
        opened()
    assert path.read_bytes() == before


def test_given_a_newer_format_then_it_is_left_alone(opened: Opener) -> None:
    box = opened()
    box.close()
    with closing(sqlite3.connect(box.path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OutboxError, match="newer kentongan"):
        opened()


def test_given_another_process_that_holds_the_database_then_one_sentence(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)])
    with closing(sqlite3.connect(box.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutboxError, match=r"can't be used \(database is locked\)"):
            box.append([count_record(2)])
    assert box.append([count_record(2)]) == range(2, 3)


def test_given_a_disk_without_room_then_one_sentence_and_nothing_is_lost_when_it_has_room_again(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)], {"scene": "1"})
    pages = box._held.db.execute("PRAGMA page_count").fetchone()[0]
    # With no page left SQLite says SQLITE_FULL, as it does when the disk has none.
    box._held.db.execute(f"PRAGMA max_page_count = {pages}")

    def pour() -> None:
        for start in range(0, 1_000, 100):
            box.append([count_record(i) for i in range(start, start + 100)], {"scene": "2"})

    with pytest.raises(OutboxError, match=r"the disk is full or fails .* free some space"):
        pour()
    last = box.last
    assert box.depth().records == last, "a failed commit counts nothing"
    assert len(box.pending(0, 10_000)) == last
    box._held.db.execute("PRAGMA max_page_count = 10000")
    assert box.append([count_record(7)], {"scene": "3"}) == range(last + 1, last + 2)


def test_files_are_for_their_owner_alone(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)])
    for part in box.path.parent.iterdir():
        assert part.stat().st_mode & 0o077 == 0, part


# Small parts


def test_ranges_are_joined() -> None:
    assert joined([(7, 9), (1, 3), (4, 4), (8, 12)]) == [(1, 4), (7, 12)]


def test_bodies_are_packed_tightly_and_damage_is_noticed() -> None:
    text = json.dumps({"line": "north", "cumulative": 7})
    assert unpack(pack(text)) == text
    with pytest.raises(ValueError, match="damaged"):
        unpack(b"\xff" * 20)
    with pytest.raises(ValueError, match="cut short"):
        unpack(pack(text * 50)[:-8])


def test_a_mark_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    assert read_mark(path) is None
    for text in ("", "[]", "{}", '{"oldest": 5, "last": 2, "ceiling": 9}', '{"oldest": "x", "last": 2, "ceiling": 9}'):
        path.write_text(text)
        assert read_mark(path) is None
    write_mark(path, Mark(1, 2, 3))
    assert read_mark(path) == Mark(1, 2, 3)


def test_a_time_on_the_wire_is_the_manual_clocks(opened: Opener) -> None:
    box = opened()
    box.commit(Batch(skipped={"count": 1}))
    assert box.pending()[0].time_s == START_UTC_S


def test_given_a_commit_that_hangs_then_the_depth_is_told_and_closing_gives_up_in_time(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1), count_record(2)])
    entered, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        assert let_go.wait(30)

    hanging = threading.Thread(target=lambda: box._guarded(hang))
    hanging.start()
    assert entered.wait(10)
    began_s = time.monotonic()
    assert box.depth().records == 2
    assert not box.close(0.1)
    assert time.monotonic() - began_s < 5
    let_go.set()
    hanging.join(10)
    assert box.close()


def test_given_a_disk_that_has_more_room_than_at_the_start_then_nothing_is_dropped(opened: Opener) -> None:
    box = opened()
    box._held.limits = Limits.of(0)  # as on a disk that was full when it was opened
    limit_pages(box._held.db, box._held.limits)
    for start in range(0, 4_000, 500):
        box.append([count_record(number) for number in range(start, start + 500)])
    assert box.depth().records == 4_000
    assert gap_bodies(box) == []


def test_given_a_store_that_cannot_be_measured_then_the_commit_stands(opened: Opener) -> None:
    box = opened()
    box.append([count_record(1)])
    box._held.db.execute("CREATE TEMP TABLE records (empty TEXT)")  # hides the real one from the measurement alone
    box._publish_depth()
    assert box.depth().records == 1
    box._held.db.execute("DROP TABLE temp.records")
