"""Where clips are taken: around persons close to each other, in a crop that holds still, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.config.rules import Aggression
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene import Scene
from agent.scene.values import Likeness
from agent.values import RoadUser, Tracks
from agent.viewing import likeness_of
from agent.vision.aggression import AggressionModel
from agent.vision.scuffle import Scuffle, ScuffleWatch
from tests.fakes.walkers import SIZE, Body, instant, tracks

MODEL = AggressionModel(Path(__file__).parents[2] / "models" / "aggression.onnx")


def person(track: int, x: float, *, y: float = 300.0, height: float = 100.0) -> Body:
    return Body(track, (x, y), 40.0, height, RoadUser.PERSON)


def watched(bodies: list[Body], jolts: float = 0.0, frames: int = 40) -> list[Scuffle]:
    watch = ScuffleWatch(MODEL)
    rng = np.random.default_rng(4)
    figures = rng.integers(0, 255, (len(bodies), 100, 40, 3), dtype=np.uint8)
    found: list[Scuffle] = []
    for step in range(frames):
        picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
        for body, figure in zip(bodies, figures, strict=True):
            x, y = (rng.normal(0, jolts, 2) + np.array([body.foot[0] - 20, 200])).astype(int)
            picture[y : y + 100, x : x + 40] = figure
        found = watch.look(picture, tracks(bodies), 50 + step / 10)
    return found


def test_given_two_persons_close_then_their_place_is_judged_and_they_are_named() -> None:
    found = watched([person(7, 300), person(9, 345)], jolts=8.0)
    assert len(found) == 1
    assert found[0].tracks == (7, 9)
    assert 0 < found[0].likeness <= 1


def test_given_wild_motion_then_it_looks_more_like_a_fight_than_standing() -> None:
    two = [person(7, 300), person(9, 345)]
    assert watched(two, jolts=10.0)[0].likeness > watched(two)[0].likeness


@pytest.mark.parametrize(
    "bodies",
    [
        [person(1, 300)],
        [person(1, 200), person(2, 400)],
        [person(1, 300, height=20), person(2, 310, height=20)],
        [person(1, 300), Body(2, (330.0, 300.0), 40, 100, RoadUser.CAR)],
        [person(1, 300), person(2, 330, y=100.0)],
        [Body(n, (300.0 + 40 * n, 300.0), 40, 100, RoadUser.PERSON, velocity=(80.0, 0.0)) for n in (1, 2)],
    ],
    ids=["alone", "apart", "too-small", "car", "behind", "walking-past"],
)
def test_given_nobody_close_to_anybody_then_nothing_is_judged(bodies: list[Body]) -> None:
    assert watched(bodies) == []


def test_given_a_group_that_left_then_its_place_is_forgotten() -> None:
    watch = ScuffleWatch(MODEL)
    picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    for step in range(20):
        watch.look(picture, tracks([person(1, 300), person(2, 340)]), step / 10)
    for step in range(20, 40):
        found = watch.look(picture, Tracks.empty(), step / 10)
    assert found == []


def scene(aggression: Aggression | None) -> Scene:
    return Scene(Camera(name="gate", source="rtsp://camera/1", aggression=aggression), device="box", model=None)


def phases(watching: Scene, values: list[float]) -> list[str]:
    told = []
    for number, value in enumerate(values):
        fight = Likeness(value, (7, 9), (0.5, 0.6))
        records = watching.update(Tracks.empty(), instant(number / 2), SIZE, None, fight)
        told += [r.body.phase for r in records if isinstance(r.body, EventBody) and r.body.kind == "aggression"]
    return told


def test_given_a_likeness_that_stays_high_then_one_event_starts_and_ends() -> None:
    assert phases(scene(Aggression(likeness=0.9)), [0.95] * 20 + [0.1] * 20) == ["start", "end"]


def test_given_a_likeness_that_is_high_for_a_moment_then_nothing_is_said() -> None:
    assert phases(scene(Aggression(likeness=0.9)), [0.95, 0.95, 0.5] * 20) == []


def test_given_aggression_is_not_watched_for_then_nothing_is_said() -> None:
    assert phases(scene(None), [0.99] * 40) == []


def test_given_several_places_then_the_likeliest_is_told_relative_to_the_picture() -> None:
    told = likeness_of([Scuffle(0.8, (0.0, 0.0, 100.0, 100.0), (1, 2))], (200, 400))
    assert told == Likeness(0.8, (1, 2), (0.125, 0.25))
    assert likeness_of([], (200, 400)) == Likeness()
