"""What an alarm must beat on a camera: all but one of the last hours' episodes; one fight makes it no blinder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from agent.clock import Instant
from agent.config.rules import Aggression as Settings
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene.accustomed import ABOVE, FIRST_S, HIGHEST, REMEMBERED_S, Accustomed
from agent.scene.aggression import Aggression
from agent.scene.rule import Moment, Setting
from agent.scene.values import CLEAR, LIVE, Likeness

LEAST, STEP_S = 0.9, 0.5


def camera(state: Mapping[str, Any] | None = None, kept_for: str = "this", first: float = LEAST) -> Accustomed:
    return Accustomed(LEAST, first, 0.3, 5.0, kept_for, state or {})


class Film:
    """A camera and its steady clock."""

    def __init__(self, at: Accustomed) -> None:
        self.camera, self.now_s = at, 0.0

    def show(self, likeness: float, seconds: float) -> Film:
        for _ in range(int(seconds / STEP_S)):
            self.now_s += STEP_S
            self.camera.learn(self.now_s, likeness)
        return self

    def episodes(self, *peaks: float) -> Film:
        for peak in peaks:
            self.show(peak, 2.0).show(0.3, 8.0)
        return self


def after(*peaks: float) -> float:
    return Film(camera()).episodes(*peaks).camera.level


def test_given_calm_life_then_the_level_is_the_one_that_was_wished() -> None:
    assert Film(camera()).show(0.7, 600).camera.level == LEAST


def test_given_a_camera_that_is_hardly_known_then_an_alarm_needs_more_until_it_is() -> None:
    film = Film(camera(first=0.95)).show(0.4, FIRST_S / 2)
    assert film.camera.level == 0.95
    assert film.episodes(0.97, 0.96).camera.level == pytest.approx(0.96 + ABOVE)
    calm = Film(camera(first=0.95)).show(0.4, FIRST_S + 1)
    assert calm.camera.level == LEAST
    assert camera(calm.camera.state(), first=0.95).level == LEAST


def test_given_one_fight_then_the_box_is_no_blinder_to_the_next() -> None:
    assert after(0.98) == LEAST
    assert after(0.91, 0.98) == pytest.approx(0.91 + ABOVE)


def test_given_episodes_then_all_but_the_highest_must_be_beaten() -> None:
    assert after(0.95, 0.92, 0.97, 0.93) == pytest.approx(0.95 + ABOVE)


def test_given_that_everything_looks_like_a_fight_then_the_level_stays_below_one() -> None:
    assert after(1.0, 1.0, 1.0) == HIGHEST


def test_given_a_fight_that_lasts_then_it_is_one_episode_and_moves_nothing_while_it_lasts() -> None:
    film = Film(camera()).show(0.99, 1800)
    assert film.camera.level == LEAST
    assert film.show(0.2, 10).camera.level == LEAST


def test_given_somebody_who_pauses_then_it_is_still_one_episode() -> None:
    film = Film(camera()).show(0.95, 2).show(0.5, 3).show(0.96, 2).show(0.2, 8)
    assert len(film.camera.state()["episodes"]) == 1


def test_given_a_single_moment_then_it_is_no_episode() -> None:
    film = Film(camera())
    for _ in range(5):
        film.show(0.97, STEP_S).show(0.3, 8)
    assert film.camera.state()["episodes"] == []


def test_given_a_lively_day_long_ago_then_it_is_forgotten() -> None:
    film = Film(camera()).episodes(0.97, 0.97)
    assert film.show(0.3, REMEMBERED_S - 60).camera.level == pytest.approx(0.97 + ABOVE)
    assert film.show(0.3, 120).camera.level == LEAST
    film.episodes(0.95)
    assert len(film.camera.state()["episodes"]) == 1


def test_given_hours_with_nobody_or_without_pictures_then_nothing_is_forgotten_for_them() -> None:
    film = Film(camera()).episodes(0.97, 0.97)
    judged_s = film.camera.state()["judged_s"]
    film.show(0.0, 3600)
    for hour in range(100):
        film.camera.learn(film.now_s + 3600 * (hour + 1), 0.4)
    assert film.camera.state()["judged_s"] == judged_s


def test_given_thousands_of_episodes_then_few_are_kept_and_the_level_is_that_of_all() -> None:
    peaks: Sequence[float] = np.random.default_rng(1).uniform(LEAST, 0.97, 2000).round(3).tolist()
    film = Film(camera()).episodes(*peaks)
    assert film.camera.level == pytest.approx(sorted(peaks)[-2] + ABOVE)
    assert len(film.camera.state()["episodes"]) < 40


def test_given_ordinary_life_that_repeats_itself_then_alarms_die_out() -> None:
    peaks = np.random.default_rng(2).uniform(LEAST, 0.97, 400).tolist()
    film, alarms = Film(camera()), []
    for number, peak in enumerate(peaks):
        if peak >= film.camera.level:
            alarms.append(number)
        film.episodes(peak)
    assert len(alarms) < 15
    assert sum(number >= 200 for number in alarms) <= 2


def test_given_a_restart_then_it_goes_on_with_what_it_learnt_unless_that_was_of_something_else() -> None:
    kept = Film(camera()).episodes(0.95, 0.96).camera.state()
    assert camera(kept).state() == kept
    assert camera(kept).level == pytest.approx(0.95 + ABOVE)
    assert camera(kept, kept_for="another source").level == LEAST


def told(settings: Settings, peaks: Sequence[float]) -> tuple[list[EventBody], Aggression]:
    """What the rule says of two seconds of each likeness, with calm seconds after each."""
    rule = Aggression(Setting("box", Camera(name="gate", source="film", aggression=settings)), {})
    bodies, number = [], 0
    for peak in peaks:
        for likeness in [peak] * 20 + [0.2] * 80:
            at = Instant(mono_s=number / 10, utc_s=1.8e9 + number / 10)
            bodies += rule.step(Moment(at, LIVE, CLEAR, None, {}, Likeness(likeness)))
            number += 1
    return [body for body in bodies if isinstance(body, EventBody) and body.phase == "start"], rule


def test_given_the_same_life_again_and_again_then_it_raises_two_alarms_and_what_stands_out_a_third() -> None:
    starts, rule = told(Settings(likeness=0.95), [0.96] * 10 + [0.98])
    assert [start.details["level"] for start in starts] == [0.95, 0.95, 0.97]
    assert len(rule.state()["accustomed"]["episodes"]) == 2


def test_given_a_level_that_must_not_learn_then_every_one_is_an_alarm() -> None:
    starts, rule = told(Settings(learns=False), [0.96] * 10)
    assert len(starts) == 10
    assert rule.state() == {}
