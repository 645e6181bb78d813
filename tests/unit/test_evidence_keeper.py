"""Evidence on the box: what is kept around an event, and who can open it."""

from __future__ import annotations

import hashlib
import stat
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.errors import EvidenceError
from agent.evidence.keeper import EvidenceKeeper
from agent.evidence.reel import LONGEST_S
from agent.evidence.sealing import Sealer, open_sealed
from tests.fakes.clock import ManualClock
from tests.fakes.evidence import Make, WitnessedBox, config_of, key_pair, opened, witnessed_box

JPEG = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()[:10]
"""How every picture begins; three bytes of it occur in sealed pieces by chance."""


@pytest.fixture
def owner(tmp_path: Path) -> tuple[str, Path]:
    return key_pair(tmp_path)


@pytest.fixture
def make(tmp_path: Path, owner: tuple[str, Path]) -> Make:
    return partial(witnessed_box, tmp_path / "state", owner[0])


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


def test_given_a_thing_whose_change_is_told_when_it_has_settled_then_the_clip_shows_who_did_it(make: Make) -> None:
    region = {"name": "box", "what": "cabinet", "polygon": [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6]], "settle_s": 40}
    box = make(
        on=["asset_changed"], cameras=[{"name": "gate", "source": "rtsp://camera.invalid/", "protected": [region]}]
    )
    box.film(90)
    box.tell(kind="asset_changed", ago_s=48)
    told_s = box.clock.now().utc_s
    box.film(9)
    assert box.finished[0].clip.start_s == pytest.approx(told_s - 48 - 4, abs=0.3)


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


def test_a_keeper_needs_a_section_evidence(tmp_path: Path, owner: tuple[str, Path]) -> None:
    config = config_of(tmp_path, owner[0]).model_copy(update={"evidence": None})
    with pytest.raises(EvidenceError, match="write a section evidence"):
        EvidenceKeeper(config, ManualClock())
