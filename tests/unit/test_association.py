"""Which pairs may match: near ones, of classes that a detector confuses, at a price that tells likely from unlikely."""

from __future__ import annotations

import numpy as np
import pytest

from agent.values import RoadUser
from agent.vision.association import ALIKE, Pairs, candidate_pairs, covered, doubles, near_pairs, overlaps
from agent.vision.kalman import begin, predict
from agent.vision.tracker_options import TrackerOptions

OPTIONS = TrackerOptions()


def pairs_of(track: list[float], found: list[float], kinds: tuple[RoadUser, RoadUser], step_s: float = 0.1) -> Pairs:
    beliefs = predict(begin(np.array([track]), OPTIONS), step_s, np.zeros(1), OPTIONS)
    return candidate_pairs(beliefs, np.array([kinds[0]]), np.array([found]), np.array([kinds[1]]), OPTIONS)


def test_given_points_anywhere_then_the_sweep_finds_exactly_the_near_ones() -> None:
    rng = np.random.default_rng(3)
    centres, others = rng.random((60, 2)) * 100, rng.random((80, 2)) * 100
    reach = rng.uniform(1.0, 30.0, (60, 2))
    rows, columns = near_pairs(centres, reach, others)
    near = (np.abs(others[None] - centres[:, None]) <= reach[:, None]).all(axis=2)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(zip(*np.nonzero(near), strict=True))


def test_given_nothing_on_one_side_then_there_are_no_near_pairs() -> None:
    for count, other in ((0, 3), (3, 0)):
        rows, columns = near_pairs(np.zeros((count, 2)), np.ones((count, 2)), np.zeros((other, 2)))
        assert len(rows) == len(columns) == 0


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0.0, 0.0, 2.0, 2.0], 1.0),
        ([1.0, 0.0, 2.0, 2.0], 1 / 3),
        ([2.0, 0.0, 2.0, 2.0], 0.0),
        ([9.0, 9.0, 2.0, 2.0], 0.0),
        ([0.0, 0.0, 1.0, 1.0], 0.25),
    ],
)
def test_given_two_boxes_then_their_overlap_is_intersection_over_union(other: list[float], expected: float) -> None:
    assert overlaps(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([other]))[0] == pytest.approx(expected)


def test_given_a_new_track_when_a_box_lies_a_full_length_ahead_without_overlap_then_it_may_match() -> None:
    found = pairs_of([100.0, 100.0, 40.0, 40.0], [145.0, 100.0, 40.0, 40.0], (RoadUser.CAR, RoadUser.CAR))
    assert found.costs.tolist() != []


def test_given_two_boxes_then_the_nearer_one_costs_less() -> None:
    near = pairs_of([100.0, 100.0, 40.0, 40.0], [105.0, 100.0, 40.0, 40.0], (RoadUser.CAR, RoadUser.CAR))
    far = pairs_of([100.0, 100.0, 40.0, 40.0], [125.0, 100.0, 40.0, 40.0], (RoadUser.CAR, RoadUser.CAR))
    assert near.costs[0] < far.costs[0] < OPTIONS.new_object_cost


def test_given_a_box_far_outside_the_gate_then_there_is_no_pair() -> None:
    assert not len(pairs_of([100.0, 100.0, 40.0, 40.0], [400.0, 100.0, 40.0, 40.0], (RoadUser.CAR,) * 2).costs)


def test_given_a_box_jumps_but_overlaps_then_the_pair_stays_possible_at_nearly_the_full_price() -> None:
    options = TrackerOptions(first_speed=0.1, place_noise=0.03)
    beliefs = begin(np.array([[100.0, 100.0, 40.0, 40.0]]), options)
    found = candidate_pairs(
        beliefs, np.array([RoadUser.CAR]), np.array([[112.0, 100.0, 40.0, 40.0]]), np.array([RoadUser.CAR]), options
    )
    assert options.new_object_cost - 1.0 < found.costs[0] < options.new_object_cost


@pytest.mark.parametrize(
    ("one", "other", "possible"),
    [
        (RoadUser.CAR, RoadUser.TRUCK, True),
        (RoadUser.BUS, RoadUser.CAR, True),
        (RoadUser.MOTORCYCLE, RoadUser.BICYCLE, True),
        (RoadUser.MOTORCYCLE, RoadUser.PERSON, True),
        (RoadUser.OTHER, RoadUser.CAR, True),
        (RoadUser.PERSON, RoadUser.CAR, False),
        (RoadUser.TRUCK, RoadUser.PERSON, False),
        (RoadUser.PERSON, RoadUser.OTHER, False),
    ],
)
def test_given_two_classes_then_only_those_a_detector_confuses_may_match(
    one: RoadUser, other: RoadUser, *, possible: bool
) -> None:
    box = [100.0, 100.0, 40.0, 40.0]
    assert bool(len(pairs_of(box, box, (one, other)).costs)) is possible


def test_given_classes_then_likeness_is_mutual_and_a_slip_costs_less_than_a_leap() -> None:
    assert (ALIKE == ALIKE.T).all()
    box = [100.0, 100.0, 40.0, 40.0]
    same, slip, leap = (
        pairs_of(box, box, (RoadUser.MOTORCYCLE, kind)).costs[0]
        for kind in (RoadUser.MOTORCYCLE, RoadUser.BICYCLE, RoadUser.PERSON)
    )
    assert same < slip < leap


def test_given_boxes_on_top_of_each_other_then_only_like_classes_are_doubles() -> None:
    boxes = np.array([[50.0, 50.0, 20.0, 20.0], [50.5, 50.0, 20.0, 20.0]])
    car_truck = np.array([RoadUser.CAR, RoadUser.TRUCK])
    rows, columns = doubles(boxes[:1], car_truck[:1], boxes[1:], car_truck[1:], 0.8)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])
    person = np.array([RoadUser.PERSON])
    rows, _ = doubles(boxes[:1], person, boxes[1:], car_truck[1:], 0.8)
    assert not len(rows)


def test_given_a_weak_box_inside_a_better_one_then_it_is_covered_unless_the_classes_never_mix() -> None:
    measured = np.array([[50.0, 50.0, 40.0, 40.0], [50.0, 45.0, 20.0, 20.0]])
    stronger = np.zeros(2, np.bool_)
    weak = np.array([1])
    cars = np.array([RoadUser.CAR, RoadUser.CAR])
    assert covered(weak, measured, cars, stronger, 0.6).tolist() == [True]
    rider = np.array([RoadUser.CAR, RoadUser.PERSON])
    assert covered(weak, measured, rider, stronger, 0.6).tolist() == [False]
    assert covered(np.zeros(0, np.intp), measured, cars, stronger, 0.6).tolist() == []


def test_given_a_weak_box_beside_a_better_one_then_it_is_not_covered() -> None:
    measured = np.array([[50.0, 50.0, 40.0, 40.0], [80.0, 50.0, 40.0, 40.0]])
    people = np.full(2, RoadUser.PERSON)
    assert covered(np.array([1]), measured, people, np.zeros(2, np.bool_), 0.6).tolist() == [False]
