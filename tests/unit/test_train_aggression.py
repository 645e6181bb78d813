"""The recipe of the clip model, as far as it runs without torch: what the detector's layers see, and the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.vision.stills import SIDE_PX, STILLS, stills

pytest.importorskip("onnx")

from models.train.aggression.look import Looker
from models.train.aggression.plane import fit_plane
from models.train.aggression.worse import beside, worse

DETECTOR = Path(__file__).parents[2] / "models" / "street.onnx"
NUMBERS = 2 * (48 + 96 + 144 + 64 + 96)
"""Of one picture: mean and most of what five layers answer."""


def test_given_six_pictures_then_the_layers_answers_are_summed_up_over_the_clip() -> None:
    picture = np.random.default_rng(5).random((1, SIDE_PX, SIDE_PX), np.float32)
    other = np.random.default_rng(6).random((1, SIDE_PX, SIDE_PX), np.float32)
    looker = Looker(DETECTOR)
    still = looker.see(picture.repeat(STILLS, axis=0))
    turned = looker.see(np.concatenate([picture, *[other] * (STILLS - 1)]))
    mean, spread, change = np.split(still, 3)
    assert len(mean) == NUMBERS
    assert np.abs(spread).max() == pytest.approx(0, abs=1e-3)
    assert np.abs(change).max() == pytest.approx(0, abs=1e-3)
    assert np.abs(mean).max() > 1
    once, never = np.split(looker.see(np.concatenate([other] * STILLS)), 3)[0], mean
    assert np.split(turned, 3)[0] == pytest.approx((never + 5 * once) / 6, abs=1e-3)
    assert np.split(turned, 3)[2] == pytest.approx(np.abs(never - once) / 5, abs=1e-3)


def test_given_rows_that_differ_along_one_way_then_the_plane_tells_them_apart_and_others_of_their_kind() -> None:
    rng = np.random.default_rng(1)
    fight = rng.random(400) < 0.5
    seen = rng.normal(0, 1, (400, 60)) * np.linspace(1, 30, 60) + 7
    seen[:, 3] += 8 * fight
    slopes, offset = fit_plane(seen[:300], fight[:300])
    right = (seen[300:] @ slopes + offset > 0) == fight[300:]
    assert right.mean() > 0.8
    assert int(np.abs(slopes * seen.std(axis=0)).argmax()) == 3


def test_given_rows_without_a_difference_then_the_plane_is_hardly_sure_of_any() -> None:
    rng = np.random.default_rng(2)
    slopes, offset = fit_plane(rng.normal(0, 1, (2000, 60)), rng.random(2000) < 0.5)
    assert np.abs(rng.normal(0, 1, (500, 60)) @ slopes + offset).mean() < 0.5


def test_given_a_clip_then_a_worse_camera_gives_the_same_scene_spoilt_alike() -> None:
    scene = np.add.outer(np.arange(90), np.arange(120)).astype(np.uint8)
    for seed in range(20):
        spoilt = worse([scene] * 3, np.random.default_rng(seed))
        assert {each.shape for each in spoilt} == {(SIDE_PX, SIDE_PX)}
        like = np.corrcoef(spoilt[0].ravel(), spoilt[1].ravel())[0, 1]
        assert like > 0.95
    assert stills([spoilt[0]] * 16).max() <= 1


def test_given_a_square_then_another_beside_it_lies_in_the_picture_and_overlaps_it() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        left, top, right, bottom = beside((30, 40, 110, 120), (160, 130), rng)
        assert 0 <= left < right <= 160
        assert 0 <= top < bottom <= 130
        assert min(right, 110) - max(left, 30) > 40
    assert beside((3, 3, 12, 12), (160, 130), rng) == (0, 0, 160, 130)
