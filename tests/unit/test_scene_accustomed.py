"""What a camera is accustomed to: the level of an alarm follows its ordinary life, and one fight moves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from agent.clock import Instant
from agent.config.rules import Aggression as Settings
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene.accustomed import ABOVE, BLOCK_S, ENOUGH, HIGHEST, MOST_BLOCKS, Accustomed
from agent.scene.aggression import Aggression
from agent.scene.rule import Moment, Setting
from agent.scene.values import CLEAR, LIVE, Likeness

START, LEAST, STEP_S = 0.95, 0.85, 0.5


def watched(*peaks: float, state: Mapping[str, Any] | None = None) -> Accustomed:
    """A camera that was watched for a block of judged time with each of these peaks."""
    camera, now_s = Accustomed(START, LEAST, state or {}), count(0.0, STEP_S)
    camera.learn(next(now_s), 0.0)
    for peak in peaks:
        for number in range(int(BLOCK_S / STEP_S)):
            camera.learn(next(now_s), peak if number == 3 else 0.2)
    return camera


def test_given_less_than_an_hour_then_the_level_is_the_one_it_starts_with() -> None:
    assert watched(*[0.5] * (ENOUGH - 1)).level == START


def test_given_a_calm_camera_then_the_level_falls_to_the_least() -> None:
    assert watched(*[0.5] * ENOUGH).level == LEAST


def test_given_a_camera_where_life_is_lively_then_the_level_lies_just_above_it() -> None:
    assert watched(*[0.6] * ENOUGH, 0.97, 0.96).level == pytest.approx(0.96 + ABOVE)


def test_given_one_fight_then_the_box_is_no_blinder_to_the_next() -> None:
    assert watched(*[0.5] * ENOUGH, 0.99).level == LEAST


def test_given_that_everything_looks_like_a_fight_then_the_level_stays_below_one() -> None:
    assert watched(*[1.0] * ENOUGH).level == HIGHEST


def test_given_a_lively_day_long_ago_then_it_is_forgotten() -> None:
    assert watched(0.97, 0.97, *[0.5] * MOST_BLOCKS).level == LEAST


def test_given_hours_with_nobody_close_or_without_pictures_then_nothing_is_learnt() -> None:
    camera = Accustomed(START, LEAST, {})
    for number in range(20_000):
        camera.learn(number * STEP_S, 0.0)
    for number in range(200):
        camera.learn(20_000 * STEP_S + (number + 1) * 60.0, 0.4)
    assert camera.state() == {}
    assert camera.level == START


def test_given_a_restart_then_it_goes_on_with_what_it_learnt() -> None:
    half = watched(*[0.9] * (ENOUGH - 1))
    half.learn(1e6, 0.7)
    half.learn(1e6 + STEP_S, 0.7)
    again = Accustomed(START, LEAST, half.state())
    assert again.state() == half.state()
    assert watched(0.9, state=half.state()).level == pytest.approx(0.91)


def fight_told(settings: Settings, state: Mapping[str, Any], likeness: float) -> list[EventBody]:
    """What the rule says of two seconds of a likeness."""
    rule = Aggression(Setting("box", Camera(name="gate", source="film", aggression=settings)), state)
    told = []
    for number in range(20):
        at = Instant(mono_s=number / 10, utc_s=1.8e9 + number / 10)
        told += rule.step(Moment(at, LIVE, CLEAR, None, {}, Likeness(likeness)))
    return [body for body in told if isinstance(body, EventBody)]


def test_given_a_calm_camera_when_it_looks_like_a_fight_then_the_alarm_says_the_level_it_beat() -> None:
    state = {"accustomed": watched(*[0.5] * ENOUGH).state()}
    [start] = fight_told(Settings(), state, 0.88)
    assert start.phase == "start"
    assert start.details["level"] == 0.85
    assert fight_told(Settings(), {}, 0.88) == []


def test_given_a_level_that_must_not_learn_then_it_stays() -> None:
    state = {"accustomed": watched(*[0.5] * ENOUGH).state()}
    assert fight_told(Settings(learns=False), state, 0.88) == []
    [start] = fight_told(Settings(learns=False, likeness=0.8), state, 0.88)
    assert start.details["level"] == 0.8


def test_given_moments_then_the_rule_keeps_what_it_learnt_with_its_open_event() -> None:
    rule = Aggression(Setting("box", Camera(name="gate", source="film", aggression=Settings())), {})
    for number in range(20):
        at = Instant(mono_s=number / 10, utc_s=1.8e9 + number / 10)
        rule.step(Moment(at, LIVE, CLEAR, None, {}, Likeness(0.97)))
    kept = rule.state()
    assert kept["since_s"] == 1.8e9
    assert kept["accustomed"] == {"peaks": [], "peak": 0.97, "judged_s": 1.9}
