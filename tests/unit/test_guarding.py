"""Protected regions in the pipeline: not judged while the view can't be trusted, remembered over a restart, drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import KentonganError
from agent.guarding import Guard, region_name
from agent.hidden import LONG_S, Hidden
from agent.ops.draw import ALARM
from agent.ops.replay_outputs import Annotator, reason_of
from agent.pipeline import CameraPipeline, Seen
from agent.records import Detail, EventBody, EventKind
from agent.scene.assets import TOO_SMALL
from agent.scene.judgeable import LARGER
from agent.scene.values import CLEAR, View
from agent.values import Detections, Frame, Image, RoadUser, Tracks
from agent.vision.kept_view import Origin
from tests.fakes.records import MODEL
from tests.unit.test_vision_assets import cabinet, street
from tests.unit.test_vision_scenery import FALSE, LORRY, lorry

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


def test_given_a_stream_that_becomes_too_small_for_a_region_then_its_open_event_ends_and_says_why() -> None:
    small = CAMERA.protected[0].model_copy(update={"polygon": ((0.4, 0.4), (0.55, 0.4), (0.55, 0.6), (0.4, 0.6))})
    pipeline = CameraPipeline(CAMERA.model_copy(update={"protected": (small,)}), device="box", model=MODEL)
    painted = street()
    painted[40:60, 80:110] = (0, 0, 255)
    run(pipeline, cv2.resize(street(), (704, 576)), range(60))
    (start,) = (e for e in run(pipeline, cv2.resize(painted, (704, 576)), range(60, 120)) if e.kind == "asset_changed")
    ended = [e for e in run(pipeline, cv2.resize(street(), (100, 80)), range(120, 130)) if e.kind == "asset_changed"]
    assert [(e.event, e.phase, e.details["ended"]) for e in ended] == [(start.event, "end", TOO_SMALL)]


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
    assert reason_of(event("crowd", people=7, per_m2=1.2)) == "crowd (alarm): 7 people, 1.2 on a square metre"
    assert reason_of(event("surge", people=70, usual=20.5)) == "surge: 70 people, 20.5 are usual"


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


def somebody(box: tuple[int, int, int, int], track: int = 1, kind: RoadUser = RoadUser.TRUCK) -> Tracks:
    return replace(
        Tracks.empty(),
        ids=np.array([track], np.int64),
        boxes=np.array([box], np.float32),
        scores=np.ones(1, np.float32),
        classes=np.array([kind], np.int64),
        velocities=np.zeros((1, 2), np.float32),
        observed=np.ones(1, np.bool_),
    )


def test_given_something_that_stands_in_front_for_long_then_health_says_so_once_and_until_it_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard = Guard(CAMERA, {}, ORIGIN)
    for second in range(30):
        guard.look(frame(cabinet(street()), second), Tracks.empty(), CLEAR)
    for second in range(30, 30 + int(LONG_S) + 60):
        gap = second % 50 == 0
        guard.look(frame(lorry(street()), second), Tracks.empty() if gap else somebody(LORRY), CLEAR)
        if abs(second - 30 - LONG_S) > 5:  # a look is due every three seconds while nothing differs
            assert bool(guard.trouble) == (second > 30 + LONG_S), "a box that flickers does not begin anew"
    assert guard.trouble == (
        "protected box: not judged, hidden by something that stands in front of it since 01:47 UTC; "
        "have it moved away, or draw the region where it can be seen and send accept"
    )
    assert len(caplog.records) == 1
    for second in range(2000, 2015):
        guard.look(frame(cabinet(street()), second), Tracks.empty(), CLEAR)
    assert guard.trouble == ""


def test_given_a_clock_that_is_not_set_then_it_is_said_for_how_long_a_region_is_hidden() -> None:
    hidden = Hidden()
    for second in (0.0, LONG_S):
        hidden.note("box", 0.0, Instant(second, second, synced=False))
    assert "stands in front of it for over 15 minutes;" in hidden.trouble


def test_given_a_vehicle_learnt_with_the_region_that_drives_off_then_it_does_not_come_back_with_a_restart() -> None:
    guard = Guard(CAMERA, {}, ORIGIN)
    name = region_name("gate", "box")
    for second in range(120):
        guard.look(frame(lorry(street()), second), somebody(LORRY), CLEAR)
    guard.keep(Instant(1120.0, 1e9))
    assert guard.states()[name] != "null"
    looks, states = [], []
    for second in range(120, 200):
        dx = 20 * (second - 119)
        tracks = somebody((LORRY[0] + dx, LORRY[1], LORRY[2] + dx, LORRY[3])) if dx < 120 else Tracks.empty()
        looks += guard.look(frame(lorry(street(), dx), second), tracks, CLEAR)
        if dx in {100, 300}:
            states.append(guard.states()[name])
    assert states == ["null", "null"], "of nothing that is known yet"
    assert [look.relearnt for look in looks].count(True) == 1
    assert max(max(look.settled, look.gone) for look in looks) == 0


def test_given_a_statue_and_one_who_waits_then_the_guard_knows_them_apart_by_their_class() -> None:
    known = []
    for kind in (RoadUser.PERSON, RoadUser.TRUCK):
        guard = Guard(CAMERA, {}, ORIGIN)
        looks = [
            look
            for second in range(60)
            for look in guard.look(frame(cabinet(street()), second), somebody(FALSE, kind=kind), CLEAR)
        ]
        known.append(looks[-1].known)
    assert known == [False, True]


def detected(box: tuple[int, int, int, int]) -> Detections:
    return Detections(np.array([box], np.float32), np.full(1, 0.8, np.float32), np.full(1, RoadUser.TRUCK, np.int64))


def test_given_a_parked_lorry_learnt_with_the_region_that_drives_off_then_no_event_comes_of_it() -> None:
    pipeline, rng, records = CameraPipeline(CAMERA, device="box", model=MODEL), np.random.default_rng(2), []
    for step in range(5 * 170):
        dx = max(0, step - 5 * 90) ** 2 // 12
        left, top, right, bottom = LORRY
        jitter = rng.normal(0, 1.0, 4)
        box = np.clip(np.array([left + dx, top, right + dx, bottom]) + jitter, 0, 199).tolist()
        found = detected((box[0], box[1], box[2], box[3])) if left + dx < 190 else Detections.empty()
        shown = Frame("gate", step, lorry(street(), dx), Instant(1000.0 + step / 5, 1e9 + step / 5))
        records += pipeline.see(shown, found).records
    assert [record for record in records if isinstance(record.body, EventBody)] == []
    assert run(pipeline, cabinet(street()), range(171, 200)), "what comes then is told"
