"""Protected regions seen by the pixel: things are told from light, from passers-by and from weather."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from agent.clock import Instant
from agent.values import Floats, Image
from agent.vision.assets import MOST_LOOKS, RELEARN_S, AssetJudge, Region, RegionLook
from agent.vision.difference import differ
from agent.vision.kept_assets import FRESH_S, read_region, write_region
from agent.vision.kept_view import Origin
from agent.vision.patch import Patch

WIDTH, HEIGHT = 200, 150
LEFT, TOP, RIGHT, BOTTOM = 70, 45, 130, 105
OUTLINE = np.array([(LEFT, TOP), (RIGHT, TOP), (RIGHT, BOTTOM), (LEFT, BOTTOM)], np.float64) / (WIDTH, HEIGHT)
NOBODY = np.zeros((0, 4), np.float32)
HERE = Origin("camera", "start-1")


def street(seed: int = 1) -> Image:
    """A pavement of slabs: some structure everywhere, one colour."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), (118, 124, 130), np.float32)
    picture *= rng.uniform(0.85, 1.1, (HEIGHT // 10, WIDTH // 10)).repeat(10, 0).repeat(10, 1)[..., np.newaxis]
    return picture.clip(0, 255).astype(np.uint8)


def snow(seed: int) -> Image:
    """Another surface everywhere."""
    grain = np.random.default_rng(seed).integers(150, 250, (HEIGHT // 5, WIDTH // 5, 1)).repeat(5, 0).repeat(5, 1)
    return (grain * np.array([1.0, 0.97, 0.93])).astype(np.uint8)


def cabinet(picture: Image) -> Image:
    shown = picture.copy()
    cv2.rectangle(shown, (LEFT + 2, TOP + 2), (RIGHT - 3, BOTTOM - 3), (90, 150, 90), -1)
    for y in range(TOP + 8, BOTTOM - 8, 9):
        cv2.line(shown, (LEFT + 8, y), (RIGHT - 9, y), (40, 80, 40), 2)
    return shown


def bag(picture: Image) -> Image:
    shown = picture.copy()
    cv2.ellipse(shown, (100, 80), (14, 11), 0, 0, 360, (40, 40, 190), -1)
    cv2.line(shown, (90, 76), (110, 84), (20, 20, 90), 2)
    return shown


def shadow(picture: Image) -> Image:
    shade = np.ones((HEIGHT, WIDTH, 1), np.float32)
    corners = np.array([(60, 60), (140, 30), (150, 120), (90, 100)])
    cv2.fillPoly(shade, [corners], 0.55)
    return (picture * shade).astype(np.uint8)


def road() -> Image:
    """A plain grey road: next to no structure, no colour."""
    grain = np.random.default_rng(3).normal(0, 1.5, (HEIGHT, WIDTH, 1))
    return (np.array([104.0, 106.0, 108.0]) + grain).clip(0, 255).astype(np.uint8)


def oval(soft_px: float = 0.6) -> Floats:
    """How much of each pixel an oval in the middle of the region covers, its outline so soft."""
    cover = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.ellipse(cover, (100, 76), (17, 13), 0, 0, 360, 1.0, -1)
    return cv2.GaussianBlur(cover, (0, 0), soft_px)[..., np.newaxis]  # type: ignore[return-value]


def oval_shade(picture: Image, soft_px: float = 0.6, sky: float = 0.0) -> Image:
    """The shadow of a lamp's head: 60 % of the light, and so much bluer."""
    left = np.array([1 + sky, 1, 1 - sky]) * 0.6
    return (picture * (1 - oval(soft_px) * (1 - left))).astype(np.uint8)


def dark_bag(picture: Image) -> Image:
    """As dark as that shadow, as grey, and with a lighter and a darker side, as every solid thing has."""
    tone = np.full((HEIGHT, WIDTH, 1), 0.8, np.float32)
    tone[:, 100:] = 0.45
    return (picture * (1 - oval() * (1 - tone))).astype(np.uint8)


def bright_bag(picture: Image) -> Image:
    """Of one grey all over, a quarter brighter than the road."""
    return (picture * (1 + oval() * 0.25)).clip(0, 255).astype(np.uint8)


class Watch:
    """A region looked at once a second, with a sensor's noise."""

    def __init__(self, settle_s: float = 8.0, accept_s: float = 43_200.0) -> None:
        self.judge = AssetJudge([Region("thing", OUTLINE, settle_s, accept_s=accept_s)])
        self.rng = np.random.default_rng(7)
        self.now_s = 0.0

    def see(self, picture: Image, seconds: int = 1, boxes: Floats = NOBODY, **who: Any) -> RegionLook:
        told = []
        for _ in range(seconds):
            noisy = (picture + self.rng.normal(0, 1.5, (*picture.shape[:2], 1))).clip(0, 255).astype(np.uint8)
            told = self.judge.look(noisy, self.now_s, boxes, **who)
            self.now_s += 1.0
        return told[0]


def learnt(picture: Image, **wish: float) -> Watch:
    watch = Watch(**wish)
    assert not watch.see(picture, 12).known
    assert watch.see(picture, 14).known
    return watch


def test_given_nothing_happens_then_nothing_differs() -> None:
    told = learnt(cabinet(street())).see(cabinet(street()), 30)
    assert (told.settled, told.gone, told.seen) == (0.0, 0.0, 1.0)


def test_given_a_thing_that_is_taken_away_then_its_structure_is_gone_once_that_has_stood() -> None:
    watch = learnt(cabinet(street()))
    assert watch.see(street(), 5).gone == 0
    told = watch.see(street(), 8)
    assert told.gone > 0.8
    assert told.settled > 0.5
    assert told.place == pytest.approx((0.5, 0.5), abs=0.05)


def test_given_a_bag_on_the_pavement_then_a_part_is_new_and_of_another_colour() -> None:
    told = learnt(street()).see(bag(street()), 14)
    assert 0.05 < told.settled < 0.5
    assert told.coloured > 0.6
    assert told.stood_s == pytest.approx(14, abs=3)


@pytest.mark.parametrize(
    "light",
    [
        shadow,
        lambda picture: (picture * 0.6).astype(np.uint8),
        lambda picture: (picture * 1.4).clip(0, 255).astype(np.uint8),
        lambda picture: (shadow(picture) * np.array([1.06, 1, 0.93])).astype(np.uint8),
    ],
    ids=["a shadow", "a cloud", "sun", "a bluish shadow"],
)
def test_given_other_light_for_a_minute_then_nothing_has_changed(light: Callable[[Image], Image]) -> None:
    watch = learnt(cabinet(street()))
    told = watch.see(light(cabinet(street())), 60)
    assert told.settled < 0.02
    assert told.gone < 0.1
    assert watch.see(cabinet(street()), 20).settled < 0.02


@pytest.mark.parametrize("bag_of_grey", [dark_bag, bright_bag])
@pytest.mark.parametrize("gain", [1.0, 0.7, 1.3], ids=["the same light", "a cloud", "sun"])
def test_given_a_grey_thing_on_a_grey_road_then_it_is_found(bag_of_grey: Callable[[Image], Image], gain: float) -> None:
    told = learnt(road()).see((bag_of_grey(road()) * gain).clip(0, 255).astype(np.uint8), 14)
    assert 0.1 < told.settled < 0.5
    assert told.place == pytest.approx((0.5, 0.5), abs=0.05)


def tiles() -> Image:
    """Paving with dark joints, the tiles nearly of one grey: structure that a shadow leaves to be seen."""
    each = np.random.default_rng(5).uniform(0.95, 1.05, (HEIGHT // 10, WIDTH // 10, 1)).repeat(10, 0).repeat(10, 1)
    each[::10] *= 0.75
    each[:, ::10] *= 0.75
    return (road() * each).clip(0, 255).astype(np.uint8)


def flat_bag(picture: Image) -> Image:
    """A black bag: evenly dark, as dark as that shadow is on the whole, without shading, tint or inner structure."""
    cover = oval()
    return (picture * (1 - cover) + 0.6 * picture.mean() * cover).astype(np.uint8)


def test_given_an_evenly_dark_thing_on_paving_then_it_is_found_by_the_ground_it_hides() -> None:
    told = learnt(tiles()).see(flat_bag(tiles()), 14)
    assert 0.1 < told.settled < 0.5
    assert told.place == pytest.approx((0.5, 0.5), abs=0.05)


@pytest.mark.parametrize(("level", "share"), [(130, 1.0), (40, 0.9)], ids=["by day", "at dusk, when joints fade"])
def test_given_an_evenly_dark_thing_then_joints_that_light_would_hardly_show_are_no_proof_of_all_of_it(
    level: int, share: float
) -> None:
    ground = np.full((80, 100, 3), level, np.float32)
    ground[::6] *= 0.75
    ground[:, ::6] *= 0.75
    there = cv2.ellipse(np.zeros((80, 100), np.uint8), (50, 40), (18, 14), 0, 0, 360, 1, -1) > 0
    now = np.where(there[..., np.newaxis], 0.45 * level, ground)
    before, after = (Patch.of(each.astype(np.uint8)) for each in (ground, now))
    found = differ(after, before.grey, before.colour, np.zeros((80, 100), np.float32), ~there)
    assert found.changed[there].mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("soft_px", [0.6, 2.0, 5.0], ids=["sharp", "a penumbra", "mostly penumbra"])
def test_given_a_standing_shadow_as_dark_on_paving_then_nothing_has_changed(soft_px: float) -> None:
    watch = learnt(tiles())
    looks = [watch.see(oval_shade(tiles(), soft_px)) for _ in range(12)]
    assert max(look.changed for look in looks) == 0


@pytest.mark.parametrize("soft_px", [0.6, 2.0, 5.0], ids=["sharp", "a penumbra", "mostly penumbra"])
@pytest.mark.parametrize("sky", [0.0, 0.08], ids=["grey", "bluish"])
def test_given_a_standing_shadow_as_dark_as_a_thing_and_within_the_region_then_nothing_has_changed(
    soft_px: float, sky: float
) -> None:
    watch = learnt(road())
    looks = [watch.see(oval_shade(road(), soft_px, sky)) for _ in range(12)]
    assert max(look.changed for look in looks) == 0


def test_given_a_grey_thing_half_in_the_shadow_of_a_house_then_it_is_found() -> None:
    shade = np.ones((HEIGHT, WIDTH, 1), np.float32)
    shade[:, :100] = 0.6
    told = learnt(road()).see((bright_bag(road()) * shade).astype(np.uint8), 14)
    assert 0.04 < told.settled < 0.5


def test_given_an_evenly_dark_thing_with_less_blue_than_a_shadow_has_then_its_tint_as_a_whole_tells() -> None:
    tone = 0.6 * np.array([0.89, 1, 1])  # each pixel of it may be a shadow's: COLOURED
    told = learnt(road()).see((road() * (1 - oval() * (1 - tone))).astype(np.uint8), 14)
    assert told.settled > 0.1


def test_given_a_blue_thing_hardly_darker_than_the_road_then_the_sky_does_not_explain_it() -> None:
    blue = np.array([1.24, 0.92, 0.68])
    told = learnt(road()).see((road() * (1 + oval() * (blue - 1))).clip(0, 255).astype(np.uint8), 14)
    assert told.coloured > 0.5
    assert told.settled > 0.1


@pytest.mark.parametrize("was_there", [dark_bag, bright_bag])
def test_given_a_grey_thing_that_goes_then_it_is_not_said_to_have_come(was_there: Callable[[Image], Image]) -> None:
    told = learnt(was_there(road())).see(road(), 14)
    assert told.new < 0.5
    assert told.coloured < 0.5


def test_given_somebody_in_front_then_what_is_behind_is_not_judged_and_not_forgotten() -> None:
    watch, person = learnt(street()), np.array([[60, 30, 140, 120]], np.float32)
    watch.see(bag(street()), 5)
    assert watch.see(cabinet(street()), 60, person).seen < 0.1
    assert watch.see(bag(street()), 2).settled == 0
    assert watch.see(bag(street()), 5).settled > 0.05


def test_given_somebody_unseen_by_the_detector_who_stays_and_moves_then_nothing_settles() -> None:
    watch, told = learnt(street()), []
    for second in range(40):
        shown = street()
        x = 80 + 9 * (second * 7 % 5)
        cv2.rectangle(shown, (x, 50), (x + 12, 90), (30, 30, 60), -1)
        told.append(watch.see(shown).settled)
    assert max(told) < 0.04


def test_given_what_was_added_is_taken_away_then_it_looks_as_it_did() -> None:
    watch = learnt(street())
    assert watch.see(bag(street()), 14).settled > 0.05
    assert watch.see(street(), 14).settled == 0


def test_given_a_change_that_stands_for_very_long_then_it_becomes_the_memory() -> None:
    watch = learnt(street(), accept_s=15)
    told = [watch.see(bag(street())) for _ in range(70)]
    assert sum(look.accepted for look in told) == 1
    assert told[-1].known
    assert told[-1].settled == 0


def test_given_an_operator_who_accepts_then_the_next_look_is_the_memory() -> None:
    watch = learnt(street())
    watch.see(bag(street()), 14)
    assert not watch.judge.accept("another")
    assert watch.judge.accept("thing")
    assert watch.see(bag(street())).accepted
    assert watch.see(bag(street()), 30).settled == 0


def test_given_snow_over_everything_then_it_is_weather_and_a_second_ordinary_look() -> None:
    watch = learnt(street())
    assert not watch.see(snow(2), 20).known
    told = watch.see(snow(2), int(RELEARN_S) + 20)
    assert told.known
    assert told.settled == 0
    back = watch.see(street(), 3)
    assert back.known, "the first look is remembered beside the second"
    for seed in range(3, 3 + MOST_LOOKS):
        watch.see(snow(seed), int(RELEARN_S) + 20)
    assert len(watch.judge.watched[0].memories["day"]) <= MOST_LOOKS


def test_given_night_then_the_region_is_first_judged_by_how_it_looked_by_day() -> None:
    watch = learnt(cabinet(street()))
    dark = (cabinet(street()) * 0.25).astype(np.uint8)
    told = watch.see(dark, 30)
    assert (told.light, told.known) == ("night", True)
    assert told.settled < 0.04
    assert watch.see((street() * 0.25).astype(np.uint8), 14).gone > 0.5


def test_given_infrared_then_the_light_is_called_so() -> None:
    watch = learnt(street())
    grey = np.repeat(street()[..., 1:2], 3, axis=2)
    assert watch.see(grey, 5).light == "day", "a lorry that fills the picture is no nightfall"
    assert watch.see(grey, 20).light == "infrared"


def test_given_pictures_of_another_size_then_all_is_learnt_anew() -> None:
    watch = learnt(street())
    large = cv2.resize(street(), (2 * WIDTH, 2 * HEIGHT))
    assert not watch.see(large, 3).known  # type: ignore[arg-type]


def kept(watch: Watch, at: Instant) -> str:
    return write_region(watch.judge.watched[0], at, HERE)


def at(mono_s: float, *, synced: bool = True) -> Instant:
    return Instant(mono_s, 1e9 + mono_s, synced=synced)


def test_given_a_restart_then_what_was_taken_meanwhile_is_noticed() -> None:
    text = kept(learnt(cabinet(street())), at(100))
    after = Watch()
    after.judge.fit((WIDTH, HEIGHT))
    assert read_region(text, after.judge.watched[0], at(90_000), HERE)
    assert after.see(cabinet(street()), 14).settled == 0
    assert after.see(street(), 14).gone > 0.8


def test_given_nothing_was_learnt_then_nothing_is_kept() -> None:
    watch = Watch()
    watch.see(street(), 3)
    assert kept(watch, at(0)) == ""


@pytest.mark.parametrize(
    ("now", "origin"),
    [
        (at(100 + FRESH_S + 1), HERE),
        (at(99), HERE),
        (at(200), Origin("another", "start-1")),
        (at(100 + FRESH_S + 1), Origin("camera", "start-2")),
    ],
    ids=["old", "of the future", "of another camera", "old by the clock on the wall"],
)
def test_given_memories_that_are_not_of_here_and_now_then_they_are_not_believed(now: Instant, origin: Origin) -> None:
    text, fresh = kept(learnt(street()), at(100)), Watch()
    fresh.judge.fit((WIDTH, HEIGHT))
    assert not read_region(text, fresh.judge.watched[0], now, origin)
    assert not fresh.judge.watched[0].memories


def test_given_no_clock_tells_the_age_then_memories_are_believed() -> None:
    text, fresh = kept(learnt(street()), at(100)), Watch()
    fresh.judge.fit((WIDTH, HEIGHT))
    assert read_region(text, fresh.judge.watched[0], at(5, synced=False), Origin("camera", "start-2"))


def test_given_damaged_memories_then_they_are_not_believed_and_nothing_breaks() -> None:
    text, fresh = kept(learnt(street()), at(100)), Watch()
    fresh.judge.fit((WIDTH, HEIGHT))
    plain = json.loads(text)
    broken = [None, "", "x" * 300_000, "{", "[]", json.dumps(plain | {"lights": {"day": {"grey": "!"}}})]
    other = plain["lights"]["day"]
    broken += [json.dumps(plain | {"lights": {"day": other | {"grey": other["usual"]}}})]
    broken += [json.dumps(plain | {"lights": {"day": other | {"colour": "AAAA"}}})]
    assert not any(read_region(each, fresh.judge.watched[0], at(200), HERE) for each in broken)
    assert not fresh.judge.watched[0].memories


@pytest.mark.parametrize(("least_share", "every_s"), [(0.6, 3.0), (0.04, 1.0)])
def test_a_region_is_looked_at_less_often_while_it_differs_by_far_less_than_would_be_said(
    least_share: float, every_s: float
) -> None:
    watch = Watch()
    watch.judge = AssetJudge([Region("thing", OUTLINE, 8.0, least_share)])
    watch.see(street(), 30)
    watch.judge.look(street(), watch.now_s, NOBODY)
    assert not watch.judge.due(watch.now_s + 2.0), "nothing differs"
    look = watch.see(bag(street()))
    assert 0.04 < look.changed < 0.3
    assert [watch.judge.due(watch.now_s - 1 + after_s) for after_s in (1.0, 3.0)] == [every_s == 1.0, True]
