"""What every scene rule must do, whatever it means: walk through the table and hold each to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.records import EventBody, dump
from agent.scene import Link, Scene
from agent.scene.roster import Roster
from agent.scene.rule import Moment, Rule, Setting
from agent.scene.rules import RULES, build_rules
from agent.scene.values import CLEAR, LIVE
from agent.values import RoadUser, Tracks
from tests.fakes.walkers import SIZE, Body, instant, tracks

CAMERA = Camera.model_validate(
    {
        "name": "cam",
        "source": "x",
        "frame_size": SIZE,
        "lines": [{"name": "main", "points": [(100, 240), (540, 240)], "interval_s": 10}],
        "zones": [
            {
                "name": "road",
                "polygon": [(100, 100), (540, 100), (540, 440), (100, 440)],
                "interval_s": 10,
                "rules": {
                    "congestion": {"vehicles": 2, "enter_s": 1, "leave_s": 1},
                    "queue": {"vehicles": 2, "enter_s": 1, "leave_s": 1},
                    "stopped_vehicle": {"after_s": 2, "leave_s": 1},
                    "wrong_way": {"along": [(300, 400), (300, 100)]},
                },
            }
        ],
    }
)
SETTING = Setting("box", CAMERA)


def street(frames: int = 400) -> Iterator[Tracks]:
    """Random walkers who stand, drive both ways, vanish and come back."""
    rng = np.random.default_rng(11)
    feet, speed = rng.random((12, 2)) * SIZE, np.zeros((12, 2))
    speed[:6] = rng.normal(0, 8, (6, 2))
    ids = np.arange(12)
    for frame in range(frames):
        feet = feet + speed
        out = ((feet < 0) | (feet > SIZE)).any(axis=1)
        ended = ids[out].tolist()
        ids = np.where(out, ids + 100, ids)
        feet = np.where(out[:, np.newaxis], rng.random((12, 2)) * SIZE, feet)
        seen = rng.random(12) > 0.1
        bodies = [
            Body(int(ids[n]), (float(feet[n, 0]), float(feet[n, 1])), kind=RoadUser(n % 7), observed=bool(seen[n]))
            for n in range(12)
        ]
        yield tracks(bodies if frame % 97 < 80 else [], ended)


def rule_of(name: str, state: dict[str, Any] | None = None) -> Rule:
    return build_rules(SETTING, {name: state} if state else {})[name]


def play(rule: Rule, from_s: float = 0.0) -> list[Any]:
    roster, bodies = Roster(), []
    for number, seen in enumerate(street()):
        at = instant(from_s + number / 10)
        bodies += rule.step(Moment(at=at, link=LIVE, view=CLEAR, sight=roster.see(seen, at, SIZE), closed={}))
        if number % 10 == 0:
            bodies += rule.step(Moment(at=at, link=LIVE, view=CLEAR, sight=None, closed={}))
    return bodies


@pytest.mark.parametrize("name", RULES)
def test_the_same_moments_give_the_same_bodies(name: str) -> None:
    assert [dump(body) for body in play(rule_of(name))] == [dump(body) for body in play(rule_of(name))]


@pytest.mark.parametrize("name", RULES)
def test_its_state_is_json_and_makes_the_same_state_again(name: str) -> None:
    rule = rule_of(name)
    play(rule)
    state = json.loads(json.dumps(rule.state()))
    assert json.loads(json.dumps(rule_of(name, state).state())) == state


@pytest.mark.parametrize("name", RULES)
def test_nothing_happens_to_it_without_frames(name: str) -> None:
    rule = rule_of(name)
    for second in range(100):
        assert rule.step(Moment(at=instant(second), link=LIVE, view=CLEAR, sight=None, closed={})) == []


@pytest.mark.parametrize("name", RULES)
def test_every_event_starts_once_ends_once_and_keeps_its_id_over_a_restart(name: str) -> None:
    rule = rule_of(name)
    bodies = play(rule)
    bodies += play(rule_of(name, rule.state()), from_s=100.0)
    phases: dict[str, list[str]] = {}
    for body in bodies:
        if isinstance(body, EventBody):
            phases.setdefault(body.event, []).append(body.phase)
            assert body.since <= instant(140).utc_s
    for seen in phases.values():
        assert seen[0] == "start"
        assert seen.count("start") == 1
        assert "end" not in seen[:-1]


def test_a_restart_at_any_moment_starts_no_event_twice() -> None:
    watcher = Scene(CAMERA, device="box", model=None)
    starts: list[str] = []
    for number, seen in enumerate(street()):
        records = watcher.update(seen, instant(number / 10), SIZE)
        if number % 10 == 9:
            records += watcher.tick(instant(number / 10 + 0.05), Link("live"))
        starts += [r.body.event for r in records if isinstance(r.body, EventBody) and r.body.phase == "start"]
        if number % 130 == 129:
            watcher = Scene(CAMERA, device="box", model=None, state=watcher.snapshot())
    assert starts
    assert len(starts) == len(set(starts))
