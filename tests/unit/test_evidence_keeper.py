"""Evidence on the box: what is kept around an event, what it costs when disks fill and boxes die, who can open it."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.errors import EvidenceError
from agent.evidence.avi import Picture
from agent.evidence.folder import EvidenceFolder
from agent.evidence.keeper import FRAMES_WAITING, EvidenceKeeper
from agent.evidence.reel import LONGEST_S, MOST_BYTES, _within
from agent.evidence.sealing import Sealer, open_sealed
from agent.records import EventBody
from agent.scene.attest import MOST_EVENTS, Attest
from agent.update.durable import Disk
from agent.values import Frame
from tests.fakes.clips import picture
from tests.fakes.clock import ManualClock
from tests.fakes.evidence import Disks, WitnessedBox, config_of, event_of, key_pair, opened

JPEG = b"\xff\xd8\xff"
Make = Callable[..., WitnessedBox]


@pytest.fixture
def owner(tmp_path: Path) -> tuple[str, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def make(tmp_path: Path, owner: tuple[str, Path]) -> Make:
    def made(*, clock: ManualClock | None = None, disks: Disks | None = None, **wishes: Any) -> WitnessedBox:
        return WitnessedBox(config_of(tmp_path / "state", owner[0], **wishes), clock=clock, disks=disks)

    return made


@pytest.mark.parametrize("ring", [None, {"minutes": 5, "mb": 50}])
def test_given_an_event_then_a_clip_from_before_to_after_it_is_kept_and_told(
    make: Make, owner: tuple[str, Path], ring: dict[str, int] | None
) -> None:
    box = make(ring=ring)
    box.film(20)
    box.tell(ago_s=2)
    told_s = box.clock.now().utc_s
    box.film(9)
    (path,) = box.paths()
    (evidence,) = box.finished
    assert evidence.clip.name == path.name
    assert evidence.clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert evidence.clip.bytes == path.stat().st_size
    assert evidence.clip.start_s == pytest.approx(told_s - 2 - 4, abs=0.3)
    assert evidence.clip.end_s == pytest.approx(told_s + 6, abs=0.3)
    about, pictures = opened(path, owner[1])
    assert len(pictures) == pytest.approx(12 * 4, abs=2)
    assert about["device"] == "pole-17"
    assert about["events"] == [{"kind": "aggression", "event": "e" * 8, "where": None}]
    assert JPEG not in path.read_bytes()


@pytest.mark.parametrize("ring", [None, {"minutes": 1}])
def test_given_no_event_then_no_clip_is_kept_and_no_picture_lies_on_the_disk_in_the_clear(
    make: Make, owner: tuple[str, Path], ring: dict[str, int] | None
) -> None:
    box = make(ring=ring)
    box.film(90)
    box.tell(kind="crowd")  # not among the events that are kept
    box.film(10)
    assert box.paths() == []
    pieces = box.paths("ring/*")
    assert bool(pieces) == (ring is not None)
    assert len(pieces) <= 60 / 5 + 2
    for piece in pieces:
        assert JPEG not in piece.read_bytes()
        assert len(opened(piece, owner[1])[1]) == pytest.approx(20, abs=2)


def test_only_the_agents_user_may_look_into_the_folder(make: Make) -> None:
    box = make(ring={"minutes": 1})
    box.root.mkdir(parents=True, mode=0o755)
    box.film(11)
    box.tell()
    box.film(8)
    for path in (box.root, *box.root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert box.paths()
    assert box.paths("ring/*")


def test_neither_another_key_nor_the_box_itself_opens_a_clip(make: Make, tmp_path: Path) -> None:
    box = make()
    box.film(2)
    box.tell()
    box.film(8)
    (tmp_path / "other").mkdir()
    _, stranger = key_pair(tmp_path / "other")
    with pytest.raises(EvidenceError, match="sealed to another key"):
        open_sealed(box.paths()[0].read_bytes(), stranger)
    sealer = Sealer([key_pair(tmp_path)[0]])
    assert sealer.read_back(sealer.seal_readable(b"ring")) == b"ring"
    with pytest.raises(EvidenceError, match="sealed to another key"):
        sealer.read_back(sealer.seal(b"clip"))


def test_given_an_event_within_a_clip_then_it_grows_and_both_are_told_of_it(make: Make) -> None:
    box = make()
    box.film(5)
    box.tell("first")
    box.film(4)
    box.tell("second")
    box.tell("first", phase="end")
    box.film(8)
    assert len(box.paths()) == 1
    assert {each.event.event: each.event.phase for each in box.finished} == {"first": "end", "second": "start"}
    assert box.finished[0].clip == box.finished[1].clip
    assert box.finished[0].clip.end_s - box.finished[0].clip.start_s == pytest.approx(14, abs=0.6)


def test_given_events_without_end_then_no_clip_is_longer_than_two_minutes(make: Make) -> None:
    box = make(fps=1)
    box.film(5)
    for number in range(60):
        box.tell(f"event-{number}")
        box.film(3)
    box.film(10)
    lengths = [kept.clip.end_s - kept.clip.start_s for kept in box.folder.clips()]
    assert len(lengths) == 2
    assert max(lengths) <= LONGEST_S + 1
    assert {each.event.event for each in box.finished} == {f"event-{number}" for number in range(60)}


def test_given_a_camera_that_gives_no_pictures_then_nothing_is_kept_and_nothing_pends(make: Make) -> None:
    box = make()
    box.keeper.turn(0.0)
    box.tell()
    box.clock.advance(20)
    box.keeper.turn(0.0)
    assert box.paths("clips/*") == box.paths("clips/.*") == []


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


def test_given_a_key_with_a_wrong_letter_then_health_says_so_and_nothing_is_kept(make: Make, tmp_path: Path) -> None:
    box = make(keys=["age1" + "q" * 58])
    assert box.keeper.witness("gate") is None
    box.keeper.turn(0.0)
    state = box.keeper.state()
    assert not state.ok
    assert "camera gate: evidence can't be sealed to age1qqqqqqqq…, which is no public key" in str(state.reason)


def test_given_no_library_then_health_names_the_extra(tmp_path: Path, owner: tuple[str, Path]) -> None:
    def missing(_: object) -> Sealer:
        raise EvidenceError("evidence needs the package pyrage, an extra; install it")

    keeper = EvidenceKeeper(config_of(tmp_path, owner[0]), ManualClock(), sealer=missing)
    assert "pyrage" in str(keeper.state().reason)


def test_a_camera_may_have_its_own_key_or_keep_nothing(tmp_path: Path, owner: tuple[str, Path]) -> None:
    (tmp_path / "bank").mkdir()
    bank_key, bank_file = key_pair(tmp_path / "bank")
    source = "rtsp://camera.invalid/"
    cameras = [
        {"name": "gate", "source": source, "evidence": {"keys": [bank_key]}},
        {"name": "yard", "source": source, "evidence": {"enabled": False}},
    ]
    box = WitnessedBox(config_of(tmp_path / "state", owner[0], cameras=cameras))
    assert box.keeper.witness("yard") is None
    box.film(2)
    box.tell()
    box.film(8)
    assert opened(box.paths()[0], bank_file)
    with pytest.raises(EvidenceError, match="another key"):
        opened(box.paths()[0], owner[1])


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


def test_given_a_kill_while_a_clip_is_gathered_then_the_ring_s_pieces_are_kept_in_its_place_and_told(
    make: Make, owner: tuple[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    box = make(ring={"minutes": 5})
    box.film(20)
    box.tell()
    box.film(3)  # killed: nothing of it is closed
    (box.root / "clips" / ".half.new").write_bytes(b"half")
    after = make(ring={"minutes": 5}, clock=box.clock)
    after.film(0.5)
    parts = after.paths()
    assert len(parts) >= 1
    assert all(len(path.name.split(".")) == 5 for path in parts), "clip, beginning, end"
    told = {each.clip.name: each.clip for each in after.finished}
    assert set(told) == {path.name for path in parts}
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == told[path.name].sha256 for path in parts)
    assert sum(len(opened(path, owner[1])[1]) for path in parts) > 10
    assert after.paths("clips/.*") == []
    assert "parts from the ring" in caplog.text


def test_given_another_kill_in_the_midst_of_that_then_no_part_is_lost(make: Make, owner: tuple[str, Path]) -> None:
    box = make(ring={"minutes": 5}, before_s=12)
    box.film(20)
    box.tell()
    (pending,) = box.paths("clips/.*.pending")
    piece = box.paths("ring/*.age")[-1]
    times = piece.name.removeprefix("gate.")
    piece.rename(pending.with_name(pending.name[1:].removesuffix(".avi.age.pending") + f".{times}"))
    after = make(ring={"minutes": 5}, clock=box.clock)
    after.film(0.5)
    names = {each.clip.name for each in after.finished}
    assert len(names) >= 2
    assert names == {path.name for path in after.paths()}
    assert any(times in name for name in names)


def test_given_a_kill_while_a_clip_was_gathered_in_memory_then_it_is_said_to_be_lost(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    box = make()
    box.film(10)
    box.tell()
    box.film(1)
    after = make(clock=box.clock)
    after.film(0.5)
    assert after.paths("clips/*") == after.paths("clips/.*") == []
    assert "it is lost: the ring was in memory" in caplog.text


def test_given_a_kill_between_a_clip_and_the_note_about_it_then_the_clip_is_noted_and_told(make: Make) -> None:
    box = make()
    box.film(10)
    box.tell()
    (pending,) = box.paths("clips/.*.pending")
    note = pending.read_bytes()
    box.film(8)
    (path,) = box.paths()
    Path(f"{path}.json").unlink()
    pending.write_bytes(note)
    after = make(clock=box.clock)
    after.film(0.5)
    assert [each.clip.name for each in after.finished] == [path.name]
    assert after.paths() == [path]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"events": [{}]}', '{"events": [], "camera": "gate", "name": 1}']
)
def test_given_damaged_notes_then_the_clip_is_noted_anew_without_its_story(make: Make, text: str) -> None:
    box = make()
    box.film(3)
    box.tell()
    box.film(8)
    (sidecar,) = box.paths("clips/*.json")
    sidecar.write_text(text, encoding="utf-8")
    (box.root / "clips" / ".other.avi.age.pending").write_text(text, encoding="utf-8")
    after = make(clock=box.clock)
    after.film(0.3)
    assert after.finished == []
    (kept,) = after.folder.clips()
    assert (kept.camera, kept.events) == ("gate", ())
    assert after.paths("clips/.*") == []
    assert after.keeper.state().ok
    after.paths()[0].unlink()
    again = make(clock=box.clock)
    again.film(0.3)
    assert again.paths("clips/*") == [], "a note without a clip goes"


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


def test_a_keeper_needs_a_section_evidence(tmp_path: Path, owner: tuple[str, Path]) -> None:
    config = config_of(tmp_path, owner[0]).model_copy(update={"evidence": None})
    with pytest.raises(EvidenceError, match="write a section evidence"):
        EvidenceKeeper(config, ManualClock())


def test_given_a_stop_while_a_clip_is_gathered_then_it_is_sealed_as_far_as_it_came(make: Make) -> None:
    box = make()
    box.film(5)
    box.tell()
    box.film(1)
    box.keeper.start()
    assert box.keeper.stop(10)
    (kept,) = box.folder.clips()
    assert 4 < kept.clip.end_s - kept.clip.start_s < 6


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


# What the scene makes of it


def _started(attest: Attest, clock: ManualClock, event: str = "one", **changes: Any) -> EventBody:
    body = event_of(clock, event, **changes).body
    (amended,) = attest.amend([body])
    assert isinstance(amended, EventBody)
    return amended


def test_an_open_event_is_told_again_with_its_clip_and_every_later_message_names_it(make: Make) -> None:
    box, attest = make(), Attest({}, watched=True)
    _started(attest, box.clock, "e" * 8)
    box.film(5)
    box.tell()
    box.film(8)
    (told,) = attest.attest(box.finished)
    assert isinstance(told, EventBody)
    assert told.phase == "update"
    (named,) = told.details["evidence"]  # type: ignore[misc]
    assert isinstance(named, dict)
    assert named["sha256"] == box.finished[0].clip.sha256
    assert set(named) == {"clip", "sha256", "bytes", "from", "to"}
    assert attest.attest(box.finished) == [], "told once"
    again = Attest(attest.state(), watched=True)
    assert again.attest(box.finished) == [], "over a restart too"
    end = _started(again, box.clock, "e" * 8, phase="end")
    assert end.details["evidence"] == [named]
    assert end.details["likeness"] == 0.9


def test_an_event_that_is_over_is_told_again_as_over(make: Make) -> None:
    box, attest = make(), Attest({}, watched=True)
    _started(attest, box.clock, "e" * 8)
    box.film(5)
    box.tell()
    box.film(8)
    _started(attest, box.clock, "e" * 8, phase="end")
    (told,) = attest.attest(box.finished)
    assert isinstance(told, EventBody)
    assert told.phase == "end"


def test_a_clip_of_an_event_that_nobody_remembers_is_told_as_it_was_kept(make: Make) -> None:
    box = make()
    box.film(5)
    box.tell()
    box.film(8)
    (told,) = Attest({}, watched=True).attest(box.finished)
    assert isinstance(told, EventBody)
    assert (told.phase, told.event) == ("update", "e" * 8)


def test_memory_of_events_is_bounded_and_empty_where_nothing_is_kept() -> None:
    clock, attest = ManualClock(), Attest({}, watched=True)
    for number in range(100):
        _started(attest, clock, f"event-{number}")
    assert len(attest.state()["last"]) == MOST_EVENTS
    plain = Attest(attest.state(), watched=False)
    _started(plain, clock)
    assert plain.state() == {}
