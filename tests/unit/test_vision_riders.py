"""Who rides, and who walks past."""

from __future__ import annotations

import numpy as np
import pytest

from agent.values import Detections, RoadUser
from agent.vision.riders import RIDERS_LIMIT, join_riders

PERSON, BICYCLE, MOTORCYCLE, CAR = RoadUser.PERSON, RoadUser.BICYCLE, RoadUser.MOTORCYCLE, RoadUser.CAR
MACHINE = (100, 100, 140, 160, 0.8, MOTORCYCLE)
RIDER = (105, 70, 135, 145, 0.8, PERSON)


Row = tuple[float, float, float, float, float, float]


def join(*rows: Row) -> list[tuple[RoadUser, list[float]]]:
    """Each row: left, top, right, bottom, score, class. The result as (class, box) pairs."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    found = join_riders(
        Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))
    )
    return [(RoadUser(kind), box) for kind, box in zip(found.classes.tolist(), found.boxes.tolist(), strict=True)]


@pytest.mark.parametrize("kind", [MOTORCYCLE, BICYCLE])
def test_given_a_rider_on_a_machine_when_joined_then_one_machine_covers_both(kind: RoadUser) -> None:
    assert join((*MACHINE[:5], kind), RIDER) == [(kind, [100, 70, 140, 160])]


def test_given_two_riders_when_joined_then_both_are_on_the_machine() -> None:
    pillion = (95, 75, 118, 140, 0.6, PERSON)

    assert join(MACHINE, RIDER, pillion) == [(MOTORCYCLE, [95, 70, 140, 160])]


def test_given_a_pedestrian_before_a_parked_machine_when_joined_then_he_stays_a_pedestrian() -> None:
    walking = (110, 80, 130, 165, 0.8, PERSON)  # feet on the ground in front of the wheels

    assert [kind for kind, _ in join(MACHINE, walking)] == [MOTORCYCLE, PERSON]


@pytest.mark.parametrize(
    "person",
    [
        (160, 70, 180, 145, 0.8, PERSON),  # beside it
        (110, 40, 130, 105, 0.8, PERSON),  # far behind it: feet at the machine's upper edge
        (105, 5, 135, 145, 0.8, PERSON),  # close to the camera: much taller than a rider could be
        (118, 130, 124, 150, 0.8, PERSON),  # a speck inside the machine
        (110, 95, 130, 110, 0.8, PERSON),  # a face on an advertisement
        (105, 70, 135, 145, 0.1, PERSON),  # a ghost of a person
    ],
)
def test_given_a_person_who_can_not_ride_when_joined_then_nothing_changes(person: Row) -> None:
    assert [kind for kind, _ in join(MACHINE, person)] == [MOTORCYCLE, PERSON]


def test_given_a_ghost_of_a_machine_under_a_clear_person_when_joined_then_the_person_stays() -> None:
    assert len(join((*MACHINE[:4], 0.15, BICYCLE), RIDER)) == 2


def test_given_two_machines_side_by_side_when_joined_then_each_gets_its_own_rider() -> None:
    second = (130, 100, 170, 160, 0.8, MOTORCYCLE)
    rider_of_second = (135, 70, 165, 145, 0.8, PERSON)

    assert join(MACHINE, second, rider_of_second, RIDER) == [
        (MOTORCYCLE, [100, 70, 140, 160]),
        (MOTORCYCLE, [130, 70, 170, 160]),
    ]


def test_given_a_crowd_over_one_machine_when_joined_then_no_more_ride_than_fit() -> None:
    crowd = [(105 + i, 70, 135 + i, 145, 0.8, PERSON) for i in range(RIDERS_LIMIT + 2)]

    assert [kind for kind, _ in join(MACHINE, *crowd)] == [MOTORCYCLE, PERSON, PERSON]


def test_given_no_machine_or_no_person_when_joined_then_everything_stays() -> None:
    assert len(join(RIDER, (0, 0, 9, 9, 0.5, CAR))) == 2
    assert len(join(MACHINE, (0, 0, 9, 9, 0.5, CAR))) == 2
    assert join() == []


def test_given_other_road_users_when_joined_then_order_and_scores_stay() -> None:
    rows = [(0, 0, 9, 9, 0.9, CAR), MACHINE, RIDER, (300, 0, 320, 60, 0.7, PERSON)]

    assert [kind for kind, _ in join(*rows)] == [CAR, MOTORCYCLE, PERSON]


def test_given_a_flat_box_when_joined_then_nothing_divides_by_zero() -> None:
    assert len(join((100, 100, 100, 100, 0.8, MOTORCYCLE), RIDER)) == 2
