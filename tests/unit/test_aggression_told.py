"""What people are told of aggression: its reasons in an annotated video, and a clip model that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from agent.config.schema import Camera, Config
from agent.ops.check_site import check_site
from agent.ops.replay_outputs import Annotator, event_lines
from agent.pipeline import Seen
from agent.records import ClockState, EventBody, Phase, Record
from agent.values import Frame, Tracks
from tests.fakes.walkers import instant

PHASES: Final[tuple[Phase, ...]] = ("start", "update", "end")


def body(phase: Phase = "start") -> EventBody:
    return EventBody(
        kind="aggression",
        phase=phase,
        event="e1",
        where=None,
        severity="alarm",
        confidence=0.9,
        since=1.0,
        details={"likeness": 0.93, "tracks": [3, 7], "place": {"x": 0.5, "y": 0.5}, "why": "violent movement"},
    )


def test_given_an_event_with_reasons_then_its_lines_name_them() -> None:
    assert event_lines(body()) == ["aggression start, likeness 0.93, tracks 3 7", "why: violent movement"]


def test_given_an_event_that_ends_then_its_reasons_are_not_repeated() -> None:
    assert event_lines(body("end")) == ["aggression end"]


def annotated(folder: Path) -> Iterator[tuple[Annotator, Phase, float]]:
    """The annotator after each phase of an event was drawn, and when that was."""
    with Annotator(folder / "out.avi", Camera(name="gate", source="film"), 10.0) as annotator:
        for number, phase in enumerate(PHASES):
            at = instant(float(number))
            told = Record(
                kind="event", camera="gate", time=at.utc_s, clock=ClockState(synced=True), model=None, body=body(phase)
            )
            picture = np.zeros((240, 320, 3), np.uint8)
            annotator.write(Frame("gate", number, picture, at), Seen(Tracks.empty(), [told]), {})
            yield annotator, phase, at.mono_s


def test_given_an_alarm_then_its_place_is_marked_until_it_ends(tmp_path: Path) -> None:
    assert [annotator.marked for annotator, *_ in annotated(tmp_path)] == [1, 1, 0]


def test_given_a_clip_model_that_is_refused_then_check_says_where(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "device": "box",
            "state_dir": str(tmp_path),
            "mqtt": {"host": "127.0.0.1", "plaintext": True},
            "cameras": [
                {"name": "gate", "source": "rtsp://camera.invalid/", "aggression": {"model": tmp_path / "absent.onnx"}}
            ],
        }
    )
    found = [finding for finding in check_site(config) if finding.path == ("cameras", 0, "aggression")]
    assert len(found) == 1
    assert "can't be read" in found[0].wrong


def test_given_an_update_then_the_video_shows_its_word_in_place_of_the_older_one(tmp_path: Path) -> None:
    shown = []
    for annotator, phase, now_s in annotated(tmp_path):
        shown.append(annotator.said(now_s)[0].split(",")[0])
        assert len(annotator.said(now_s)) == len(event_lines(body(phase)))
    assert shown == ["aggression start", "aggression update", "aggression end"]
