"""Loitering: who stays in a zone, by hours, through lost tracks, and not who waits elsewhere or passes by."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agent.config.rules import Loitering
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene import Scene
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, instant, tracks

ZONE = [(0.3, 0.3), (0.7, 0.3), (0.7, 0.9), (0.3, 0.9)]
HERE, THERE = (320.0, 300.0), (60.0, 300.0)


def person(track: int = 1, foot: tuple[float, float] = HERE, kind: RoadUser = RoadUser.PERSON) -> Body:
    return Body(track, foot, 40, 100, kind=kind)


class Square:
    """A zone watched five times a second; the tests' first moment is a whole hour, UTC."""

    def __init__(self, state: str | None = None, **wish: Any) -> None:
        rules = {"loitering": {"seconds": 20, "leave_s": 5, **wish}}
        camera = {"name": "a", "source": "x", "zones": [{"name": "gate", "polygon": ZONE, "rules": rules}]}
        self.scene = Scene(Camera.model_validate(camera), device="box", model=None, state=state)
        self.now_s = 0.0
        self.synced = True

    def see(self, seconds: float, *people: Body) -> list[EventBody]:
        told: list[Any] = []
        for _ in range(round(seconds * 5)):
            at = instant(self.now_s, synced=self.synced)
            told += [record.body for record in self.scene.update(tracks(people), at, SIZE)]
            self.now_s += 0.2
        return [body for body in told if isinstance(body, EventBody)]


def test_given_a_person_who_stays_then_one_event_starts_and_ends_after_they_left() -> None:
    square = Square()
    (start,) = square.see(40, person())
    assert (start.kind, start.phase, start.where, start.severity) == ("loitering", "start", "gate", "warning")
    assert (start.details["tracks"], start.details["persons"]) == ([1], 1)
    assert square.see(4, person(foot=THERE)) == []
    (end,) = square.see(10, person(foot=THERE))
    assert (end.phase, end.event) == ("end", start.event)


def test_given_passers_by_and_vehicles_that_stand_then_nobody_loiters() -> None:
    square = Square()
    assert square.see(60, person(1, kind=RoadUser.CAR), person(2, THERE)) == []
    for track in range(3, 9):
        assert square.see(10, person(track)) + square.see(25) == []


def test_given_a_step_outside_then_the_stay_goes_on_and_after_a_longer_absence_it_begins_anew() -> None:
    square = Square()
    assert square.see(15, person()) == []
    assert square.see(4, person(foot=THERE)) == []
    assert len(square.see(8, person())) == 1
    other = Square()
    other.see(15, person())
    other.see(12, person(foot=THERE))
    assert other.see(8, person()) == []


def test_given_a_new_number_near_where_one_was_lost_then_it_is_the_same_stay() -> None:
    square = Square()
    assert square.see(15, person(1)) == []
    assert square.see(6) == []
    (start,) = square.see(8, person(2, (340.0, 310.0)))
    assert start.details["tracks"] == [2]
    elsewhere = Square()
    elsewhere.see(15, person(1))
    elsewhere.see(6)
    assert elsewhere.see(8, person(2, (240.0, 420.0))) == []


def test_given_hours_then_only_they_count_in_local_time_and_over_midnight() -> None:
    wish = {"hours": ["22:00-05:00"], "utc_offset_h": 0}
    hour = int(instant(0).utc_s // 3600 % 24)
    night = Square(**{**wish, "utc_offset_h": (23 - hour + 12) % 24 - 12})
    day = Square(**{**wish, "utc_offset_h": (12 - hour + 12) % 24 - 12})
    assert len(night.see(30, person())) == 1
    assert day.see(30, person()) == []


def test_given_the_hours_end_then_so_does_the_event() -> None:
    hour = int(instant(0).utc_s // 3600 % 24)
    square = Square(hours=["12:00-12:01"], utc_offset_h=(12 - hour + 12) % 24 - 12)
    phases = [body.phase for body in square.see(75, person())]
    assert (phases[0], phases[-1]) == ("start", "end")


def test_given_a_clock_that_is_not_set_then_hours_are_not_believed() -> None:
    square = Square(hours=["00:00-23:59"])
    square.synced = False
    assert square.see(40, person()) == []
    always = Square()
    always.synced = False
    assert len(always.see(40, person())) == 1


def test_given_a_restart_then_the_event_goes_on() -> None:
    square = Square()
    (start,) = square.see(30, person())
    after = Square(state=square.scene.snapshot())
    after.now_s = 40.0
    (end,) = after.see(10)
    assert (end.phase, end.event) == ("end", start.event)


def test_given_several_then_the_longest_are_named_and_updates_are_few() -> None:
    square = Square()
    crowd = [person(n, (250.0 + 15 * n, 350.0)) for n in range(12)]
    told = square.see(100, *crowd)
    assert told[0].details["persons"] == 12
    assert len(told[0].details["tracks"]) == 8  # type: ignore[arg-type]
    assert len(told) <= 4


@pytest.mark.parametrize("hours", ["22-05", "24:00-05:00", "22:00-22:00", "22:00"])
def test_given_hours_that_are_none_then_they_are_refused(hours: str) -> None:
    with pytest.raises(ValidationError):
        Loitering(hours=(hours,))
