"""Second looks: who needs one, when, what becomes of it, and that a loop without time for it counts as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.assembly import open_configured
from agent.clock import Instant
from agent.config.schema import Camera, Model
from agent.ops.replay import Replay
from agent.pipeline import CameraPipeline
from agent.records import EventBody
from agent.scene.ground import fit_ground, person_heights
from agent.stages import StageTimes
from agent.values import Detections, Frame, RoadUser, Tracks
from agent.vision.farsight import EVERY_S, MANY, PATIENCE_S, PROBE_S, QUIET_EVERY_S, FarSight, Heights
from agent.vision.tiling import MOST_TILES
from agent.watching import Lane, WatchLoop
from tests.fakes.bright_street import write_bright_clip, write_bright_model
from tests.fakes.clock import ManualClock
from tests.fakes.lanes import FilmingCamera, RememberingSink, ToldEngine, told_detector
from tests.fakes.records import MODEL

TAKEN = (448, 256)
SIZE = (1280, 720)
SQUARE = np.array([[0.1, 0.4], [0.9, 0.4], [0.9, 0.9], [0.1, 0.9]])


def frame_at(at_s: float) -> Frame:
    return Frame("gate", 1, np.zeros((720, 1280, 3), np.uint8), Instant(at_s, 1e9 + at_s))


def tracks_of(height_px: float, count: int = 10) -> Tracks:
    x = np.linspace(200, 1000, count)
    foot = np.linspace(400, 600, count)
    boxes = np.stack([x, foot - height_px, x + 0.3 * height_px, foot], axis=1).astype(np.float32)
    return Tracks(
        ids=np.arange(count, dtype=np.int64),
        boxes=boxes,
        scores=np.full(count, 0.9, np.float32),
        classes=np.full(count, RoadUser.PERSON, np.int64),
        velocities=np.zeros((count, 2), np.float32),
        observed=np.ones(count, np.bool_),
    )


def persons(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    table = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(table, np.full(count, 0.9, np.float32), np.full(count, RoadUser.PERSON, np.int64))


def all_tiles(far: FarSight, most: int = 1) -> int:
    """Look at every tile, empty as it is; says how many there were."""
    looked = 0
    while images := far.tiles(TAKEN, most):
        far.take([Detections.empty()] * len(images))
        looked += len(images)
    return looked


def crowded(far: FarSight) -> None:
    """Look at every tile, and see a few people in the first."""
    seen = [persons((10, 10, 22, 50), (40, 10, 52, 50), (70, 10, 82, 50))]
    while images := far.tiles(TAKEN):
        far.take(seen or [Detections.empty()] * len(images))
        seen = []


def test_while_hardly_anybody_is_there_looks_are_rarer() -> None:
    far = FarSight({"square": SQUARE})
    far.note(frame_at(0), tracks_of(40))
    all_tiles(far)
    far.note(frame_at(QUIET_EVERY_S - 0.1), tracks_of(40))
    assert not far.waiting
    far.note(frame_at(QUIET_EVERY_S), tracks_of(40))
    crowded(far)
    far.note(frame_at(QUIET_EVERY_S + EVERY_S), tracks_of(40))
    assert far.waiting


def test_small_people_are_looked_at_again_and_large_ones_are_not() -> None:
    far = FarSight({"square": SQUARE})
    far.note(frame_at(0), tracks_of(40))  # 14 px in the model's input
    assert all_tiles(far) >= 1
    glance = far.glance()
    assert glance is not None
    assert (glance.regions, len(glance.feet), glance.at_s) == (("square",), 0, 0)
    assert far.glance() is None, "told once"
    near = FarSight({"square": SQUARE})
    near.note(frame_at(0), tracks_of(160))
    assert all_tiles(near) == 0
    assert not near.waiting
    near.note(frame_at(10), tracks_of(160))
    near.drop()
    assert near.skipped == 0, "none was needed"


def test_many_people_are_looked_at_again_though_they_are_not_small() -> None:
    for count, looked in ((MANY - 1, False), (MANY, True)):
        far = FarSight({"square": SQUARE})
        far.note(frame_at(0), tracks_of(105, count))
        assert bool(all_tiles(far)) == looked


def test_what_was_seen_comes_back_in_the_picture_s_own_places() -> None:
    far = FarSight({"square": SQUARE})
    far.note(frame_at(0), tracks_of(40))
    (tile,) = far.tiles(TAKEN)
    assert tile.shape[2] == 3
    far.take([persons((10, 10, 22, 50))])
    while far.tiles(TAKEN):
        far.take([Detections.empty()])
    glance = far.glance()
    assert glance is not None
    assert len(glance.feet) == 1
    assert (glance.feet > 0).all()
    assert (glance.feet < 1).all()


def test_looks_come_once_a_second_and_one_that_takes_too_long_is_dropped_and_counted() -> None:
    far = FarSight({"square": SQUARE})
    far.note(frame_at(0), tracks_of(40))
    crowded(far)
    far.note(frame_at(EVERY_S - 0.1), tracks_of(40))
    assert not far.waiting
    far.note(frame_at(EVERY_S), tracks_of(40))
    far.tiles(TAKEN)  # and never taken
    far.note(frame_at(EVERY_S + PATIENCE_S), tracks_of(40))
    assert far.skipped == 0
    far.note(frame_at(EVERY_S + PATIENCE_S + 0.1), tracks_of(40))
    assert (far.skipped, far.finished, far.waiting) == (1, 1, True)
    far.take([Detections.empty()])  # late: of the look that was dropped
    assert far.glance() is not None or far.waiting


def test_where_nobody_was_seen_yet_a_guess_is_tried_now_and_then_and_what_it_finds_is_learnt() -> None:
    far = FarSight({"square": SQUARE})
    far.note(frame_at(0), tracks_of(40, 0))
    first = all_tiles(far)
    assert first >= 1
    far.note(frame_at(QUIET_EVERY_S), tracks_of(40, 0))
    assert all_tiles(far) == 0
    far.note(frame_at(PROBE_S + 1), tracks_of(40, 0))
    images = far.tiles(TAKEN, 100)
    far.take([persons((40, 40, 52, 80)), *[Detections.empty()] * (len(images) - 1)])
    far.note(frame_at(PROBE_S + 5), tracks_of(40, 0))
    assert all_tiles(far) >= 1, "now it is known that they are small"


def test_heights_follow_the_rows_and_outliers_stay_within_bounds() -> None:
    heights = Heights()
    assert heights.at(0.5) == 0
    rows = np.linspace(200, 700, 30)
    boxes = np.stack([np.full(30, 500.0), rows - 0.2 * rows, np.full(30, 520.0), rows], axis=1).astype(np.float32)
    heights.learn(boxes, SIZE)
    assert heights.at(0.5) == pytest.approx(0.1, rel=0.05)
    assert heights.at(0.9) == pytest.approx(0.18, rel=0.05)
    assert 0 < heights.at(0.0) < heights.at(1.0) < 0.5
    cut = np.array([[0, 0, 50, 720]], np.float32)
    before = heights.at(0.5)
    heights.learn(cut, SIZE)
    assert heights.at(0.5) == before, "what the edge cuts tells nothing"


def test_the_plane_of_the_road_tells_how_high_people_are_before_anybody_came() -> None:
    corners = [[0.0, 1.0], [1.0, 1.0], [0.75, 0.5], [0.25, 0.5]]
    ground = fit_ground(corners, [[0, 0], [10, 0], [10, 30], [0, 30]])
    pairs = person_heights(ground, np.array([[0.5, 1.0], [0.5, 0.5], [0.5, -2.0]]), 16 / 9)
    assert len(pairs) == 2, "none above the horizon"
    assert pairs[0, 1] == pytest.approx(1.6 / 10 * 16 / 9, rel=0.01)
    assert pairs[1, 1] == pytest.approx(pairs[0, 1] / 2, rel=0.01)
    heights = Heights(pairs)
    assert heights.known
    assert heights.at(0.75) == pytest.approx((pairs[0, 1] + pairs[1, 1]) / 2, rel=0.05)


class FarSquare:
    """A loop over cameras that watch a far square, known by its ground, with a model that takes so long."""

    def __init__(self, run_s: float, cameras: int = 1, *, second_look: bool = True, batch: int | None = 1) -> None:
        self.clock = ManualClock()
        self.engine = ToldEngine(self.clock, run_s)
        detector = told_detector(self.engine, batch)
        corners = ((0.0, 0.0), (400.0, 0.0), (400.0, 400.0), (0.0, 400.0))
        points = [{"image": a, "metres": b} for a, b in zip(SQUARE.tolist(), corners, strict=True)]
        zone = {"name": "square", "polygon": SQUARE.tolist(), "rules": {"crowd": {}}}
        self.lanes = []
        for number in range(cameras):
            name = f"camera-{number}"
            plain: dict[str, Any] = {"name": name, "source": "rtsp://camera.invalid/", "zones": [zone]}
            plain |= {"ground": {"points": points}, "second_look": second_look, "tamper": {"enabled": False}}
            pipeline = CameraPipeline(Camera.model_validate(plain), device="pole-17", model=MODEL)
            self.lanes.append(Lane(FilmingCamera(name, self.clock), detector, pipeline))
        self.loop = WatchLoop(self.lanes, RememberingSink(), self.clock, StageTimes())

    def run_for(self, seconds_s: float) -> None:
        end_s = self.clock.now().mono_s + seconds_s
        while self.clock.now().mono_s < end_s:
            if not self.loop.turn():
                self.clock.advance(0.005)

    def looks(self) -> tuple[int, int]:
        every = [lane.pipeline.second_looks() or (0, 0) for lane in self.lanes]
        return sum(each[0] for each in every), sum(each[1] for each in every)


def test_given_time_enough_then_an_empty_far_square_is_looked_at_again_every_few_seconds() -> None:
    square = FarSquare(0.01)
    square.run_for(10)
    finished, skipped = square.looks()
    assert 3 <= finished <= 4
    assert skipped == 0
    assert square.lanes[0].detections == pytest.approx(100, abs=4)


@pytest.mark.parametrize("cameras", [1, 4])
def test_second_looks_never_cost_a_camera_its_detections(cameras: int) -> None:
    run_s = 0.08 / cameras
    with_looks, without = FarSquare(run_s, cameras), FarSquare(run_s, cameras, second_look=False)
    for square in (with_looks, without):
        square.run_for(8)
    assert without.looks() == (0, 0)
    assert with_looks.looks() > (0, 0)
    for one, other in zip(with_looks.lanes, without.lanes, strict=True):
        assert one.detections >= other.detections - 4
        assert one.detections >= 8 * 8


def test_given_a_box_without_time_then_second_looks_are_skipped_and_counted() -> None:
    square = FarSquare(0.2)
    square.run_for(12)
    finished, skipped = square.looks()
    assert finished == 0
    assert skipped >= 2
    assert square.lanes[0].detections == pytest.approx(60, abs=3)


def test_given_a_model_that_takes_several_then_two_tiles_share_a_run_and_no_more() -> None:
    square = FarSquare(0.01, batch=None)
    square.run_for(7)
    assert set(square.engine.batches) <= {1, 2}
    assert square.looks()[0] >= 2


def test_given_a_model_that_fails_then_the_look_is_dropped_and_the_loop_goes_on() -> None:
    square = FarSquare(0.01)
    square.run_for(2)
    square.lanes[0].pipeline.take_tiles(None)
    square.run_for(4)
    assert square.looks()[0] >= 2


def test_many_far_zones_share_the_tiles_of_a_look() -> None:
    strips = {
        f"strip-{n}": np.array([[0.0, y], [1.0, y], [1.0, y + 0.1], [0.0, y + 0.1]])
        for n, y in enumerate(np.linspace(0.1, 0.9, 6))
    }
    far = FarSight(strips)
    far.note(frame_at(0), tracks_of(30))
    assert all_tiles(far, 100) <= MOST_TILES


def test_a_replay_has_all_the_time_there_is_and_always_looks_again(tmp_path: Path) -> None:
    model = write_bright_model(tmp_path / "bright.onnx", label="person")
    clip = write_bright_clip(tmp_path / "street.avi", 8.0)
    zone = {"name": "square", "polygon": SQUARE.tolist(), "rules": {"crowd": {"people": 1, "enter_s": 1}}}
    camera = Camera.model_validate({"name": "gate", "source": str(clip), "zones": [zone]})
    again = Replay(clip, camera, open_configured(Model(file=model)), start_s=1.7e9)
    seen = list(again.run())
    looks = again._pipeline.second_looks()
    assert looks is not None
    assert looks[0] >= 1
    assert looks[1] == 0
    events = [record.body for _, each in seen for record in each.records if isinstance(record.body, EventBody)]
    assert events[0].details["counted_by"] in {"tiles", "tracks"}
