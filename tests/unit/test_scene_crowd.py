"""Crowds: number, density and what is unusual, each an event with hysteresis."""

from __future__ import annotations

import pytest

from agent.config.rules import Crowd, RuleSettings, Surge
from agent.config.schema import Camera, Ground, GroundPoint, Zone
from agent.records import EventBody, ZoneBody
from agent.scene import Scene
from agent.scene.crowd import fruin
from agent.scene.usual import ENOUGH, Usual
from agent.scene.values import SecondLook
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, instant, tracks

DAY_S = 86_400.0
SQUARE = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9))


class Square:
    """A square that people walk onto, watched ten times a second."""

    def __init__(
        self,
        *,
        crowd: Crowd | None = None,
        surge: Surge | None = None,
        metres: float | None = None,
        state: str | None = None,
    ) -> None:
        zone = Zone(name="square", polygon=SQUARE, rules=RuleSettings(crowd=crowd, surge=surge))
        ground = None
        if metres is not None:
            corners = ((0.0, 0.0), (metres, 0.0), (metres, metres), (0.0, metres))
            pairs = zip(SQUARE, corners, strict=True)
            ground = Ground(points=tuple(GroundPoint(image=image, metres=where) for image, where in pairs))
        camera = Camera(name="square-1", source="rtsp://camera/1", zones=(zone,), ground=ground)
        self.scene = Scene(camera, device="box", model=None, state=state)
        self.now_s = 0.0
        self.zones: list[ZoneBody] = []

    def hold(self, people: int, seconds: float, *, every_s: float = 0.5, closer: int | None = None) -> list[EventBody]:
        found: list[EventBody] = []
        for _ in range(round(seconds / every_s)):
            self.now_s += every_s
            bodies = [
                Body(n + 1, (100 + 40 * (n % 10), 120 + 60 * (n // 10)), 16, 40, RoadUser.PERSON) for n in range(people)
            ]
            second = None
            if closer is not None and self.now_s % 1 == 0:
                feet = tuple((0.15 + 0.7 * n / max(closer, 1), 0.5) for n in range(closer))
                second = SecondLook(instant(self.now_s).mono_s, ("square",), (*feet, (0.95, 0.95)))
            records = self.scene.update(tracks(bodies), instant(self.now_s), SIZE, closer=second)
            self.zones += [record.body for record in records if isinstance(record.body, ZoneBody)]
            found += [record.body for record in records if isinstance(record.body, EventBody)]
        return found


def test_given_enough_people_for_long_enough_then_a_crowd_starts_and_ends_well_below_its_level() -> None:
    square = Square(crowd=Crowd(people=10, enter_s=5, leave_s=5))
    assert square.hold(9, 20) == []
    started = square.hold(10, 20)
    assert [(each.kind, each.phase) for each in started] == [("crowd", "start")]
    assert started[0].details["people"] == 10
    assert square.hold(9, 20) == [], "one less is still the crowd"
    ended = square.hold(5, 20)
    assert [each.phase for each in ended] == ["end"]
    assert ended[0].event == started[0].event


def test_given_a_second_look_then_it_counts_instead_of_the_tracks_and_the_event_says_so() -> None:
    square = Square(crowd=Crowd(people=10, enter_s=3, leave_s=3))
    assert square.hold(3, 10) == []
    (started,) = square.hold(3, 15, closer=12)
    assert (started.details["people"], started.details["counted_by"]) == (12, "tiles")
    assert not {"standing", "came_per_min"} & set(started.details), "too few have a track"
    (started,) = Square(crowd=Crowd(people=10, enter_s=3)).hold(8, 15, closer=12)
    assert started.details["people"] == 12
    assert started.details["standing"] == 12, "as those do who have a track"


def test_given_no_second_look_for_seconds_then_the_tracks_count_again() -> None:
    square = Square(crowd=Crowd(people=10, enter_s=3, leave_s=3))
    square.hold(3, 15, closer=12)
    (ended,) = square.hold(3, 15)
    assert ended.phase == "end"
    (started,) = square.hold(11, 10)
    assert started.details["counted_by"] == "tracks"


def test_an_interval_tells_people_by_second_looks_where_there_were_enough_of_them() -> None:
    square = Square(crowd=Crowd(people=10), metres=10.0)
    square.hold(2, 70, closer=7)
    square.hold(2, 60)
    square.hold(2, 60, closer=3)
    square.hold(2, 2)
    first, second, third = (zone.second_look for zone in square.zones[:3])
    assert first is not None
    assert (first.mean, first.max) == (7, 7)
    assert 55 <= (first.n or 0) <= 60
    assert second is None, "a few looks don't stand for a minute"
    assert third is not None
    assert 3 <= third.mean < 4
    densities = [zone.density_per_m2 or 0 for zone in square.zones[:2]]
    assert densities[0] > 2.5 * densities[1]
    assert all(zone.present is not None and zone.present.max == 2 for zone in square.zones[:3]), "by tracks"
    kept = Square(crowd=Crowd(people=10))
    kept.hold(2, 30, closer=7)
    again = Square(crowd=Crowd(people=10), state=kept.scene.snapshot())
    again.now_s = kept.now_s
    again.hold(2, 40, closer=7)
    assert again.zones[0].second_look is not None
    assert (again.zones[0].second_look.n or 0) > 50, "over a restart too"


def test_given_twice_the_level_then_the_crowd_is_an_alarm() -> None:
    assert Square(crowd=Crowd(people=10, enter_s=2)).hold(20, 10)[0].severity == "alarm"


def test_given_people_hidden_for_a_moment_then_the_crowd_goes_on() -> None:
    square = Square(crowd=Crowd(people=10, enter_s=2, leave_s=1))
    square.hold(10, 10)
    assert square.hold(0, 1) == []
    assert square.hold(10, 5) == []


def test_given_a_small_place_then_few_people_are_dense_and_the_level_of_service_is_told() -> None:
    square = Square(crowd=Crowd(people=1000, per_m2=0.5, enter_s=2), metres=5.0)
    started = square.hold(20, 10)[0]
    assert started.details["per_m2"] == pytest.approx(0.8, abs=0.01)
    assert started.details["level_of_service"] == "A", "they stand: walking, it would be E"


@pytest.mark.parametrize(
    ("per_m2", "walking", "standing"), [(0.3, "A", "A"), (1.0, "D", "B"), (3.0, "F", "D"), (6, "F", "F")]
)
def test_given_a_density_then_its_level_is_fruins(per_m2: float, walking: str, standing: str) -> None:
    assert fruin(per_m2, standing=False) == walking
    assert fruin(per_m2, standing=True) == standing


def test_given_a_usual_day_then_many_more_the_next_day_are_a_surge() -> None:
    square = Square(surge=Surge(times=2, least_people=5, enter_s=10, leave_s=10))
    assert square.hold(3, 3600, every_s=20) == []
    square.now_s = DAY_S
    assert square.hold(5, 60) == []
    found = square.hold(12, 60)
    assert [(each.kind, each.phase) for each in found][:1] == [("surge", "start")]
    assert found[0].details["usual"] == pytest.approx(3, abs=0.2)
    assert [each.phase for each in square.hold(3, 60)][-1:] == ["end"]


def test_given_a_market_day_in_the_calendar_then_it_is_not_judged_by_ordinary_days() -> None:
    square = Square(surge=Surge(enter_s=10, utc_offset_h=0, calendar={"2026-01-02": "market"}))
    square.hold(3, 3600, every_s=20)
    square.now_s = DAY_S
    assert square.hold(30, 60) == []


def test_given_one_wild_minute_then_what_is_usual_hardly_moves() -> None:
    usual = Usual(0, {}, {})
    for minute in range(60):
        usual.learn(minute * 60.0, 4.0)
    usual.learn(7 * DAY_S, 500.0)
    level = usual.at(7 * DAY_S)
    assert level is not None
    assert level.level == pytest.approx(4.0, abs=0.1)


def test_given_too_little_was_seen_then_nothing_is_usual() -> None:
    usual = Usual(0, {}, {})
    for minute in range(ENOUGH - 1):
        usual.learn(minute * 60.0, 4.0)
    assert usual.at(0.0) is None


def test_given_a_restart_then_what_is_usual_is_kept() -> None:
    usual = Usual(0, {}, {})
    for minute in range(60):
        usual.learn(minute * 60.0, 4.0)
    assert Usual(0, {}, usual.state()).at(DAY_S) == usual.at(DAY_S)
