"""The memory of the view over a restart: believed while fresh and of the same camera, never otherwise."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import EventBody
from agent.values import Detections, Frame, Image
from agent.vision.kept_view import FRESH_S, MOST_LETTERS, Origin, read_view, write_view
from agent.vision.look import Look, take_look
from agent.vision.tampering import FIRST_LOOKS, TamperJudge
from tests.fakes.records import MODEL

HERE = Origin("camera", "start-1")
NEXT_START = Origin("camera", "start-2")


def street(seed: int = 3) -> Image:
    rng = np.random.default_rng(seed)
    picture = np.full((180, 320, 3), 120, np.uint8)
    for _ in range(120):
        x, y = int(rng.integers(320)), int(rng.integers(180))
        shade = tuple(int(v) for v in rng.integers(40, 200, 3))
        cv2.rectangle(picture, (x, y), (x + int(rng.integers(6, 40)), y + int(rng.integers(6, 30))), shade, -1)
    return picture


def at(mono_s: float, utc_s: float | None = None, *, synced: bool = True) -> Instant:
    return Instant(mono_s, 1e9 + mono_s if utc_s is None else utc_s, synced=synced)


def learnt(seconds: int = FIRST_LOOKS + 3) -> Look:
    judge = TamperJudge()
    for second in range(seconds):
        judge.judge(take_look(street()), second)
    view = judge.view()
    assert view is not None
    return view


def causes(judge: TamperJudge, picture: Image, seconds: int = 10) -> set[str | None]:
    return {judge.judge(take_look(picture), 1000.0 + second).cause for second in range(seconds)}


def test_given_a_camera_covered_during_a_restart_then_it_is_noticed_and_an_untouched_one_is_not() -> None:
    text = write_view(learnt(), at(20), HERE)
    assert len(text) < 40_000
    for picture, expected in ((np.full((180, 320, 3), 90, np.uint8), "covered"), (street(8), "turned")):
        kept = read_view(text, at(60), HERE)
        assert kept is not None
        judge = TamperJudge()
        judge.recall(kept)
        assert expected in causes(judge, picture)
    kept = read_view(text, at(60), HERE)
    assert kept is not None
    judge = TamperJudge()
    judge.recall(kept)
    assert causes(judge, street(), 60) == {None}


def test_without_a_kept_view_a_covered_camera_is_taken_as_it_is() -> None:
    assert causes(TamperJudge(), np.full((180, 320, 3), 90, np.uint8)) == {None}


def test_a_view_is_kept_only_once_it_is_well_known() -> None:
    judge = TamperJudge()
    assert judge.view() is None
    for second in range(FIRST_LOOKS - 1):
        judge.judge(take_look(street()), second)
    assert judge.view() is None


@pytest.mark.parametrize(
    ("now", "origin", "believed"),
    [
        (at(20 + FRESH_S), HERE, True),
        (at(21 + FRESH_S), HERE, False),
        (at(5, 1e9 + 300), NEXT_START, True),  # the machine started anew, its clock is set
        (at(5, 1e9 + 300 + FRESH_S), NEXT_START, False),
        (at(5, 1e9 + 300, synced=False), NEXT_START, False),  # nobody knows how long it was off
        (at(60), Origin("aimed anew", "start-1"), False),
        (at(10), HERE, False),  # from the future
    ],
)
def test_a_kept_view_is_believed_while_it_is_fresh_and_of_this_camera(
    now: Instant, origin: Origin, *, believed: bool
) -> None:
    assert (read_view(write_view(learnt(), at(20), HERE), now, origin) is not None) == believed


def test_a_view_kept_without_a_clock_is_not_believed_by_another_start() -> None:
    text = write_view(learnt(), at(20, synced=False), HERE)
    assert read_view(text, at(30), HERE) is not None
    assert read_view(text, at(30), NEXT_START) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        "x" * (MOST_LETTERS + 1),
        '{"camera":"camera","machine":"start-1","mono_s":20,"utc_s":null,"grey":"!","fine":[[1]],"colourfulness":1}',
        '{"camera":"camera","machine":"start-1","mono_s":20,"utc_s":null,"grey":"AAAA","fine":[[1]],"colourfulness":1}',
        '{"camera":"camera","machine":"start-1","mono_s":"soon","utc_s":null,"grey":"","fine":[],"colourfulness":1}',
    ],
)
def test_what_can_not_be_read_counts_as_nothing(text: str | None) -> None:
    assert read_view(text, at(30), HERE) is None


def test_drawing_the_lines_anew_makes_the_view_new_and_a_new_password_does_not() -> None:
    plain = {"name": "gate", "source": "rtsp://camera.invalid/", "login": {"user": "a", "password_env": "A"}}
    line = {"name": "north", "points": [[0.1, 0.5], [0.9, 0.5]]}
    first = Origin.of(Camera.model_validate(plain), "m")
    assert Origin.of(Camera.model_validate({**plain, "login": {"user": "b"}}), "m") == first
    assert Origin.of(Camera.model_validate({**plain, "lines": [line]}), "m") != first


def test_a_pipeline_goes_on_with_the_view_of_the_one_before_and_saves_it_rarely() -> None:
    camera = Camera.model_validate({"name": "gate", "source": "rtsp://camera.invalid/"})

    def run(pipeline: CameraPipeline, picture: Image, start_s: float, seconds: int) -> list[str]:
        kinds = []
        for second in range(seconds):
            now = at(start_s + second)
            seen = pipeline.see(Frame("gate", second, picture, now), Detections.empty())
            kinds += [record.body.details["cause"] for record in seen.records if isinstance(record.body, EventBody)]
            texts.append(pipeline.states().get("gate/view", ""))
        return [str(kind) for kind in kinds]

    texts: list[str] = []
    first = CameraPipeline(camera, device="pole-17", model=MODEL, machine="start-1")
    assert run(first, street(), 100, 60) == []
    assert len(set(texts)) == 2, "nothing yet, then once"
    first.stop(at(160))
    assert len(json.dumps(first.states()["gate/view"])) < 40_000
    second = CameraPipeline(camera, device="pole-17", model=MODEL, machine="start-1", state=first.states())
    assert run(second, np.full((180, 320, 3), 90, np.uint8), 170, 10) == ["covered"]
    third = CameraPipeline(camera, device="pole-17", model=MODEL, machine="start-1", state=second.states())
    assert run(third, np.full((180, 320, 3), 90, np.uint8), 190, 20) == [], "the same event goes on"
