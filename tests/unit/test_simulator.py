"""The simulated street is exact where it says so and wrong where it says so."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from agent.values import RoadUser
from tests.fakes.simulator import PERFECT, DetectorErrors, FrameTiming, PerspectiveCamera, PixelLine, Scenario, walk
from tests.fakes.simulator.observe import visible_parts
from tests.fakes.simulator.scenes import (
    SCENES,
    cast,
    free_flow,
    main_line,
    parked_near_line,
    queue_at_signal,
    turning_back,
    waits_on_line,
    with_errors,
    with_timing,
)

CAMERA = PerspectiveCamera()


def passing_car(y_per_s: float = -10.0) -> Scenario:
    return Scenario("one", 1, 6.0, cast((RoadUser.CAR, walk([(0.0, -2.0, 60.0), (5.0, -2.0, 60.0 + 5 * y_per_s)]))))


def test_given_ground_points_then_pixels_lead_back_to_the_same_metres() -> None:
    ground = np.array([[-3.0, 10.0], [4.0, 50.0], [0.0, 21.0]])
    np.testing.assert_allclose(CAMERA.image_to_ground(CAMERA.ground_to_image(ground)), ground, atol=1e-9)
    for pixel, metres in CAMERA.calibration():
        np.testing.assert_allclose(CAMERA.image_to_ground(np.array([pixel])), [metres], atol=1e-9)


def test_given_a_car_then_its_box_stands_on_the_road_and_grows_as_it_comes_nearer() -> None:
    far, near = CAMERA.boxes(np.array([[0.0, 50.0], [0.0, 20.0]]), np.zeros(2), (4.5, 1.8, 1.5))
    assert near[3] == pytest.approx(CAMERA.ground_to_image(np.array([[0.0, 19.1]]))[0, 1])
    assert (near[2:] - near[:2] > far[2:] - far[:2]).all()


def test_given_a_corner_behind_the_lens_then_the_box_is_unknown() -> None:
    assert np.isnan(CAMERA.boxes(np.array([[0.0, -20.0]]), np.zeros(1), (4.5, 1.8, 1.5))).all()


def test_given_a_car_that_comes_nearer_then_truth_has_one_crossing_with_its_exact_speed_and_time() -> None:
    (crossing,) = passing_car().truth(main_line(passing_car()))
    # Its ground point is its near edge, 2.25 m before its middle.
    assert crossing.time_s == pytest.approx((60.0 - 20.0 - 2.25) / 10.0, abs=0.01)
    assert crossing.speed_kmh == pytest.approx(36.0)
    assert (crossing.direction, crossing.kind) == ("a_to_b", RoadUser.CAR)


def test_given_a_line_beside_the_road_then_nothing_crosses_it() -> None:
    scenario = passing_car()
    assert scenario.truth(scenario.line_across("side", (3.0, 20.0), (8.0, 20.0))) == []


def test_given_the_ends_of_a_line_are_swapped_then_so_are_the_directions() -> None:
    scenario = free_flow(5, 30.0)
    line = main_line(scenario)
    swapped = PixelLine("swapped", line.end_px, line.start_px)
    there = Counter(crossing.direction for crossing in scenario.truth(line))
    back = Counter(crossing.direction for crossing in scenario.truth(swapped))
    assert there["a_to_b"] == back["b_to_a"] > 0
    assert there["b_to_a"] == back["a_to_b"] > 0


def test_given_turning_back_then_those_before_the_line_count_nothing_and_those_behind_it_once_each_way() -> None:
    scenario = turning_back(2)
    found = Counter((crossing.kind, crossing.direction) for crossing in scenario.truth(main_line(scenario)))
    assert found == {(RoadUser.MOTORCYCLE, "a_to_b"): 5, (RoadUser.MOTORCYCLE, "b_to_a"): 5}


def test_given_a_car_waits_on_the_line_then_it_crosses_once() -> None:
    scenario = waits_on_line(2, 60.0)
    assert len(scenario.truth(main_line(scenario))) == 1


def test_given_parked_cars_then_they_stand_close_to_the_line_and_never_cross() -> None:
    scenario = parked_near_line(2)
    crossers = {crossing.actor for crossing in scenario.truth(main_line(scenario))}
    assert {0, 1}.isdisjoint(crossers)
    assert crossers


def test_given_a_red_signal_then_cars_stand_in_a_queue_and_never_inside_each_other() -> None:
    scenario = queue_at_signal(2, 60.0)
    lane = [actor for actor in scenario.actors if actor.path.xy_m[0, 0] == pytest.approx(-5.0)]
    assert any(actor.path.speed_kmh(t) < 1.0 for actor in lane for t in actor.path.times_s[5:-5:10])
    for ahead, behind in itertools.pairwise(lane):
        both = np.arange(behind.path.times_s[0], ahead.path.times_s[-1], 0.1)
        if len(both):
            gap = behind.path.place(both)[0][:, 1] - ahead.path.place(both)[0][:, 1]
            assert gap.min() > (ahead.size_m[0] + behind.size_m[0]) / 2


@pytest.mark.parametrize(("build", "line"), SCENES, ids=lambda part: getattr(part, "__name__", ""))
def test_given_any_scene_then_the_same_seed_gives_the_same_frames_and_something_crosses_or_tries(
    build: Callable[[int], Scenario], line: Callable[[Scenario], PixelLine]
) -> None:
    scenario = build(3)
    for (_, one), (_, two), _ in zip(scenario.frames(), scenario.frames(), range(100), strict=False):
        np.testing.assert_array_equal(one.boxes, two.boxes)
        np.testing.assert_array_equal(one.classes, two.classes)
    assert scenario.truth(line(scenario))


def test_given_another_seed_then_the_frames_differ() -> None:
    one, two = (next(iter(free_flow(seed, 20.0).true_scenes()), None) for seed in (1, 2))
    assert one is not None
    assert two is not None
    assert [len(scene.numbers) for _, scene in free_flow(1, 20.0).true_scenes()] != [
        len(scene.numbers) for _, scene in free_flow(2, 20.0).true_scenes()
    ]


def test_given_a_perfect_detector_then_it_sees_every_visible_thing_where_it_is() -> None:
    scenario = with_errors(passing_car(), PERFECT)
    for (_, found), (_, truth) in zip(scenario.frames(), scenario.true_scenes(), strict=True):
        if len(found):
            expected = truth.boxes.clip(0, [1280, 720, 1280, 720])
            np.testing.assert_allclose(found.boxes, expected, rtol=0.1, atol=0.5)


@pytest.mark.parametrize("run", [1.0, 4.0])
def test_given_a_miss_rate_then_that_share_is_missed_in_runs_of_the_given_length(run: float) -> None:
    scenario = with_errors(waits_on_line(4, 300.0), DetectorErrors(miss_rate=0.2, miss_run=run, false_rate=0.0))
    found = np.array([len(detections) for _, detections in scenario.frames()])[60:3000]
    assert 1.0 - found.mean() == pytest.approx(0.2, abs=0.04)
    runs = ((found[1:] == 0) & (found[:-1] == 1)).sum()
    assert (found == 0).sum() / runs == pytest.approx(1.25 if run == 1.0 else 4.0, rel=0.25)


def test_given_false_and_double_detections_and_confusion_then_their_shares_are_as_ordered() -> None:
    errors = DetectorErrors(miss_rate=0.0, false_rate=0.1, duplicate_rate=0.2, confusion=0.3)
    scenario = with_errors(waits_on_line(4, 300.0), errors)
    everything = [detections for _, detections in scenario.frames()][60:3000]
    count = sum(len(detections) for detections in everything) / len(everything)
    assert count == pytest.approx(1.2 * 1.1, abs=0.05)
    at_car = [detections.classes[detections.boxes[:, 2] - detections.boxes[:, 0] > 60] for detections in everything]
    cars = np.concatenate(at_car)
    assert (cars != RoadUser.CAR).mean() == pytest.approx(0.33, abs=0.06)


def test_given_dropped_frames_and_uneven_periods_then_times_rise_and_the_share_is_missing() -> None:
    scenario = with_timing(waits_on_line(4, 300.0), FrameTiming(fps=10.0, unevenness=0.3, drop_rate=0.25))
    times = np.array([at.mono_s for at, _ in scenario.frames()])
    steps = np.diff(times)
    assert (steps > 0).all()
    assert len(times) == pytest.approx(0.75 * 3150, rel=0.05)
    assert steps.std() / steps.mean() > 0.3


def test_given_a_camera_that_sways_then_the_whole_picture_sways_by_that_much() -> None:
    still = with_errors(waits_on_line(4, 200.0), PERFECT)
    sways = with_errors(waits_on_line(4, 200.0), DetectorErrors(0.0, 1.0, 0.0, 0.0, 0.0, shake_px=3.0))
    place = [detections.boxes[0] for _, detections in still.frames() if len(detections)][100:1900]
    moved = [detections.boxes[0] for _, detections in sways.frames() if len(detections)][100:1900]
    shift = np.array(moved) - np.array(place)
    np.testing.assert_allclose(shift[:, 0], shift[:, 2], atol=1e-3)
    assert shift[:, 0].std() == pytest.approx(3.0, rel=0.2)


def test_given_a_bus_in_front_then_only_the_part_beside_it_is_seen() -> None:
    boxes = np.array([[100.0, 100.0, 200.0, 200.0], [150.0, 50.0, 400.0, 300.0], [160.0, 110.0, 190.0, 190.0]])
    parts, share = visible_parts(boxes, np.array([20.0, 10.0, 30.0]), CAMERA)
    np.testing.assert_allclose(parts[0], [100.0, 100.0, 150.0, 200.0], atol=9.0)
    assert share[0] == pytest.approx(0.5, abs=0.05)
    assert share[1] == 1.0
    assert share[2] == 0.0


def test_given_a_box_that_leaves_the_picture_then_it_is_cut_at_the_edge() -> None:
    parts, share = visible_parts(np.array([[-50.0, 100.0, 50.0, 200.0]]), np.array([20.0]), CAMERA)
    np.testing.assert_allclose(parts[0], [0.0, 100.0, 50.0, 200.0], atol=9.0)
    assert share[0] == pytest.approx(0.5, abs=0.05)
