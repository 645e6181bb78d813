"""A clip model that fails while it runs: counting goes on, it is said once, and the model is tried again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Instant
from agent.config.rules import Aggression, Tamper
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import EventBody
from agent.scene import Scene
from agent.scene.values import CLEAR, Likeness, View
from agent.scuffles import REST_S, Scuffles
from agent.values import Frame, Image, Tracks
from agent.vision.motion import FRAMES, Grey
from tests.fakes.onnx_models import clip_model_that_fails, clip_model_that_says
from tests.fakes.records import MODEL
from tests.fakes.walkers import SIZE, instant
from tests.unit.test_vision_scuffle import person, seen

TWO = [person(300), person(340)]


class MoodyJudge:
    """Fails until it is cured."""

    def __init__(self) -> None:
        self.asked, self.cured = 0, False

    def score(self, clip: Sequence[Grey]) -> float:
        self.asked += 1
        if not self.cured:
            raise RuntimeError("no memory")
        return float(len(clip) == FRAMES)


def camera(**more: object) -> Camera:
    return Camera.model_validate({"name": "gate", "source": "x", **more})


def noise(number: int) -> Image:
    return np.random.default_rng(number).integers(0, 255, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


def watch(scuffles: Scuffles, start_s: float, seconds: float) -> list[Likeness | None]:
    """What is said of two persons close to each other."""
    steps = range(round(seconds * 10))
    frames = [Frame("gate", step, noise(step), Instant(start_s + step / 10, 1e9 + step / 10)) for step in steps]
    return [scuffles.look(frame, seen(TWO), Tracks.empty()) for frame in frames]


def test_given_a_model_that_fails_at_work_then_it_rests_is_told_once_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    judge = MoodyJudge()
    scuffles = Scuffles(camera(aggression={}), judge)
    with caplog.at_level(logging.WARNING, "kentongan.scuffles"):
        assert watch(scuffles, 0, 4)[-1] is None
        assert judge.asked == 1, "it rests"
        assert "fails with RuntimeError: no memory" in scuffles.trouble
        assert watch(scuffles, REST_S + 4, 2)[0] == Likeness(), "it is asked again after a minute"
        assert judge.asked == 2
        judge.cured = True
        told = watch(scuffles, 2 * REST_S + 8, 3)
    assert told[-1] is not None
    assert told[-1].value == 1.0
    assert scuffles.trouble == ""
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "counting goes on" in caplog.text


def test_given_a_real_model_that_fails_on_what_moves_then_tracks_and_records_go_on(tmp_path: Path) -> None:
    (tmp_path / "moody.onnx").write_bytes(clip_model_that_fails())
    wish = {"model": str(tmp_path / "moody.onnx")}
    pipeline = CameraPipeline(camera(aggression=wish), device="box", model=MODEL)
    assert pipeline.troubles() == ()
    for step in range(25):
        told = pipeline.see(Frame("gate", step, noise(step), instant(step / 10)), seen(TWO))
    assert len(told.tracks.ids) == len(TWO)
    (trouble,) = pipeline.troubles()
    assert "aggression is not watched for: its model fails with" in trouble


def learnt(model: Path, state: dict[str, str] | None = None) -> dict[str, str]:
    """What a box keeps that watches two persons close to each other for four seconds, or none where it goes on."""
    wish = camera(aggression={"model": str(model)}, tamper={"enabled": False})
    pipeline = CameraPipeline(wish, device="box", model=MODEL, state=state)
    for step in range(40) if state is None else ():
        pipeline.see(Frame("gate", step, noise(step), instant(step / 10)), seen(TWO))
    return pipeline.states()


def test_given_another_clip_model_in_the_same_file_then_the_camera_learns_anew(tmp_path: Path) -> None:
    model = tmp_path / "clips.onnx"
    model.write_bytes(clip_model_that_says(0.25))
    kept = learnt(model)
    assert "judged_s" in kept["gate"]
    assert learnt(model, kept)["gate"] == kept["gate"], "a restart"
    model.write_bytes(clip_model_that_says(0.5))
    assert "judged_s" not in learnt(model, kept)["gate"]


def test_given_a_clip_model_that_is_refused_for_a_while_then_what_was_learnt_with_it_is_kept(tmp_path: Path) -> None:
    model = tmp_path / "clips.onnx"
    model.write_bytes(clip_model_that_says(0.25))
    kept = learnt(model)
    model.write_bytes(b"half")
    meanwhile = learnt(model, kept)
    model.write_bytes(clip_model_that_says(0.25))
    assert learnt(model, meanwhile)["gate"] == kept["gate"]


COVERED = View(("covered",), blind=True, cause="covered", share=1.0)


def phases(scene: Scene, seconds: range, view: View | None = None, fight: Likeness | None = None) -> list[str]:
    told = [scene.update(Tracks.empty(), instant(second), SIZE, view, fight) for second in seconds]
    return [record.body.phase for each in told for record in each if isinstance(record.body, EventBody)]


@pytest.mark.parametrize("what", ["camera_tampered", "aggression"])
def test_given_an_open_event_when_its_watch_is_switched_off_then_it_ends_once_and_never_comes_back(what: str) -> None:
    lone = {"vandalism": {"enabled": False}}
    on = camera(aggression=Aggression() if what == "aggression" else None, **lone)
    off = camera(tamper=Tamper(enabled=False), **lone) if what == "camera_tampered" else camera(**lone)
    first = Scene(on, device="box", model=None)
    fight = Likeness(1.0) if what == "aggression" else None
    begun = phases(first, range(3), COVERED if what == "camera_tampered" else None, fight)
    assert begun == ["start"]
    without = Scene(off, device="box", model=None, state=first.snapshot())
    assert phases(without, range(3, 20), CLEAR) == ["end"]
    again = Scene(on, device="box", model=None, state=without.snapshot())
    quiet = Likeness(0.0) if what == "aggression" else None
    assert phases(again, range(20, 50), CLEAR, quiet) == []
