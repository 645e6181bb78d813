"""A damaged store is set aside, what can be read survives, numbers never go back, and a gap tells of the rest."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.clock import Instant
from agent.errors import OutboxError
from agent.outbox import Outbox
from agent.outbox.damage import Continued, continued, fresh_of, ready_of
from agent.outbox.database import DamagedError, files_of
from agent.outbox.holdings import _without
from agent.outbox.mark import BLOCK, Mark
from agent.outbox.rows import pack
from agent.records import GapBody, load
from tests.fakes.clock import ManualClock
from tests.fakes.records import count_record

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
Opener = Callable[[], Outbox]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens the outbox of this test; all are closed at its end."""
    boxes: list[Outbox] = []

    def open_it() -> Outbox:
        boxes.append(Outbox(tmp_path / "outbox.sqlite", boot=BOOT, clock=ManualClock(), machine="m"))
        return boxes[-1]

    yield open_it
    for box in boxes:
        box.close()


def gaps_of(box: Outbox) -> list[GapBody]:
    return [load(GapBody, json.loads(row.body)) for row in box.pending(0, 1_000_000) if row.kind == "gap"]


def covered(gaps: list[GapBody]) -> set[int]:
    return {seq for gap in gaps for first, last in gap.runs for seq in range(first, last + 1)}


def fill(box: Outbox, number: int = 2_500) -> None:
    for start in range(0, number, 100):
        box.append([count_record(i) for i in range(start, start + 100)], {"scene": str(start)})


def wreck(path: Path, *, at: float, length: int = 4096) -> None:
    """Overwrite a stretch of the file, as a failing flash does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * at) // 4096 * 4096)
        file.write(b"\xa5" * length)


def test_given_a_file_that_is_no_database_then_it_is_set_aside_and_numbering_goes_on(opened: Opener) -> None:
    box = opened()
    fill(box)
    box.close()
    box.path.write_bytes(b"this is no database" * 1000)
    again = opened()
    assert again.notice is not None
    assert "set aside" in again.notice
    assert again.path.with_name(again.path.name + ".damaged").exists()
    assert again.last > 2_500
    gaps = gaps_of(again)
    assert {gap.why for gap in gaps} == {"outbox_damaged"}
    assert covered(gaps) >= set(range(1, 2_501))
    assert again.append([count_record(1)]).start == again.last > 2_500


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_given_damaged_pages_then_rows_and_state_that_can_be_read_survive(opened: Opener, at: float) -> None:
    box = opened()
    fill(box)
    box.close()
    wreck(box.path, at=at)
    again = opened()
    rows = [row for row in again.pending(0, 1_000_000) if row.kind == "count"]
    assert again.notice is not None
    assert len(rows) > 500
    held = {row.seq for row in rows}
    assert held | covered(gaps_of(again)) >= set(range(1, 2_501))
    assert not held & covered(gaps_of(again))
    assert [json.loads(row.body)["cumulative"] for row in rows] == [row.seq - 1 for row in rows]
    assert again.load_state() == {"scene": "2400"}


def test_given_damage_while_running_then_writing_and_reading_go_on(opened: Opener) -> None:
    box = opened()
    fill(box)
    overwrite_root(box)
    box.append([count_record(7)])
    assert box.notice is not None
    assert box.last > 2_500
    assert covered(gaps_of(box)) >= set(range(1, 2_501))


def test_given_one_unreadable_body_then_the_others_are_read_and_a_gap_tells(opened: Opener) -> None:
    box = opened()
    box.append([count_record(i) for i in range(5)])
    box._held.db.execute("UPDATE records SET body = x'ffffff' WHERE seq = 3")
    assert [row.seq for row in box.pending()] == [1, 2, 4, 5]
    (gap,) = gaps_of(box)
    assert gap.runs == ((3, 3),)
    assert gap.why == "outbox_damaged"
    assert box.depth().records == 5


def test_given_a_lost_database_then_numbers_go_on_from_the_mark(opened: Opener) -> None:
    box = opened()
    fill(box, 100)
    box.close()
    for part in files_of(box.path):
        part.unlink(missing_ok=True)
    again = opened()
    assert again.last >= 100
    assert covered(gaps_of(again)) >= set(range(1, 101))


def test_given_an_old_copy_of_the_database_then_no_number_is_given_out_twice(opened: Opener) -> None:
    box = opened()
    fill(box, 100)
    box.close()
    old = box.path.read_bytes()
    box = opened()
    fill(box, 2_000)
    highest = box.last
    box.close()
    for part in files_of(box.path):
        part.unlink(missing_ok=True)
    box.path.write_bytes(old)
    again = opened()
    assert again.append([count_record(1)]).start > highest
    assert covered(gaps_of(again)) >= set(range(101, highest + 1))
    assert [row.seq for row in again.pending(0, 100)] == list(range(1, 101))


def test_given_damage_without_a_mark_then_it_goes_on_from_what_can_be_read(opened: Opener, tmp_path: Path) -> None:
    box = opened()
    fill(box)
    box.close()
    (tmp_path / "outbox.sqlite.mark").unlink()
    wreck(box.path, at=0.5)
    assert opened().last >= 2_500


def test_given_rows_whose_boot_is_lost_then_they_are_reported_not_misnamed(opened: Opener) -> None:
    box = opened()
    fill(box, 100)
    box._held.db.execute("DELETE FROM boots")
    box._held.db.execute(
        "INSERT INTO records SELECT 5000, 1, 'count', NULL, 0, 0, NULL, 1, NULL, NULL, ?", (pack("{}"),)
    )
    box.close()
    with box.path.open("r+b") as file:
        file.truncate(box.path.stat().st_size - 100)
    again = opened()
    assert again.notice is not None
    assert [row.kind for row in again.pending(0, 1000)] == ["gap"]
    assert again.last > 100


def test_given_a_second_damage_then_only_the_newer_wreck_is_kept(opened: Opener, tmp_path: Path) -> None:
    for text in (b"first" * 2000, b"second" * 2000):
        box = opened()
        box.append([count_record(1)])
        box.close()
        for part in files_of(box.path)[1:]:
            part.unlink(missing_ok=True)
        box.path.write_bytes(text)
    opened()
    assert (tmp_path / "outbox.sqlite.damaged").read_bytes().startswith(b"second")


def test_given_a_disk_that_cannot_take_a_new_store_then_one_sentence_and_later_it_recovers(
    opened: Opener, tmp_path: Path
) -> None:
    box = opened()
    box.append([count_record(1)])
    box.close()
    for part in files_of(box.path)[1:]:
        part.unlink(missing_ok=True)
    box.path.write_bytes(b"no database at all" * 500)
    blocker = tmp_path / "outbox.sqlite.damaged"
    blocker.mkdir()
    with pytest.raises(OutboxError, match="can't be written"):
        opened()
    blocker.rmdir()
    assert opened().last > 1


def overwrite_root(box: Outbox) -> None:
    """Damage the file under the feet of an open outbox, and let it forget the pages it has read."""
    box._held.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(box.path)) as other:
        root = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'records'").fetchone()[0]
    with box.path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    box._held.db.execute("PRAGMA shrink_memory")
    box._held.db.execute("PRAGMA cache_size = 1")


def test_given_damage_that_cannot_be_set_aside_then_it_is_tried_again_later(opened: Opener, tmp_path: Path) -> None:
    box = opened()
    fill(box)
    overwrite_root(box)
    blocker = tmp_path / "outbox.sqlite.damaged"
    blocker.mkdir()
    for _ in range(2):
        with pytest.raises(OutboxError, match="can't be written"):
            box.append([count_record(7)])
    blocker.rmdir()
    assert box.append([count_record(7)]).start > 2_500
    assert covered(gaps_of(box)) >= set(range(1, 2_501))


def test_given_no_room_for_a_new_store_then_the_damaged_one_is_put_back(opened: Opener, tmp_path: Path) -> None:
    box = opened()
    fill(box)
    overwrite_root(box)
    (tmp_path / "outbox.sqlite.mark.new").mkdir()  # the mark can't be written, as on a full disk
    with pytest.raises(OutboxError, match="can't be written"):
        box.append([count_record(7)])
    assert box.path.exists()
    assert not (tmp_path / "outbox.sqlite.damaged").exists()
    (tmp_path / "outbox.sqlite.mark.new").rmdir()
    assert box.append([count_record(7)]).start > 2_500


def test_given_a_disk_that_damages_all_it_is_given_then_one_sentence(opened: Opener) -> None:
    box = opened()

    def damaged() -> None:
        raise DamagedError("page 7")

    with pytest.raises(OutboxError, match="damaged again at once"):
        box._guarded(damaged)


def test_given_a_damaged_body_in_a_damaged_file_then_it_is_not_saved(opened: Opener) -> None:
    box = opened()
    fill(box)
    box._held.db.execute("UPDATE records SET body = x'ffff' WHERE seq = 3")
    box.close()
    wreck(box.path, at=0.8)
    again = opened()
    assert 3 in covered(gaps_of(again))
    assert [row.seq for row in again.pending(0, 3)] == [1, 2, 4]


_KILLED_WHILE_REBUILDING = """
import os, sys
from pathlib import Path
from agent.outbox import Outbox
from tests.fakes.clock import ManualClock

class Killer(ManualClock):
    def now(self):  # asked for the time of the gap record: the rows are saved, the gap is not
        os._exit(9)

Outbox(Path(sys.argv[1]), boot=sys.argv[2], clock=Killer(), machine="m")
"""


def test_given_a_kill_while_it_is_salvaged_then_the_next_start_salvages_again_and_a_gap_tells(opened: Opener) -> None:
    box = opened()
    fill(box)
    box.close()
    wreck(box.path, at=0.5)
    for _ in range(2):
        killed = subprocess.run(
            [sys.executable, "-c", _KILLED_WHILE_REBUILDING, str(box.path), BOOT], check=False, timeout=60
        )
        assert killed.returncode == 9
        assert fresh_of(box.path).exists(), "it was killed in the middle"
    again = opened()
    rows = {row.seq for row in again.pending(0, 1_000_000) if row.kind == "count"}
    assert again.notice is not None
    assert len(rows) > 500
    assert rows | covered(gaps_of(again)) >= set(range(1, 2_501))
    assert not rows & covered(gaps_of(again))
    assert again.load_state() == {"scene": "2400"}
    assert not fresh_of(box.path).exists()
    assert again.append([count_record(1)]).start > 2_500


def test_given_a_kill_just_before_the_new_store_takes_its_place_then_the_next_start_lets_it(opened: Opener) -> None:
    box = opened()
    fill(box)
    box.close()
    sound = box.path.read_bytes()
    ready_of(box.path).write_bytes(sound)
    wreck(box.path, at=0.5)
    again = opened()
    assert again.notice is not None
    assert again.depth().records == 2_500
    assert again.path.with_name(again.path.name + ".damaged").exists()
    assert not ready_of(box.path).exists()


def test_given_a_lost_database_when_killed_while_it_is_replaced_then_the_gap_is_told_all_the_same(
    opened: Opener,
) -> None:
    box = opened()
    fill(box, 100)
    box.close()
    for part in files_of(box.path):
        part.unlink(missing_ok=True)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_REBUILDING, str(box.path), BOOT], check=False, timeout=60
    )
    assert killed.returncode == 9
    assert covered(gaps_of(opened())) >= set(range(1, 101))


def test_given_a_disk_that_damages_the_new_store_too_then_one_sentence(opened: Opener, tmp_path: Path) -> None:
    box = opened()
    fill(box)
    box.close()
    wreck(box.path, at=0.5)

    class Failing(ManualClock):
        def now(self) -> Instant:
            raise DamagedError("page 7")

    with pytest.raises(OutboxError, match="damaged again at once"):
        Outbox(box.path, boot=BOOT, clock=Failing(), machine="m")


@pytest.mark.parametrize(
    ("saved", "left"),
    [([], [(3, 9)]), ([(1, 20)], []), ([(4, 5), (8, 9)], [(3, 3), (6, 7)]), ([(1, 3), (12, 14)], [(4, 9)])],
)
def test_what_is_left_of_a_range_without_what_was_saved(
    saved: list[tuple[int, int]], left: list[tuple[int, int]]
) -> None:
    assert _without((3, 9), saved) == left


def test_given_no_room_at_the_start_then_the_damaged_file_is_as_it_was(opened: Opener, tmp_path: Path) -> None:
    box = opened()
    box.append([count_record(1)])
    box.close()
    for part in files_of(box.path)[1:]:
        part.unlink(missing_ok=True)
    box.path.write_bytes(b"no database at all" * 500)
    (tmp_path / "outbox.sqlite.mark.new").mkdir()
    with pytest.raises(OutboxError, match="can't be written"):
        opened()
    assert box.path.read_bytes() == b"no database at all" * 500


def test_given_a_large_file_then_it_is_not_checked_at_the_start(opened: Opener) -> None:
    box = opened()
    fill(box, 100)
    box.close()
    with box.path.open("r+b") as file:
        file.truncate(65 << 20)
    assert opened().last == 100


@pytest.mark.parametrize(
    ("last", "mark", "sound", "expected"),
    [
        (7, None, True, Continued(7)),
        (7, Mark(1, 5, 1005), True, Continued(7)),
        (0, Mark(1, 0, 1000), True, Continued(0)),
        (3, Mark(2, 5, 1005), True, Continued(1004, (4, 1004))),
        (0, Mark(1, 0, 1000), False, Continued(999, (1, 999))),
        (7, Mark(2, 5, 1005), False, Continued(1004, (2, 1004))),
        (0, Mark(6, 5, 6), False, Continued(5)),
    ],
)
def test_where_numbering_goes_on(last: int, mark: Mark | None, sound: bool, expected: Continued) -> None:  # noqa: FBT001 - a table
    assert continued(last, mark, sound=sound) == expected


def test_a_block_is_large_enough_to_write_the_mark_rarely() -> None:
    assert BLOCK >= 1000
