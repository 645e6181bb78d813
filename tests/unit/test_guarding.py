"""Protected regions in the pipeline: not judged while the view can't be trusted, remembered over a restart, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import KentonganError
from agent.guarding import LARGER, Guard, region_name
from agent.ops.draw import ALARM
from agent.ops.replay_outputs import Annotator, reason_of
from agent.pipeline import CameraPipeline, Seen
from agent.records import Detail, EventBody, EventKind
from agent.scene.values import CLEAR, View
from agent.values import Detections, Frame, Image, Tracks
from agent.vision.kept_view import Origin
from tests.fakes.records import MODEL
from tests.unit.test_vision_assets import cabinet, street

ORIGIN = Origin("camera", "start-1")
CAMERA = Camera.model_validate(
    {
        "name": "gate",
        "source": "x",
        "tamper": {"enabled": False},
        "protected": [
            {
                "name": "box",
                "what": "cabinet",
                "settle_s": 8,
                "polygon": [[0.35, 0.3], [0.65, 0.3], [0.65, 0.7], [0.35, 0.7]],
            }
        ],
    }
)


def frame(picture: Image, second: int) -> Frame:
    return Frame("gate", second, picture, Instant(1000.0 + second, 1e9 + second))


def run(pipeline: CameraPipeline, picture: Image, seconds: range) -> list[EventBody]:
    told = [pipeline.see(frame(picture, second), Detections.empty()).records for second in seconds]
    return [record.body for each in told for record in each if isinstance(record.body, EventBody)]


def test_given_a_cabinet_taken_while_the_agent_was_down_then_it_is_told_after_the_start() -> None:
    first = CameraPipeline(CAMERA, device="box", model=MODEL)
    assert run(first, cabinet(street()), range(40)) == []
    first.stop(Instant(1040.0, 1e9 + 40))
    state = first.states()
    assert region_name("gate", "box") in state
    after = CameraPipeline(CAMERA, device="box", model=MODEL, state=state)
    told = run(after, street(), range(600, 630))
    assert [(body.kind, body.phase) for body in told] == [("asset_changed", "start"), ("vandalism", "start")]
    assert told[0].details["change"] == "removed"


def test_given_the_memory_is_new_then_it_is_saved_within_a_minute_or_two_without_a_stop() -> None:
    pipeline = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(pipeline, cabinet(street()), range(40))
    assert region_name("gate", "box") not in pipeline.states()
    run(pipeline, cabinet(street()), range(40, 110))
    assert region_name("gate", "box") in pipeline.states()


def test_given_a_stream_too_small_for_a_region_then_health_says_so_and_a_larger_one_brings_it_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thing = CAMERA.protected[0].model_copy(
        update={"name": "lamp", "polygon": ((0.1, 0.1), (0.15, 0.1), (0.15, 0.3), (0.1, 0.3))}
    )
    pipeline = CameraPipeline(
        CAMERA.model_copy(update={"protected": (*CAMERA.protected, thing)}), device="box", model=MODEL
    )
    small, large = cv2.resize(street(), (176, 144)), cv2.resize(street(), (704, 576))
    run(pipeline, small, range(5))
    assert pipeline.troubles() == (f"not watched, too small in a picture of 176x144: protected lamp; {LARGER}",)
    with pytest.raises(KentonganError, match="protected region lamp can't be accepted; not watched, too small"):
        pipeline.accept("lamp")
    assert pipeline.accept("box"), "the other is watched"
    run(pipeline, large, range(10, 12))
    assert pipeline.troubles() == ()
    assert pipeline.accept("lamp")
    assert len(caplog.records) == 1


def test_given_a_view_that_cannot_be_trusted_then_no_region_is_looked_at() -> None:
    guard = Guard(CAMERA, {}, ORIGIN)
    moved = View(("moved",), blind=False, cause="turned")
    for view in (moved, View(("dark",), blind=True), View(("blurred",))):
        assert guard.look(frame(street(), 0), Tracks.empty(), view) == ()
    assert len(guard.look(frame(street(), 0), Tracks.empty(), CLEAR)) == 1
    assert guard.look(frame(street(), 0), Tracks.empty(), CLEAR) == (), "not due again at once"


def test_given_an_operator_who_accepts_then_the_region_is_known_by_name() -> None:
    pipeline = CameraPipeline(CAMERA, device="box", model=MODEL)
    assert pipeline.accept("box")
    assert not pipeline.accept("another")


def event(kind: EventKind, **details: Detail) -> EventBody:
    return EventBody(
        kind=kind, phase="start", event="e", where="box", severity="alarm", confidence=1.0, since=0.0, details=details
    )


def test_given_an_open_event_then_the_annotated_video_says_why_in_a_line() -> None:
    near: list[dict[str, str | int | float | bool]] = [{"track": 7, "class": "person"}]
    changed = event("asset_changed", what="cabinet", change="removed", near=near)
    assert reason_of(changed) == "cabinet removed; near before: person 7"
    assert reason_of(event("vandalism", kinds=["asset_changed", "loitering"])) == (
        "VANDALISM (alarm): asset_changed + loitering"
    )
    assert reason_of(event("loitering", persons=2, stayed_s=60.0)) == "loitering: 2 for over 60.0 s"
    assert reason_of(event("camera_tampered", cause="covered")) == "camera_tampered covered"


def test_given_a_replay_with_an_alarm_then_it_is_drawn_while_it_is_open(tmp_path: Path) -> None:
    video, plain = tmp_path / "a.avi", Seen(Tracks.empty(), [])
    first = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(first, cabinet(street()), range(40))
    records = [
        record
        for second in range(600, 630)
        for record in first.see(frame(street(), second), Detections.empty()).records
    ]
    with Annotator(video, CAMERA, 10.0) as annotator:
        annotator.write(frame(street(), 0), plain, {})
        annotator.write(frame(street(), 20), Seen(Tracks.empty(), records), {})
    film = cv2.VideoCapture(str(video))
    before, during = film.read()[1], film.read()[1]
    assert not _is_red(before)
    assert _is_red(during)


def _is_red(picture: Any) -> bool:
    """Whether more than specks of the film's picture have the colour of an alarm."""
    return int((np.abs(picture.astype(int) - ALARM) < 40).all(axis=2).sum()) > 40


def test_given_an_accepted_change_when_the_power_is_cut_at_once_then_its_event_ends_all_the_same() -> None:
    first = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(first, cabinet(street()), range(40))
    first.stop(Instant(1040.0, 1e9 + 40))
    after = CameraPipeline(CAMERA, device="box", model=MODEL, state=first.states())
    assert run(after, street(), range(600, 630)), "the cabinet is gone"
    assert after.accept("box")
    cut = CameraPipeline(CAMERA, device="box", model=MODEL, state=after.states())
    told = run(cut, street(), range(640, 760))
    assert {(body.kind, body.phase) for body in told} >= {("asset_changed", "end")}


def test_given_an_accepted_change_when_the_agent_is_stopped_before_the_next_look_then_it_is_kept() -> None:
    first = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(first, cabinet(street()), range(40))
    assert first.accept("box")
    first.stop(Instant(1040.0, 1e9 + 40))
    after = CameraPipeline(CAMERA, device="box", model=MODEL, state=first.states())
    assert run(after, street(), range(600, 630)) == []


def test_given_another_threshold_then_a_region_stays_known_and_with_another_outline_it_does_not() -> None:
    pipeline = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(pipeline, cabinet(street()), range(40))
    (region,) = CAMERA.protected
    slower = CAMERA.model_copy(update={"protected": (region.model_copy(update={"settle_s": 12.0}),)})
    pipeline.redraw(slower, Instant(1040.0, 1e9 + 40))
    assert pipeline.states()[region_name("gate", "box")] != "null"
    told = run(pipeline, street(), range(41, 80))
    assert "asset_changed" in [body.kind for body in told]
    wider = region.model_copy(update={"polygon": ((0.3, 0.3), *region.polygon[1:])})
    pipeline.redraw(CAMERA.model_copy(update={"protected": (wider,)}), Instant(1080.0, 1e9 + 80))
    assert pipeline.states()[region_name("gate", "box")] == "null"


def test_given_a_view_that_moved_then_an_alarm_is_drawn_where_the_region_is_seen_now(tmp_path: Path) -> None:
    (region,) = CAMERA.protected
    aside = region.model_copy(update={"polygon": ((0.7, 0.7), (0.9, 0.7), (0.9, 0.9), (0.7, 0.9))})
    shown = CAMERA.model_copy(update={"protected": (aside,)})
    first = CameraPipeline(CAMERA, device="box", model=MODEL)
    run(first, cabinet(street()), range(40))
    records = [
        record for second in range(41, 70) for record in first.see(frame(street(), second), Detections.empty()).records
    ]
    with Annotator(tmp_path / "a.avi", CAMERA, 10.0) as annotator:
        annotator.write(frame(street(), 0), Seen(Tracks.empty(), records, shown), {})
    picture = cv2.VideoCapture(str(tmp_path / "a.avi")).read()[1]
    height, width = picture.shape[:2]
    assert _is_red(picture[int(0.65 * height) :, int(0.67 * width) :])
