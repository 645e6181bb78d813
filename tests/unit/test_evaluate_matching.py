"""Average precision against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agent.evaluate.matching import FOUR_WHEELERS, SUBJECTS, Picture, Subject, curve_of, overlaps, size_bands
from agent.values import Detections, RoadUser

CAR = next(subject for subject in SUBJECTS if subject.name == "car")
Box = tuple[float, float, float, float]
FAR: Box = (500, 300, 540, 340)


def picture(
    truth: list[tuple[RoadUser, Box]], found: list[tuple[RoadUser, float, Box]], name: str = "one.jpg"
) -> Picture:
    return Picture(
        name=name,
        truth_boxes=np.array([box for _, box in truth], np.float32).reshape(-1, 4),
        truth_classes=np.array([user for user, _ in truth], np.int64),
        found=Detections(
            np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in found], np.float32),
            np.array([user for user, _, _ in found], np.int64),
        ),
    )


def car(left: float, top: float = 100, size: float = 40) -> Box:
    return (left, top, left + size, top + size)


TWO_CARS = [(RoadUser.CAR, car(0)), (RoadUser.CAR, car(200))]


def test_overlap_of_boxes_is_the_shared_area_over_the_joint_one() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 1, 1]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(a, b).tolist() == [[1.0, pytest.approx(50 / 150), 0.0], [pytest.approx(0.01), 0.0, 0.0]]


def test_a_false_one_between_two_true_ones_costs_a_third_of_the_second_half() -> None:
    seen = [(RoadUser.CAR, 0.9, car(0)), (RoadUser.CAR, 0.8, FAR), (RoadUser.CAR, 0.7, car(200))]
    curve = curve_of([picture(TWO_CARS, seen)], CAR)
    assert curve.objects == 2
    assert curve.ap50 == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert curve.ap50_95 == pytest.approx(curve.ap50)


def test_one_of_two_found_is_half_and_a_miss_after_it_changes_nothing() -> None:
    seen = [(RoadUser.CAR, 0.9, car(0)), (RoadUser.CAR, 0.1, FAR)]
    assert curve_of([picture(TWO_CARS, seen)], CAR).ap50 == pytest.approx(51 / 101)


def test_a_box_that_fits_to_seven_tenths_counts_at_half_of_the_steps() -> None:
    # 40 wide, moved by 6.5: 33.5 / 46.5 = 0.72 shared, so it fits at 0.50 to 0.70 of 0.50 to 0.95.
    curve = curve_of([picture([(RoadUser.CAR, car(0))], [(RoadUser.CAR, 0.9, car(6.5))])], CAR)
    assert curve.ap50 == pytest.approx(1)
    assert curve.ap50_95 == pytest.approx(0.5)


def test_a_second_box_on_the_same_object_is_false() -> None:
    seen = [(RoadUser.CAR, 0.9, car(0)), (RoadUser.CAR, 0.8, car(2)), (RoadUser.CAR, 0.7, car(200))]
    assert curve_of([picture(TWO_CARS, seen)], CAR).ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_scores_rank_over_all_pictures_together() -> None:
    first = picture([(RoadUser.CAR, car(0))], [(RoadUser.CAR, 0.5, car(0))], "a.jpg")
    second = picture([(RoadUser.CAR, car(0))], [(RoadUser.CAR, 0.9, FAR)], "b.jpg")
    curve = curve_of([first, second], CAR)
    assert curve.ap50 == pytest.approx(51 * 0.5 / 101)
    assert curve_of([second, first], CAR).ap50 == curve.ap50


def test_objects_below_the_floor_are_neither_asked_for_nor_held_against_a_model() -> None:
    low = (RoadUser.CAR, car(300, size=11))
    just_below = (RoadUser.CAR, 0.95, car(299, top=99, size=13))
    seen = [just_below, (RoadUser.CAR, 0.9, car(300, size=11)), (RoadUser.CAR, 0.8, car(0))]
    curve = curve_of([picture([low, (RoadUser.CAR, car(0))], seen)], CAR)
    assert curve.objects == 1
    assert curve.ap50 == pytest.approx(1)


def test_bands_of_size_ask_for_their_own_objects_only() -> None:
    truth = [(RoadUser.CAR, car(0, size=20)), (RoadUser.CAR, car(100, size=40)), (RoadUser.CAR, car(300, size=80))]
    seen = [(user, 0.9, box) for user, box in truth if box != truth[1][1]]
    bands = size_bands(lambda low, high: curve_of([picture(truth, seen)], CAR, low, high))
    assert {name: band.objects for name, band in bands.items()} == {"small": 1, "medium": 1, "large": 1}
    assert [band.ap50 for band in bands.values()] == [pytest.approx(1), 0.0, pytest.approx(1)]


def test_any_four_wheeler_forgives_the_wrong_class_and_counts_two_readings_of_one_as_one() -> None:
    truth = [(RoadUser.TRUCK, car(0))]
    seen = [(RoadUser.CAR, 0.9, car(0)), (RoadUser.TRUCK, 0.8, car(1)), (RoadUser.MOTORCYCLE, 0.99, FAR)]
    assert curve_of([picture(truth, seen)], FOUR_WHEELERS).ap50 == pytest.approx(1)
    assert curve_of([picture(truth, seen)], FOUR_WHEELERS).precision.min() == pytest.approx(1)


def test_a_class_without_objects_has_no_average_and_one_without_detections_has_none_found() -> None:
    nothing = curve_of([picture([], [(RoadUser.CAR, 0.9, FAR)])], CAR)
    assert (nothing.ap50, nothing.ap50_95, nothing.objects) == (None, None, 0)
    assert curve_of([], CAR).ap50 is None
    assert curve_of([picture(TWO_CARS, [])], CAR).ap50 == 0.0
    assert curve_of([picture(TWO_CARS, [])], Subject("bus", frozenset({4}))).objects == 0
