"""Pedestrians pasted into training pictures: who is cut out, where they may stand, and that their boxes fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.train.augment import compose
from models.train.dataset import Sample
from models.train.paste import HEIGHTS, MARGIN, cutouts, paste

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 400, 300
STANDING = (0.4, 0.2, 0.5, 0.8)
WHITE = np.full((120, 50, 3), 255, np.uint8)
NOTHING = np.zeros((0, 5), np.float32)


def still(*boxes: tuple[float, ...], source: str = "people", classes: int = 0) -> Sample:
    rows = np.array([(classes, *box) for box in boxes], np.float32).reshape(-1, 5)
    return Sample("train-people-a", source, np.full((HEIGHT, WIDTH, 3), 90, np.uint8), rows)


def black() -> NDArray[np.uint8]:
    return np.zeros((288, 512, 3), np.uint8)


def test_given_somebody_upright_then_they_are_cut_out_with_a_margin() -> None:
    [person] = cutouts([still(STANDING)])
    wide, high = 0.1 * WIDTH, 0.6 * HEIGHT
    assert person.shape == pytest.approx((high * (1 + 2 * MARGIN), wide * (1 + 2 * MARGIN), 3), abs=2)


@pytest.mark.parametrize(
    "sample",
    [
        still((0.4, 0.2, 0.45, 0.3)),
        still((0.1, 0.4, 0.9, 0.8)),
        still((0.4, 0.5, 0.5, 1.0)),
        still((0.4, 0.0, 0.5, 0.6)),
        still(STANDING, (0.42, 0.1, 0.52, 0.9)),
        still(STANDING, source="cctv"),
        still(STANDING, classes=3),
    ],
    ids=[
        "small",
        "lying",
        "cut by the lower edge",
        "cut by the upper edge",
        "behind somebody",
        "of another source",
        "a car",
    ],
)
def test_given_nobody_who_is_upright_and_whole_then_nobody_is_cut_out(sample: Sample) -> None:
    assert cutouts([sample]) == []


def test_given_pedestrians_when_pasted_then_each_box_lies_tightly_around_what_was_painted() -> None:
    for seed in range(30):
        picture = black()
        boxes = paste(picture, NOTHING, [WHITE], np.random.default_rng(seed))
        painted = picture.max(axis=2) > 40
        for _, left, top, right, bottom in boxes:
            assert HEIGHTS[0] / (1 + 2 * MARGIN) - 2 <= bottom - top <= HEIGHTS[1]
            inner = painted[int(top) + 1 : int(bottom), int(left) + 1 : int(right)]
            assert inner.mean() > 0.7
        outside = painted.copy()
        for _, left, top, right, bottom in boxes:
            reach = 2 + MARGIN * (bottom - top)
            outside[max(0, int(top - reach)) : int(bottom + reach), max(0, int(left - reach)) : int(right + reach)] = (
                False
            )
        assert not outside.any()


def test_given_objects_then_no_pedestrian_hides_them() -> None:
    car = np.array([[3, 0, 0, 512, 288]], np.float32)
    picture = black()
    for seed in range(10):
        np.testing.assert_array_equal(paste(picture, car, [WHITE], np.random.default_rng(seed)), car)
    assert not picture.any()


def test_given_a_seed_then_the_picture_is_the_same_every_time() -> None:
    one, other = black(), black()
    for picture in (one, other):
        paste(picture, NOTHING, [WHITE], np.random.default_rng(5))
    np.testing.assert_array_equal(one, other)
    assert one.any()


def test_given_pedestrians_when_a_picture_is_composed_then_it_shows_them() -> None:
    street = still(source="cctv")
    made = [
        compose(street, lambda: street, (512, 288), np.random.default_rng(seed), mosaic=0.0, pedestrians=people)[1]
        for seed in range(8)
        for people in ([WHITE], [])
    ]
    assert sum(len(boxes) for boxes in made[0::2]) > 8
    assert sum(len(boxes) for boxes in made[1::2]) == 0
