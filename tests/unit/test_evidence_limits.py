"""Evidence within its bounds: disks that fill or refuse, memory, ages, and the newest frames dropped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.evidence.avi import Picture
from agent.evidence.folder import EvidenceFolder
from agent.evidence.keeper import FRAMES_WAITING
from agent.evidence.reel import MOST_BYTES, _within
from agent.update.durable import Disk
from agent.values import Frame
from tests.fakes.clips import picture
from tests.fakes.evidence import Make, key_pair, opened, witnessed_box


@pytest.fixture
def owner(tmp_path: Path) -> tuple[str, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def make(tmp_path: Path, owner: tuple[str, Path]) -> Make:
    return partial(witnessed_box, tmp_path / "state", owner[0])


def test_given_a_full_disk_then_health_says_so_and_the_next_clip_is_kept_when_there_is_room(make: Make) -> None:
    box = make()
    box.film(3)
    box.disks.free = 150_000_000
    box.tell()
    box.film(8)
    assert box.paths() == []
    state = box.keeper.state()
    assert (state.ok, state.lost) == (False, 1)
    assert "has 150 MB left" in str(state.reason)
    box.film(60)
    assert not box.keeper.state().ok, "told as long as it is so"
    box.disks.free = 10**12
    box.tell("next")
    box.film(61)
    assert len(box.paths()) == 1
    state = box.keeper.state()
    assert (state.ok, state.reason, state.clips) == (True, None, 1)


def test_given_a_folder_that_can_not_be_made_then_health_says_so_and_nothing_fails(make: Make) -> None:
    box = make()
    box.config.state_dir.mkdir()
    (box.config.state_dir / "evidence").write_text("in the way", encoding="utf-8")
    box.film(2)
    box.tell()
    box.film(8)
    state = box.keeper.state()
    assert not state.ok
    assert "look at the disk" in str(state.reason)
    (box.config.state_dir / "evidence").unlink()
    box.film(61)
    assert box.keeper.state().ok


def test_the_oldest_clips_go_by_age_and_by_size_but_never_by_a_clock_that_is_not_set(make: Make) -> None:
    box = make(keep_days=0.01)
    box.film(3)
    box.tell()
    box.film(8)
    assert len(box.paths()) == 1
    box.clock.advance(61)
    box.keeper.turn(0.0)
    box.clock.set_synced(synced=False)
    box.clock.step_utc(-1e9)
    box.film(3)
    box.tell("undated")
    box.film(8)
    box.clock.step_utc(1e9)
    box.clock.advance(5_000)
    box.keeper.turn(0.0)
    assert len(box.paths()) == 2
    box.clock.set_synced(synced=True)
    box.clock.advance(100)
    box.keeper.turn(0.0)
    (kept,) = box.folder.clips()
    assert kept.events[0].event == "undated", "its age counts from now on"
    box.clock.advance(1_000)
    box.keeper.turn(0.0)
    assert box.paths("clips/*") == []


def test_given_more_clips_than_allowed_then_the_oldest_go(make: Make) -> None:
    box = make()
    for number in range(3):
        box.film(3)
        box.tell(f"event-{number}")
        box.film(8)
    sizes = [path.stat().st_size for path in box.paths()]
    tight = EvidenceFolder(box.root, max_bytes=sum(sizes[1:]) + 10, keep_s=1e9)
    assert len(tight.forget(None)) == 1
    assert [kept.events[0].event for kept in tight.clips()] == ["event-1", "event-2"]


def test_given_pictures_beyond_what_a_clip_may_hold_then_its_end_is_left_out() -> None:
    pictures = [Picture(number, number, bytes(MOST_BYTES // 4)) for number in range(6)]
    assert _within(pictures, MOST_BYTES) == pictures[:4]
    assert _within(pictures[:2], MOST_BYTES) == pictures[:2]


def test_a_disk_that_refuses_a_clip_is_told_and_the_clip_counts_as_lost(make: Make) -> None:
    class Broken(Disk):
        def write(self, path: Path, data: bytes) -> None:
            if path.suffix == ".age":
                raise OSError(28, "No space left on device")
            super().write(path, data)

    box = make()
    box.folder._disk = Broken()
    box.film(3)
    box.tell()
    box.film(8)
    state = box.keeper.state()
    assert (state.ok, state.lost, state.clips) == (False, 1, 0)
    assert "No space left on device; look at the disk" in str(state.reason)


def test_given_room_for_a_clip_but_not_for_the_note_about_it_then_neither_stays(make: Make) -> None:
    class Full(Disk):
        def write(self, path: Path, data: bytes) -> None:
            if path.suffix == ".json":
                raise OSError(28, "No space left on device")
            super().write(path, data)

    box = make()
    box.folder._disk = Full()
    box.film(3)
    box.tell()
    box.film(8)
    assert box.keeper.state().lost == 1
    assert box.paths("clips/*") == box.paths("clips/.*") == []


def test_given_a_keeper_that_hangs_then_showing_it_frames_never_waits_and_the_newest_are_dropped(make: Make) -> None:
    box = make(fps=5)
    for number in range(20):
        box.witness.show(Frame("gate", number, picture(number), box.clock.advance(1)))
    assert box.keeper.state().dropped == 20 - FRAMES_WAITING
    box.keeper.turn(0.0)
    assert box.keeper._newest_dropped_frames.qsize() == FRAMES_WAITING - 1


def test_wide_pictures_are_scaled_and_memory_is_bounded_in_bytes(make: Make, owner: tuple[str, Path]) -> None:
    box = make(width_px=320, memory_mb=4, before_s=60)
    box.film(5, width_px=800)
    box.tell()
    box.film(8)
    jpeg = opened(box.paths()[0], owner[1])[1][0].jpeg
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (192, 320, 3)
    ring = box.keeper._reels["gate"]._ring
    for number in range(500):
        ring.add(Picture(1000 + number, 1e9 + number, bytes(100_000)))
    assert len(ring.between(0, 1e9)) == 40


def test_a_disk_ring_is_bounded_in_bytes_and_what_an_earlier_life_left_goes_first(make: Make) -> None:
    box = make(ring={"minutes": 60, "mb": 10})
    box.film(30)
    assert len(box.paths("ring/*")) >= 5
    ring = box.keeper._reels["gate"]._ring
    ring._max_bytes = box.paths("ring/*")[0].stat().st_size * 3  # type: ignore[attr-defined]
    box.film(10)
    assert len(box.paths("ring/*")) <= 4
    none = make(clock=box.clock)  # configured without a ring: what is left of one goes
    none.film(0.2)
    assert none.paths("ring/*") == []
    later = make(ring={"minutes": 1}, clock=box.clock)
    stray = later.root / "ring" / "yard.1000.2000.avi.age"
    stray.write_bytes(b"of a camera that is no more")
    (later.root / "ring" / "odd.avi.age").write_bytes(b"odd")
    later.film(0.2)
    assert later.paths("ring/*.age") == []


def test_given_pieces_that_were_tampered_with_then_a_clip_holds_the_others(make: Make, owner: tuple[str, Path]) -> None:
    box = make(ring={"minutes": 5}, before_s=20)
    box.film(25)
    pieces = box.paths("ring/*")
    pieces[1].write_bytes(b"replaced")
    pieces[2].unlink()
    box.tell()
    box.film(8)
    _, pictures = opened(box.paths()[0], owner[1])
    assert 20 < len(pictures) < 26 * 4 - 30
