"""Where a view has gone: the true shift is found, whatever drives before it and along whatever lines it went."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.vision.displaced import aligned, displacement
from agent.vision.look import Map, edges

WIDTH, HEIGHT = 160, 90


def road(marks: int = 14) -> Map:
    """Long straight lines from side to side, and some dashes, arrows and cracks on them."""
    rng = np.random.default_rng(4)
    picture = np.full((HEIGHT, WIDTH), 90, np.uint8)
    for y in range(8, HEIGHT, 16):
        cv2.line(picture, (0, y), (WIDTH, y), 140, 1)
    for x, y in zip(rng.integers(0, WIDTH, marks), rng.integers(0, HEIGHT, marks), strict=True):
        cv2.line(picture, (int(x), int(y)), (int(x + rng.integers(4, 16)), int(y + rng.integers(-5, 6))), 190, 1)
    return picture.astype(np.float32)


def shown(picture: Map, right: int, down: int, seed: int = 1) -> Map:
    """As it looks after the camera moved: a mirror image fills what is new; with a sensor's noise."""
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(picture, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return (moved + np.random.default_rng(seed).normal(0, 1, moved.shape)).astype(np.float32)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (40, 0), (-64, 10), (25, 30), (-80, -8)])
def test_given_a_view_moved_along_or_across_straight_lines_then_the_true_shift_is_found(shift: tuple[int, int]) -> None:
    assert displacement(edges(road()), edges(shown(road(), *shift))) == shift


def test_given_dimmer_light_and_bright_vehicles_in_front_then_the_true_shift_is_found() -> None:
    now = shown(road(), 40, 4) * 0.6
    cv2.rectangle(now, (20, 30), (60, 50), 250.0, -1)
    cv2.rectangle(now, (90, 55), (130, 75), 5.0, -1)
    assert displacement(edges(road()), edges(now)) == (40, 4)


def test_given_a_sway_of_few_pixels_then_the_picture_is_laid_back_and_one_of_many_is_left() -> None:
    back = aligned(shown(road(40), 3, 1), road(40), 4.0)
    assert back is not None
    assert np.abs(back - road(40))[5:-5, 5:-5].mean() < 2.0
    assert aligned(shown(road(40), 20, 0), road(40), 4.0) is None
