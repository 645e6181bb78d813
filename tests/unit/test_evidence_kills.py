"""Evidence over the ends of a process: killed or stopped while a clip is gathered, and notes that were damaged."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.evidence import Make, key_pair, opened, witnessed_box


@pytest.fixture
def owner(tmp_path: Path) -> tuple[str, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def make(tmp_path: Path, owner: tuple[str, Path]) -> Make:
    return partial(witnessed_box, tmp_path / "state", owner[0])


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


def test_given_a_stop_while_a_clip_is_gathered_then_it_is_sealed_as_far_as_it_came(make: Make) -> None:
    box = make()
    box.film(5)
    box.tell()
    box.film(1)
    box.keeper.start()
    assert box.keeper.stop(10)
    (kept,) = box.folder.clips()
    assert 4 < kept.clip.end_s - kept.clip.start_s < 6
