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


class Camera:
    """A judge that was shown an untouched street for 15 seconds."""

    def __init__(self, seconds: int = 15) -> None:
        self.judge = TamperJudge()
        self.now_s = 100.0
        self.number = 0
        self.show([street()] * (seconds * 2))

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
