"""One box per object."""

from __future__ import annotations

import numpy as np
import pytest

from agent.values import Detections, RoadUser
from agent.vision.suppression import (
    CANDIDATE_LIMIT,
    DETECTION_LIMIT,
    drop_spans,
    drop_twins,
    pairwise_iou,
    suppress,
)

CAR, TRUCK, PERSON, BICYCLE, MOTORCYCLE = (
    RoadUser.CAR,
    RoadUser.TRUCK,
    RoadUser.PERSON,
    RoadUser.BICYCLE,
    RoadUser.MOTORCYCLE,
)


Row = tuple[float, float, float, float, float, float]


def seen(*rows: Row) -> Detections:
    """Each row: left, top, right, bottom, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


def test_given_two_boxes_of_one_object_when_suppressed_then_the_stronger_stays() -> None:
    found = suppress(seen((0, 0, 10, 10, 0.5, CAR), (1, 0, 11, 10, 0.9, CAR)), 0.5)

    assert found.boxes.tolist() == [[1, 0, 11, 10]]


def test_given_equal_boxes_of_two_classes_when_suppressed_then_both_stay() -> None:
    assert len(suppress(seen((0, 0, 10, 10, 0.5, PERSON), (0, 0, 10, 10, 0.9, MOTORCYCLE)), 0.5)) == 2


def test_given_neighbours_when_suppressed_then_both_stay_in_falling_order() -> None:
    found = suppress(seen((0, 0, 10, 10, 0.5, CAR), (8, 0, 18, 10, 0.9, CAR)), 0.5)

    assert found.scores.tolist() == [np.float32(0.9), np.float32(0.5)]


def test_given_nothing_when_suppressed_then_nothing_comes_back() -> None:
    assert len(suppress(Detections.empty(), 0.5)) == 0
    assert len(drop_twins(Detections.empty(), 0.5)) == 0


def test_given_a_flood_of_boxes_when_suppressed_then_the_result_is_bounded() -> None:
    corners = np.arange(2 * CANDIDATE_LIMIT, dtype=np.float32)[:, None] * 20
    flood = Detections(
        np.hstack([corners, corners * 0, corners + 10, corners * 0 + 10]).astype(np.float32),
        np.linspace(1, 0.2, 2 * CANDIDATE_LIMIT, dtype=np.float32),
        np.zeros(2 * CANDIDATE_LIMIT, np.int64),
    )

    found = suppress(flood, 0.5)

    assert found.scores.tolist() == flood.scores[:DETECTION_LIMIT].tolist()


def test_given_a_van_seen_as_car_and_truck_when_twins_are_dropped_then_it_is_the_surer_one() -> None:
    found = drop_twins(seen((0, 0, 10, 10, 0.9, TRUCK), (0, 0, 10, 9, 0.5, CAR), (0, 0, 10, 10, 0.4, PERSON)), 0.7)

    assert found.classes.tolist() == [TRUCK, PERSON]


def test_given_a_bicycle_and_a_motorcycle_in_one_place_when_twins_are_dropped_then_one_stays() -> None:
    assert len(drop_twins(seen((0, 0, 10, 10, 0.9, BICYCLE), (0, 0, 10, 10, 0.5, MOTORCYCLE)), 0.7)) == 1


def test_given_one_who_walks_read_as_rider_too_when_twins_are_dropped_then_the_surer_reading_stays() -> None:
    found = drop_twins(seen((0, 0, 10, 25, 0.6, PERSON), (0, 0, 11, 26, 0.5, MOTORCYCLE)), 0.7)

    assert found.classes.tolist() == [PERSON]


def test_given_somebody_who_walks_behind_a_motorcycle_when_twins_are_dropped_then_both_stay() -> None:
    pair = seen((0, 0, 14, 30, 0.8, MOTORCYCLE), (2, 0, 12, 18, 0.6, PERSON))

    assert drop_twins(pair, 0.7) is pair


def test_given_a_chain_of_twins_when_dropped_then_the_one_whose_rival_fell_stays() -> None:
    chain = seen((0, 0, 10, 10, 0.9, TRUCK), (1, 0, 11, 10, 0.8, CAR), (2.6, 0, 12.6, 10, 0.7, TRUCK))

    assert drop_twins(chain, 0.7).scores.tolist() == [np.float32(0.9), np.float32(0.7)]


def test_given_different_vehicles_side_by_side_when_twins_are_dropped_then_all_stay() -> None:
    pair = seen((0, 0, 10, 10, 0.9, TRUCK), (6, 0, 16, 10, 0.5, CAR))

    assert drop_twins(pair, 0.7) is pair


#: Two cars in two lanes, as seen from a bridge, and the box a model draws around both.
LEFT: Row = (285, 211, 443, 283, 0.70, CAR)
RIGHT: Row = (328, 143, 490, 206, 0.61, CAR)
AROUND: Row = (283, 156, 469, 285, 0.62, CAR)


def with_score(row: Row, score: float) -> Row:
    return (*row[:4], score, row[5])


def test_given_a_box_around_two_cars_that_are_seen_too_then_it_is_dropped() -> None:
    found = drop_spans(seen(LEFT, AROUND, RIGHT))

    assert found.boxes.tolist() == [list(LEFT[:4]), list(RIGHT[:4])]


def test_given_a_box_around_three_cars_abreast_and_one_around_two_of_them_then_the_three_stay() -> None:
    cars: list[Row] = [(x, 0, x + 60, 100, 0.7, CAR) for x in (0, 65, 130)]
    spans: list[Row] = [(0, 0, 125, 100, 0.6, CAR), (0, 0, 190, 100, 0.6, TRUCK)]

    assert drop_spans(seen(*spans, *cars)).boxes[:, 0].tolist() == [0, 65, 130]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([AROUND], id="it is all that is seen"),
        pytest.param([AROUND, LEFT], id="only one part is seen"),
        pytest.param([AROUND, LEFT, with_score(RIGHT, 0.2)], id="one part is only guessed at"),
        pytest.param([AROUND, (*LEFT[:5], PERSON), (*RIGHT[:5], PERSON)], id="the parts are of another kind"),
        pytest.param([AROUND, (283, 158, 440, 283, 0.7, CAR), (320, 160, 469, 285, 0.7, CAR)], id="the parts overlap"),
        pytest.param([(0, 0, 300, 200, 0.6, TRUCK), LEFT, RIGHT], id="it lies beside them"),
    ],
)
def test_given_a_box_that_two_others_do_not_explain_then_it_stays(rows: list[Row]) -> None:
    found = seen(*rows)

    assert drop_spans(found) is found


def test_given_two_cars_in_front_of_a_bus_then_the_bus_stays() -> None:
    found = seen((0, 0, 300, 200, 0.8, RoadUser.BUS), (10, 130, 140, 210, 0.8, CAR), (160, 130, 290, 210, 0.8, CAR))

    assert drop_spans(found) is found


def test_given_motorcycles_in_front_of_a_car_then_all_stay() -> None:
    riders: list[Row] = [(x, 20, x + 45, 100, 0.8, MOTORCYCLE) for x in (0, 50)]

    assert len(drop_spans(seen((0, 0, 100, 90, 0.7, CAR), *riders))) == 3


def test_given_people_in_a_group_then_all_stay_but_the_box_around_two() -> None:
    people: list[Row] = [(x, y, x + 30, y + 90, 0.6, PERSON) for x, y in ((0, 0), (22, 6), (50, 2), (75, 9), (90, 0))]

    assert len(drop_spans(seen(*people))) == 5
    assert drop_spans(seen((50, 2, 106, 97, 0.6, PERSON), *people)).boxes.tolist() == seen(*people).boxes.tolist()


@pytest.mark.parametrize(
    "children",
    [
        pytest.param([(0, 14, 26, 106, 0.8, PERSON), (25, 16, 50, 107, 0.8, PERSON)], id="nearly as tall"),
        pytest.param(
            [(0, 42, 27, 108, 0.8, PERSON), (23, 44, 50, 110, 0.8, PERSON)], id="two thirds as tall"
        ),  # span too little anyway
    ],
)
def test_given_a_grown_up_who_stands_behind_two_children_then_all_stay(children: list[Row]) -> None:
    grown_up: Row = (0, 0, 50, 100, 0.7, PERSON)

    assert len(drop_spans(seen(grown_up, *children))) == 3
    around: Row = (0, children[0][1] - 6, 50, 105, 0.7, PERSON)  # down to their feet
    assert drop_spans(seen(around, *children)).boxes.tolist() == seen(*children).boxes.tolist()


def test_given_a_box_around_two_vehicles_that_ends_a_little_above_both_then_it_is_dropped_all_the_same() -> None:
    cars: list[Row] = [(0, 10, 60, 106, 0.7, CAR), (62, 10, 122, 106, 0.7, CAR)]

    assert drop_spans(seen((0, 0, 122, 100, 0.6, CAR), *cars)).boxes.tolist() == seen(*cars).boxes.tolist()


def test_given_boxes_when_compared_then_overlap_is_the_shared_part_of_the_union() -> None:
    first = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    second = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5]], np.float32)

    np.testing.assert_allclose(pairwise_iou(first, second), [[1 / 3, 0, 0], [0, 0, 0]], atol=1e-6)
