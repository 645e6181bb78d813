"""A real file system of four megabytes that fills up: nothing counted is lost, and it goes on when there is room."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import OutboxError
from agent.outbox import Outbox, OutboxWriter
from tests.fakes.clock import ManualClock
from tests.fakes.records import count_record, event_record


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def fill(folder: Path) -> Path:
    """Take every byte that is left."""
    hog = folder / "hog"
    with hog.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            continue
    return hog


def opened(folder: Path) -> Outbox:
    return Outbox(folder / "state" / "outbox.sqlite", boot=str(uuid.uuid4()), clock=ManualClock())


def test_given_a_small_disk_then_the_store_stays_below_it_and_drops_by_rank(small_disk: Path) -> None:
    box = opened(small_disk)
    for start in range(0, 30_000, 200):
        box.append([event_record(i) if i % 100 == 0 else count_record(i) for i in range(start, start + 200)])
    assert sum(row.rank == 2 for row in box.pending(0, 100_000)) == 300
    box.done_through(box.last)
    assert box.depth().records == 0
    box.close()


def test_given_others_fill_the_disk_then_records_wait_and_none_is_lost(small_disk: Path) -> None:
    box = opened(small_disk)
    writer = OutboxWriter(box, commit_s=0.01, retry_s=0.05)
    writer.start()
    writer.put([count_record(1)], {"counter": "1"})
    assert writer.flush(5)
    hog = fill(small_disk)
    put, deadline_s = 1, time.monotonic() + 20
    while writer.state().ok:
        assert time.monotonic() < deadline_s
        writer.put([count_record(put + n) for n in range(1, 101)], {"counter": str(put + 100)})
        put += 100
        time.sleep(0.02)
    state = writer.state()
    assert "free some space" in (state.reason or "")
    assert state.waiting > 0
    assert str(small_disk) in (state.reason or "")
    hog.unlink()
    assert writer.flush(10)
    assert writer.state().ok
    assert box.last == put
    assert box.load_state() == {"counter": str(put)}
    assert [row.seq for row in box.pending(0, 100_000)] == list(range(1, put + 1))
    writer.stop()
    box.close()


def test_given_a_disk_without_any_room_then_it_is_said_at_the_start(small_disk: Path) -> None:
    hog = fill(small_disk)
    with pytest.raises(OutboxError, match=r"free some space|can't be kept there"):
        opened(small_disk)
    hog.unlink()
    opened(small_disk).close()
