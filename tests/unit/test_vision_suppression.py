"""One box per object."""

from __future__ import annotations

import numpy as np

from agent.values import Detections, RoadUser
from agent.vision.suppression import CANDIDATE_LIMIT, DETECTION_LIMIT, drop_twins, pairwise_iou, suppress

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


def test_given_a_chain_of_twins_when_dropped_then_the_one_whose_rival_fell_stays() -> None:
    chain = seen((0, 0, 10, 10, 0.9, TRUCK), (1, 0, 11, 10, 0.8, CAR), (2.6, 0, 12.6, 10, 0.7, TRUCK))

    assert drop_twins(chain, 0.7).scores.tolist() == [np.float32(0.9), np.float32(0.7)]


def test_given_different_vehicles_side_by_side_when_twins_are_dropped_then_all_stay() -> None:
    pair = seen((0, 0, 10, 10, 0.9, TRUCK), (6, 0, 16, 10, 0.5, CAR))

    assert drop_twins(pair, 0.7) is pair


def test_given_boxes_when_compared_then_overlap_is_the_shared_part_of_the_union() -> None:
    first = np.array([[0, 0, 10, 10], [5, 5, 5, 5]], np.float32)
    second = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [5, 5, 5, 5]], np.float32)

    np.testing.assert_allclose(pairwise_iou(first, second), [[1 / 3, 0, 0], [0, 0, 0]], atol=1e-6)
