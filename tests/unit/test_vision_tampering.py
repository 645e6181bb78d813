"""Judging the view: what was done to a camera is told apart from what happens before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import pytest

from agent.values import Image
from agent.vision.look import take_look
from agent.vision.tampering import PART_ENTER_S, Cause, Judgement, TamperJudge

WIDTH, HEIGHT = 320, 180


def street(seed: int = 3) -> Image:
    """A view with corners, lines and surfaces; another seed is another place."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for _ in range(120):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        shade = tuple(int(v) for v in rng.integers(40, 200, 3))
        cv2.rectangle(picture, (x, y), (x + int(rng.integers(6, 40)), y + int(rng.integers(6, 30))), shade, -1)
    return picture


def noisy(picture: Image, number: int, sigma: float = 2.0) -> Image:
    noise = np.random.default_rng(number).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def lit(picture: Image, gain: float, offset: float = 0.0) -> Image:
    return np.clip(picture.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)


def road() -> Image:
    """A view of long straight lines from side to side, and fewer marks on them."""
    rng = np.random.default_rng(4)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for y in range(12, HEIGHT, 40):
        cv2.line(picture, (0, y), (WIDTH, y), (160, 160, 160), 2)
    for x, y in zip(rng.integers(0, WIDTH, 60), rng.integers(0, HEIGHT, 60), strict=True):
        cv2.line(picture, (int(x), int(y)), (int(x + rng.integers(8, 30)), int(y) + 6), (190, 190, 190), 2)
    return picture


def turned_along(view: Image, right: int) -> Image:
    """Turned aside; a mirror image fills what is new."""
    return cv2.copyMakeBorder(view, 0, 0, right, 0, cv2.BORDER_REFLECT)[:, : view.shape[1]].astype(np.uint8)


def queued(view: Image, top: float) -> Image:
    """Vehicles bumper to bumper, full of detail, over all but the upper edge of the view."""
    there = view.copy()
    there[int(top * HEIGHT) :] = street(21)[int(top * HEIGHT) :]
    return there


class Camera:
    """A judge that was shown an untouched view for 15 seconds."""

    def __init__(self, seconds: int = 15, view: Image | None = None) -> None:
        self.judge = TamperJudge()
        self.now_s = 100.0
        self.number = 0
        self.show([street() if view is None else view] * (seconds * 2))

    def show(self, pictures: Iterable[Image], boxes: list[list[float]] | None = None) -> list[Judgement]:
        said = []
        for picture in pictures:
            self.now_s += 0.5
            self.number += 1
            rows = None if boxes is None else np.array(boxes, np.float32)
            said.append(self.judge.judge(take_look(noisy(picture, self.number)), self.now_s, rows))
        return said


ATTACKS: dict[Cause, Callable[[Image], Image]] = {
    "covered": lambda _: np.full((HEIGHT, WIDTH, 3), 90, np.uint8),
    "defocused": lambda view: cv2.GaussianBlur(view, (0, 0), 4),
    "turned": lambda _: street(8),
    "blinded": lambda view: lit(view, 1, 200),
    "dark": lambda _: np.full((HEIGHT, WIDTH, 3), 3, np.uint8),
}


@pytest.mark.parametrize("cause", ATTACKS)
def test_given_an_attack_then_its_cause_is_said_within_ten_seconds_and_taken_back_after_it(cause: Cause) -> None:
    camera = Camera()
    said = [each.cause for each in camera.show([ATTACKS[cause](street())] * 20)]
    assert cause in said[:20]
    assert None in said[:4], "it is never said on first sight"
    assert [each.cause for each in camera.show([street()] * 10)][-1] is None


def test_given_a_blob_of_paint_over_most_of_the_view_then_it_is_said_once_no_lorry_would_stand_so_long() -> None:
    sprayed = street()
    sprayed[:, : int(WIDTH * 0.65)] = 60
    said = [each.cause for each in Camera().show([sprayed] * int(PART_ENTER_S * 2 + 10))]
    assert said.index("sprayed") >= PART_ENTER_S * 2 - 2


@pytest.mark.parametrize("share", [0.15, 0.3, 0.45])
def test_given_a_camera_turned_along_straight_lines_then_it_is_said_although_they_look_the_same(share: float) -> None:
    said = Camera(view=road()).show([turned_along(road(), int(share * WIDTH))] * 20)
    assert "turned" in [each.cause for each in said]
    assert said[-1].share < 0.8, "so many cells look as before that the whole view is not lost"


def test_given_a_defocused_lens_and_large_vehicles_before_it_then_it_is_still_said_to_be_defocused() -> None:
    view = cv2.resize(lit(street(), 0.5, 60), (3 * WIDTH, 3 * HEIGHT)).astype(np.uint8)
    passing = view.copy()
    passing[60:210, 60:300] = 250
    passing[300:480, 540:810] = 5
    said = Camera(view=view).show([cv2.GaussianBlur(passing, (0, 0), 12).astype(np.uint8)] * 16)
    assert said[-1].cause == "defocused"


def test_given_a_queue_that_nobody_detects_stands_before_most_of_the_view_then_nothing_is_said() -> None:
    camera = Camera()
    said = camera.show([queued(street(), 0.12)] * 120)
    assert {each.cause for each in said} == {None}
    assert "turned" in [each.cause for each in camera.show([street(21)] * 20)], "nothing of the view is left then"


@pytest.mark.parametrize("top", [0.3, 0.5, 0.7])
def test_given_a_queue_before_a_row_of_like_lines_then_they_are_not_taken_for_each_other(top: float) -> None:
    rows = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    rows[10::30] = rows[11::30] = 180
    rows[:, 15::40] = rows[:, 16::40] = 40
    assert {each.cause for each in Camera(view=rows).show([queued(rows, top)] * 40)} == {None}


def test_given_something_plain_stood_close_by_and_another_picture_came_for_a_moment_then_nothing_is_said() -> None:
    hidden = street()
    hidden[:, : int(WIDTH * 0.65)] = 60
    camera = Camera()
    said = camera.show([*[hidden] * int(PART_ENTER_S * 2 - 10), *[street(8)] * 4, *[street()] * 10])
    assert {each.cause for each in said} == {None}


def test_given_a_lorry_close_by_that_is_tracked_then_nothing_is_said() -> None:
    hidden = street()
    hidden[:, : int(WIDTH * 0.9)] = 200
    said = Camera().show([hidden] * 200, boxes=[[0.0, 0.0, 0.9, 1.0]])
    assert {each.cause for each in said} == {None}


def test_given_night_falls_slowly_then_it_is_dark_and_nobody_did_it() -> None:
    camera = Camera()
    said = camera.show([lit(street(), float(gain)) for gain in np.geomspace(1.0, 0.01, 400)])
    assert {each.cause for each in said} == {None}
    assert said[-1].night


def test_given_infrared_is_switched_on_then_the_view_is_learnt_anew() -> None:
    grey = cv2.cvtColor(street(), cv2.COLOR_BGR2GRAY)
    infrared = cv2.cvtColor(lit(255 - grey, 0.7, 20), cv2.COLOR_GRAY2BGR)
    camera = Camera()
    assert {each.cause for each in camera.show([infrared] * 60)} == {None}


def test_given_light_rain_shadow_or_a_shaking_pole_then_nothing_is_said() -> None:
    camera = Camera()
    rng = np.random.default_rng(5)
    shaking = [np.roll(street(), (int(rng.integers(-3, 4)), int(rng.integers(-3, 4))), (0, 1)) for _ in range(60)]
    shadow = street()
    shadow[:, 100:] = lit(shadow[:, 100:], 0.5)
    rain = [noisy(lit(street(), 0.7, 40), n, 8.0) for n in range(60)]
    said = camera.show([*[lit(street(), 1.4)] * 20, *shaking, *[shadow] * 60, *rain])
    assert {each.cause for each in said} == {None}


def test_given_headlights_for_a_moment_then_nothing_is_said() -> None:
    camera = Camera()
    said = camera.show([*[lit(street(), 1, 200)] * 5, *[street()] * 10] * 3)
    assert {each.cause for each in said} == {None}


def test_given_a_picture_of_another_size_then_the_view_is_learnt_anew() -> None:
    camera = Camera()
    other = cv2.resize(street(8), (240, 240))
    assert {each.cause for each in camera.show([other] * 40)} == {None}


def test_given_looks_were_taken_just_now_then_none_is_due() -> None:
    camera = Camera()
    assert not camera.judge.due(camera.now_s + 0.5)
    assert camera.judge.due(camera.now_s + 1.0)
