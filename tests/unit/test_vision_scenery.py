"""What stands before a protected region for ever and only looks like a road user, and what really stands there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.values import Floats, Image
from agent.vision.assets import RegionLook
from agent.vision.kept_assets import read_region, write_region
from agent.vision.kept_view import Origin
from agent.vision.scenery import (
    ALIKE_PERSON_S,
    ALIKE_S,
    FORGOTTEN_S,
    MOST,
    PROBATION_S,
    STILL_PERSON_S,
    Scenery,
    Users,
)
from tests.unit.test_vision_assets import HEIGHT, NOBODY, WIDTH, Watch, bag, cabinet, learnt, street

LEAST = 0.04
FALSE = (62, 38, 138, 112)
"""Where a detector takes the cabinet for a vehicle: all of the region."""
LORRY = (55, 30, 150, 115)
HERE = Origin("camera", "start-1")


def sprayed(picture: Image) -> Image:
    shown = picture.copy()
    cv2.line(shown, (80, 60), (122, 92), (200, 40, 200), 7)
    cv2.line(shown, (80, 92), (122, 60), (200, 40, 200), 7)
    return shown


def lorry(picture: Image, dx: int = 0) -> Image:
    """A lorry that stands where ``LORRY`` says, or has driven so far."""
    left, top, right, bottom = LORRY
    shown = picture.copy()
    cv2.rectangle(shown, (left + dx, top), (right + dx, bottom), (160, 90, 40), -1)
    for x in range(left + dx + 6, right + dx - 6, 12):
        cv2.line(shown, (x, top + 6), (x, bottom - 14), (220, 200, 190), 3)
    return shown


class Street(Watch):
    """A region with boxes before it that jitter as a detector's do."""

    def show(
        self,
        picture: Image,
        seconds: int,
        *boxes: tuple[int, int, int, int],
        ids: Iterable[int] = (1,),
        person: bool = False,
    ) -> list[RegionLook]:
        looks = []
        for _ in range(seconds):
            here = (np.array(boxes, np.float64).reshape(-1, 4) + self.rng.normal(0, 1.5, (len(boxes), 4))).astype(
                np.float32
            )
            which = np.array(tuple(ids)[: len(boxes)], np.int64)
            self.judge.follow(here, which)
            looks.append(self.see(picture, 1, here, ids=which, persons=np.full(len(boxes), person)))
        return looks

    def drive_off(self, ground: Image, *, track: int = 1) -> list[RegionLook]:
        """The lorry, seen at one place after the other until it is out of the picture."""
        looks = []
        for dx in range(10, 150, 28):
            looks += self.show(lorry(ground, dx), 1, _moved(LORRY, dx), ids=(track,))
        return looks


def _moved(box: tuple[int, int, int, int], dx: int) -> tuple[int, int, int, int]:
    return box[0] + dx, box[1], box[2] + dx, box[3]


def settled(looks: list[RegionLook]) -> float:
    """The most that would have been said."""
    return max(max(look.settled, look.gone) for look in looks)


@pytest.mark.parametrize(
    ("deed", "box_stays"),
    [(lambda: sprayed(cabinet(street())), True), (street, False), (street, True)],
    ids=["sprayed", "removed", "removed under a box that stays"],
)
def test_given_a_false_box_from_the_start_when_the_thing_under_it_changes_then_that_is_told(
    *, deed: Callable[[], Image], box_stays: bool
) -> None:
    watch = Street()
    before = watch.show(cabinet(street()), 60, FALSE)
    assert before[0].seen < 0.1, "at first it may be a lorry"
    assert before[-1].known
    assert before[-1].seen == 1
    assert settled(before) == 0
    after = watch.show(deed(), 20, *([FALSE] if box_stays else []))
    assert settled(after) > LEAST
    assert not any(look.anew for look in before + after)


def test_given_a_false_box_that_comes_and_goes_and_comes_back_then_it_hides_nothing_that_is_unchanged() -> None:
    watch = Street()
    watch.show(cabinet(street()), 30)
    assert watch.show(cabinet(street()), 8, FALSE)[-1].seen < 0.1
    assert watch.show(cabinet(street()), 20, FALSE)[-1].seen == 1
    watch.show(cabinet(street()), int(FORGOTTEN_S / 2) + 5)
    watch.judge.watched[0].scenery.note(Users.of(NOBODY), FORGOTTEN_S)
    assert watch.judge.watched[0].scenery.places == []
    looks = watch.show(cabinet(street()), 30, FALSE)
    assert (looks[0].seen, looks[-1].seen) == (pytest.approx(0, abs=0.1), 1)
    assert settled(looks) == 0
    assert settled(watch.show(sprayed(cabinet(street())), 20, FALSE)) > LEAST


def test_given_a_gap_in_which_a_false_box_is_not_detected_then_it_is_scenery_when_it_is_back() -> None:
    watch = Street()
    watch.show(cabinet(street()), 70, FALSE)
    watch.show(cabinet(street()), 120)
    assert watch.show(cabinet(street()), 1, FALSE)[0].seen == 1


def test_given_a_lorry_that_parks_in_front_for_ten_minutes_and_leaves_then_nothing_is_said() -> None:
    watch = Street()
    watch.show(cabinet(street()), 40)
    parked = watch.show(lorry(cabinet(street())), 600, LORRY)
    assert max(look.seen for look in parked) < 0.1
    left = watch.drive_off(cabinet(street())) + watch.show(cabinet(street()), 30)
    assert settled(parked + left) == 0
    assert left[-1].known
    assert not any(look.anew for look in left)


@pytest.mark.parametrize("stood_s", [int(PROBATION_S) - 20, int(PROBATION_S) + 40, 15])
def test_given_a_vehicle_parked_while_learning_when_it_drives_off_then_the_region_is_learnt_anew(stood_s: int) -> None:
    watch = Street()
    assert watch.show(lorry(street()), stood_s, LORRY)[-1].known == (stood_s > 35)
    left = watch.drive_off(street()) + watch.show(street(), 60)
    assert settled(left) == 0
    assert sum(look.anew for look in left) == (stood_s > 35)
    assert left[-1].known
    assert settled(watch.show(bag(street()), 20)) > LEAST


def test_given_a_parked_vehicle_that_leaves_before_the_first_looks_are_complete_then_they_are_taken_again() -> None:
    watch = Street()
    watch.judge.watched = []
    watch.show(lorry(street()), 12, LORRY)
    (place,) = watch.judge.watched[0].scenery.places
    place.stood_s = PROBATION_S
    left = watch.drive_off(street()) + watch.show(street(), 60)
    assert settled(left) == 0
    assert left[-1].known


def test_given_two_lorries_one_after_the_other_at_one_place_then_the_second_hides_the_region() -> None:
    watch = Street()
    watch.show(lorry(street()), 100, LORRY)
    watch.drive_off(street())
    second = cv2.flip(lorry(street()), 0)
    box = (LORRY[0], HEIGHT - LORRY[3], LORRY[2], HEIGHT - LORRY[1])
    looks = watch.show(second, 60, box, ids=(2,))
    looks += watch.show(street(), 60)
    assert settled(looks) == 0
    assert looks[-1].known


def test_given_who_waited_from_the_start_for_less_than_a_minute_when_they_are_lost_then_it_is_learnt_anew() -> None:
    watch = Street()
    assert watch.show(lorry(street()), int(PROBATION_S) - 20, LORRY)[-1].known
    looks = watch.show(street(), 60)
    assert settled(looks) == 0
    assert sum(look.anew for look in looks) == 1
    assert looks[-1].known


def test_given_the_next_lorry_drives_up_at_once_then_the_region_is_learnt_anew_when_that_is_gone_too() -> None:
    watch = Street()
    watch.show(lorry(street()), 100, LORRY)
    watch.judge.follow(np.array([_moved(LORRY, 60)], np.float32), np.array([1]))
    waits = watch.show(lorry(street(), 8), 60, LORRY, ids=(2,))
    assert not any(look.anew for look in waits)
    left = watch.drive_off(street(), track=2) + watch.show(street(), 60)
    assert settled(waits + left) == 0
    assert sum(look.anew for look in left) == 1
    assert left[-1].known


def test_given_a_thing_that_is_taken_when_its_false_box_just_ends_then_no_vehicle_drove_off() -> None:
    watch = Street()
    watch.show(cabinet(street()), 100, FALSE)
    looks = watch.show(street(), 20)
    assert looks[-1].gone > 0.8
    assert not any(look.anew for look in looks)


def test_given_a_track_that_hops_from_a_false_box_to_a_passer_by_then_nothing_is_learnt_anew() -> None:
    watch = Street()
    watch.show(cabinet(street()), 100, FALSE)
    looks = watch.show(cabinet(street()), 3, (160, 40, 190, 130), ids=(1,))
    looks += watch.show(cabinet(street()), 20, FALSE, ids=(2,))
    assert not any(look.anew for look in looks)
    assert looks[-1].seen == 1
    assert settled(watch.show(sprayed(cabinet(street())), 20, FALSE, ids=(2,))) > LEAST


def test_given_somebody_who_waits_from_the_start_then_the_region_is_not_learnt_with_them_but_with_a_statue() -> None:
    watch = Street()
    assert not any(look.known for look in watch.show(cabinet(street()), int(STILL_PERSON_S) - 60, FALSE, person=True))
    assert watch.show(cabinet(street()), 120, FALSE, person=True)[-1].known


def test_given_somebody_who_stands_beside_a_thing_then_their_box_hides_it_for_longer_than_a_vehicle_would() -> None:
    beside = (50, 40, 85, 140)
    watch = Street()
    watch.show(cabinet(street()), 30)
    assert watch.show(cabinet(street()), int(ALIKE_S) * 4, beside, person=True)[-1].seen < 0.8
    assert watch.show(cabinet(street()), int(ALIKE_PERSON_S), beside, person=True)[-1].seen == 1


def test_given_what_stands_there_when_an_operator_accepts_then_it_is_learnt_with_the_region_after_a_minute() -> None:
    watch = Street()
    watch.show(street(), 30)
    assert watch.show(lorry(street()), 30, LORRY)[-1].seen < 0.1
    assert watch.judge.accept("thing")
    looks = watch.show(lorry(street()), int(PROBATION_S) + 40, LORRY)
    assert sum(look.accepted for look in looks) == 1
    assert looks[-1].known
    left = watch.drive_off(street()) + watch.show(street(), 60)
    assert settled(left) == 0
    assert sum(look.anew for look in left) == 1


def test_given_a_restart_then_scenery_is_still_known_and_what_changed_meanwhile_under_its_box_is_told() -> None:
    watch = Street()
    watch.show(cabinet(street()), 70, FALSE)
    text = write_region(watch.judge.watched[0], Instant(100.0, 1e9), HERE)
    after = Street()
    after.judge.fit((WIDTH, HEIGHT))
    assert read_region(text, after.judge.watched[0], Instant(5000.0, 1e9), HERE)
    looks = after.show(sprayed(cabinet(street())), 20, FALSE)
    assert looks[0].seen == 1
    assert settled(looks) > LEAST


@pytest.mark.parametrize("places", [[[1, 2, 3]], [["x"] * 6], 5, [[float("nan")] * 6], [5]])
def test_given_damaged_places_then_nothing_of_the_text_is_believed(places: object) -> None:
    text = write_region(learnt(street()).judge.watched[0], Instant(100.0, 1e9), HERE)
    fresh = Watch()
    fresh.judge.fit((WIDTH, HEIGHT))
    broken = json.dumps(json.loads(text) | {"scenery": places})
    assert not read_region(broken, fresh.judge.watched[0], Instant(200.0, 1e9), HERE)
    assert not fresh.judge.watched[0].memories
    older = {key: value for key, value in json.loads(text).items() if key != "scenery"}
    assert read_region(json.dumps(older), fresh.judge.watched[0], Instant(200.0, 1e9), HERE)


def boxes(*each: tuple[float, ...]) -> Users:
    return Users.of(np.array(each, np.float32))


def test_given_passers_by_then_their_places_are_soon_forgotten_and_never_too_many() -> None:
    scenery = Scenery()
    scenery.note(boxes(*((40 * x, 0, 40 * x + 30, 80) for x in range(MOST + 20))), 1.0)
    assert len(scenery.places) == MOST
    assert len(scenery.hiding()) == MOST + 20
    scenery.note(Users.of(NOBODY), 20.0)
    assert scenery.places == []
    scenery.note(boxes((0, 0, 30, 80)), 1.0)
    for _ in range(11):
        scenery.note(boxes((0, 0, 30, 80), (1, 0, 31, 80)), 1.0)
    (place,) = scenery.places
    assert place.stood_s == 12, "two boxes at one place do not stand there for twice as long"


@pytest.mark.parametrize(("every", "stands"), [(1, True), (3, False)], ids=["one that stands", "a lane of traffic"])
def test_given_boxes_that_come_by_one_place_again_and_again_then_none_of_them_stands_there(
    every: int,
    stands: bool,  # noqa: FBT001 - a row of the table
) -> None:
    scenery = Scenery()
    for second in range(120):
        there = boxes(FALSE) if second % every == 0 else boxes()
        scenery.note(there, 1.0, learning=True)
    scenery.note(boxes(FALSE), 1.0)
    assert (len(scenery.hiding()) == 0) == stands


def test_given_boxes_far_from_a_region_then_they_are_left_out() -> None:
    users = boxes((0, 0, 10, 10), (100, 100, 150, 150), (98, 0, 108, 300), (0, 250, 400, 300))
    near: Floats = users.near((110, 110, 140, 140), 0.3).boxes
    assert near.tolist() == [[100, 100, 150, 150], [98, 0, 108, 300]]
