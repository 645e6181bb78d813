"""Where clips are taken: around persons close to each other, in a crop that holds still, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agent.config.rules import Aggression
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import EventBody, ModelRef
from agent.scene import Scene
from agent.scene.aggression import ELSEWHERE_S, MOVED
from agent.scene.episode import SOON_S
from agent.scene.values import Likeness
from agent.values import Detections, Frame, RoadUser, Tracks
from agent.viewing import likeness_of
from agent.vision.motion import Grey, motion, small
from agent.vision.scuffle import Scuffle, ScuffleWatch
from tests.fakes.walkers import SIZE, Body, instant, tracks


class ChangeJudge:
    """Finds a clip the more like a fight the more its picture changes; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, clip: Sequence[Grey]) -> float:
        self.asked += 1
        return float(min(1.0, motion([small(each) for each in clip])[-1].mean()))


def person(x: float, *, y: float = 300.0, height: float = 100.0) -> Body:
    return Body(int(x), (x, y), 40.0, height, RoadUser.PERSON)


def seen(bodies: Sequence[Body]) -> Detections:
    found = tracks(list(bodies))
    return Detections(found.boxes, found.scores, found.classes)


def watched(
    bodies: Sequence[Body],
    jolts: float = 0.0,
    pictures: int = 40,
    *,
    every: int = 1,
    judge: ChangeJudge | None = None,
    regions: Sequence[tuple[float, float, float, float]] = (),
) -> list[Scuffle]:
    """What is told after so many pictures of bodies that jolt; the detector sees them in every so many of them."""
    watch = ScuffleWatch(judge or ChangeJudge(), regions)
    rng = np.random.default_rng(4)
    figures = rng.integers(0, 255, (len(bodies), 100, 40, 3), dtype=np.uint8)
    found: list[Scuffle] = []
    for step in range(pictures):
        picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
        for body, figure in zip(bodies, figures, strict=True):
            x, y = (rng.normal(0, jolts, 2) + np.array([body.foot[0] - 20, 200])).astype(int)
            picture[y : y + 100, x : x + 40] = figure
        there = bodies if step % every == 0 else bodies[:1]
        found = watch.look(picture, seen(there), tracks(list(bodies)), 50 + step / 10)
    return found


def test_given_two_persons_close_then_their_place_is_judged_and_they_are_named() -> None:
    found = watched([person(300), person(345)], jolts=8.0)
    assert len(found) == 1
    assert found[0].tracks == (300, 345)
    assert 0 < found[0].likeness <= 1
    left, top, right, bottom = found[0].box
    assert left < 300
    assert right > 345
    assert top < 250 < bottom


def test_given_a_detector_that_rarely_sees_both_then_the_place_is_judged_all_the_same() -> None:
    assert len(watched([person(300), person(345)], jolts=8.0, every=6)) == 1


def test_given_a_clip_of_two_seconds_then_it_is_judged_before_it_ends() -> None:
    assert watched([person(300), person(345)], pictures=20)


def test_given_wild_motion_then_it_looks_more_like_a_fight_than_standing() -> None:
    two = [person(300), person(345)]
    assert watched(two, jolts=10.0)[0].likeness > watched(two)[0].likeness


@pytest.mark.parametrize(
    "bodies",
    [
        [person(300)],
        [person(200), person(400)],
        [person(300, height=20), person(310, height=20)],
        [person(300), Body(2, (330.0, 300.0), 40, 100, RoadUser.CAR)],
        [person(300), person(330, y=100.0)],
    ],
    ids=["alone", "apart", "too-small", "car", "behind"],
)
def test_given_nobody_close_to_anybody_then_nothing_is_judged(bodies: list[Body]) -> None:
    judge = ChangeJudge()
    assert watched(bodies, judge=judge) == []
    assert judge.asked == 0


def test_given_one_person_at_a_watched_region_then_that_place_is_judged() -> None:
    beside = (330 / SIZE[0], 200 / SIZE[1], 400 / SIZE[0], 300 / SIZE[1])
    away = (500 / SIZE[0], 200 / SIZE[1], 600 / SIZE[0], 300 / SIZE[1])
    (alone,) = watched([person(300)], jolts=8.0, regions=[beside])
    assert alone.at_thing
    (pair,) = watched([person(300), person(345)], jolts=8.0, regions=[beside])
    assert not pair.at_thing, "two persons are reason enough"
    assert watched([person(300)], jolts=8.0, regions=[away]) == []


def test_given_a_second_person_who_comes_to_one_at_a_watched_region_then_the_place_is_of_persons_from_then_on() -> None:
    watch = ScuffleWatch(ChangeJudge(), [(330 / SIZE[0], 200 / SIZE[1], 400 / SIZE[0], 300 / SIZE[1])])
    picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    one, two = [person(300)], [person(300), person(345)]
    told = []
    for step in range(70):
        there = two if 20 <= step < 40 else one
        told.append([each.at_thing for each in watch.look(picture, seen(there), tracks(there), 50 + step / 10)])
    assert told[19] == [True]
    assert told[39] == [False]
    assert told[69] == [False]


def test_given_a_group_that_left_then_its_place_is_forgotten() -> None:
    watch = ScuffleWatch(ChangeJudge())
    picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    two = [person(300), person(340)]
    found = [watch.look(picture, seen(two), tracks(two), step / 10) for step in range(20)]
    assert found[-1]
    gone = [watch.look(picture, Detections.empty(), Tracks.empty(), step / 10) for step in range(20, 40)]
    assert gone[-1] == []


def test_given_a_hole_in_time_then_the_clip_begins_again() -> None:
    watch, picture, two = (
        ScuffleWatch(ChangeJudge()),
        np.zeros((SIZE[1], SIZE[0], 3), np.uint8),
        [person(300), person(340)],
    )
    for step in range(20):
        watch.look(picture, seen(two), tracks(two), step / 10)
    assert watch.look(picture, seen(two), tracks(two), 30.0) == []


def test_given_eight_pictures_a_second_then_clips_are_judged_too() -> None:
    watch, picture, two = (
        ScuffleWatch(ChangeJudge()),
        np.zeros((SIZE[1], SIZE[0], 3), np.uint8),
        [person(300), person(340)],
    )
    found = [watch.look(picture, seen(two), tracks(two), step / 8) for step in range(20)]
    assert found[-1]


def test_given_two_who_walk_on_then_the_place_is_where_they_are_and_not_where_their_clip_was_cut() -> None:
    watch, picture = ScuffleWatch(ChangeJudge()), np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for step in range(30):
        two = [person(100.0 + 10 * step), person(145.0 + 10 * step)]
        found = watch.look(picture, seen(two), tracks(two), step / 10)
        named = [body.foot[0] for body in two if found and body.track in found[0].tracks]
        if named:
            assert (found[0].box[0] + found[0].box[2]) / 2 == pytest.approx(np.mean(named))
    assert named


def test_given_a_wide_picture_then_the_place_is_told_in_its_own_pixels() -> None:
    watch, picture = ScuffleWatch(ChangeJudge()), np.zeros((1080, 1920, 3), np.uint8)
    two = [Body(n, (900.0 + 120 * n, 900.0), 120, 300, RoadUser.PERSON) for n in (1, 2)]
    found = [watch.look(picture, seen(two), tracks(two), step / 10) for step in range(20)][-1]
    assert found[0].box[0] < 1020
    assert found[0].box[2] > 1140


def test_given_a_model_that_is_refused_then_it_is_said_and_counting_goes_on(tmp_path: Path) -> None:
    wish = Aggression(model=tmp_path / "absent.onnx")
    camera = Camera(name="gate", source="rtsp://camera/1", aggression=wish)
    pipeline = CameraPipeline(camera, device="box", model=ModelRef(name="m", version="1", sha256="0" * 64))
    two = [person(300), person(340)]
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for step in range(10):
        told = pipeline.see(Frame("gate", step, picture, instant(step / 10)), seen(two))
    assert len(told.tracks.ids) == len(two)
    (trouble,) = pipeline.troubles()
    assert "can't be read" in trouble


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
    assert phases(scene(Aggression(likeness=0.9, enter_s=1)), [0.95, 0.95, 0.5] * 20) == []


@pytest.mark.parametrize(
    ("at_thing", "why"),
    [
        (False, "violent movement of persons close to each other"),
        (True, "violent movement of a person at a protected thing"),
    ],
)
def test_given_one_person_at_a_protected_thing_then_the_event_does_not_speak_of_several(
    *, at_thing: bool, why: str
) -> None:
    watching, fight = scene(Aggression()), likeness_of([Scuffle(0.95, (0, 0, 9, 9), (7,), at_thing)], (20, 20))
    told = [r for step in range(10) for r in watching.update(Tracks.empty(), instant(step / 2), SIZE, None, fight)]
    (event,) = (record.body for record in told if isinstance(record.body, EventBody))
    assert event.details["why"] == why


def places(walk: Callable[[float], Likeness]) -> list[tuple[str, float, object, object]]:
    """Phase, second, place and tracks of what is told of a fight that goes on for 25 seconds."""
    watching, told = scene(Aggression(likeness=0.9, first_likeness=0.9)), []
    for step in range(250):
        records = watching.update(Tracks.empty(), instant(step / 10), SIZE, None, walk(step / 10))
        bodies = [r.body for r in records if isinstance(r.body, EventBody) and r.body.kind == "aggression"]
        told += [(each.phase, step / 10, each.details["place"], each.details["tracks"]) for each in bodies]
    return told


def test_given_a_fight_that_moves_on_then_its_place_is_never_far_from_what_was_told() -> None:
    def walk(second: float) -> Likeness:
        return Likeness(0.95, (7, 9), (0.1 + 0.03 * second, 0.5))

    told = places(walk)
    assert [phase for phase, *_ in told] == ["start"] + ["update"] * (len(told) - 1)
    for (_, one_s, place, _), (_, next_s, _, _) in pairwise(told):
        assert next_s - one_s >= SOON_S, "no faster than that"
        assert isinstance(place, dict)
        late_s = SOON_S + ELSEWHERE_S
        assert abs(place["x"] - walk(next_s).place[0]) < MOVED + 0.03 * late_s, "nobody is sent to an empty place"


def test_given_a_fight_that_others_join_then_they_are_told_soon_and_who_only_leaves_later() -> None:
    told = places(lambda second: Likeness(0.95, (7, 9) if not 3 <= second < 6 else (7, 9, 11), (0.5, 0.5)))
    assert [(phase, second, tracks) for phase, second, _, tracks in told] == [
        ("start", 0.4, [7, 9]),
        ("update", 3.0 + ELSEWHERE_S, [7, 9, 11]),
        ("update", 13.0 + ELSEWHERE_S, [7, 9]),
    ]


@pytest.mark.parametrize(
    "walk",
    [
        lambda second: Likeness(0.95, (7, 9), (0.2 + 0.6 * (int(second) % 2), 0.5)),
        lambda second: Likeness(0.95, (7, int(10 + 2 * second)), (0.5, 0.5)),
    ],
    ids=["two groups by turns", "a track that changes its number"],
)
def test_given_a_fight_that_only_seems_to_change_then_it_is_told_no_oftener(walk: Callable[[float], Likeness]) -> None:
    told_s = [second for _, second, *_ in places(walk)]
    assert len(told_s) == 3
    assert min(later - earlier for earlier, later in pairwise(told_s)) >= 10 - 1e-6


def test_given_aggression_is_not_watched_for_then_nothing_is_said() -> None:
    assert phases(scene(None), [0.99] * 40) == []


def test_given_several_places_then_the_likeliest_is_told_relative_to_the_picture() -> None:
    told = likeness_of([Scuffle(0.8, (0.0, 0.0, 100.0, 100.0), (1, 2))], (200, 400))
    assert told == Likeness(0.8, (1, 2), (0.125, 0.25))
    assert likeness_of([], (200, 400)) == Likeness()
