"""Windows to learn aggression from: cut at random, always the same for the same clip, spoilt but never empty."""

from __future__ import annotations

import numpy as np
import pytest

from agent.vision.motion import CELLS, FRAMES, MAPS, Grey
from models.train.aggression.windows import WINDOWS, draw_windows

NOBODY = np.zeros((0, 4), np.float32)
PAIR = np.array([[40, 30, 60, 90], [62, 30, 82, 90]], np.float32)


def film(moving: slice, length: int = 24) -> list[Grey]:
    """A textured ground, 160 x 120 px, of which some columns change from picture to picture."""
    rng = np.random.default_rng(3)
    ground = rng.integers(0, 255, (120, 160), dtype=np.uint8)
    pictures = []
    for _ in range(length):
        picture = ground.copy()
        picture[:, moving] = rng.integers(0, 255, picture[:, moving].shape, dtype=np.uint8)
        pictures.append(picture)
    return pictures


def moved(windows: list[np.ndarray]) -> float:  # type: ignore[type-arg]
    return float(np.mean([window[-1].astype(np.float32).mean() for window in windows]))


def test_given_a_clip_then_its_windows_are_maps_of_movement_and_the_same_every_time() -> None:
    pictures, seen = film(slice(0, 160)), [PAIR] * 24
    windows = draw_windows("fight/a", pictures, seen, fight=True)
    assert len(windows) == WINDOWS
    assert {window.shape for window in windows} == {(MAPS, FRAMES - 1, CELLS, CELLS)}
    again = draw_windows("fight/a", pictures, seen, fight=True)
    np.testing.assert_array_equal(np.stack(windows), np.stack(again))
    assert np.isfinite(np.stack(windows).astype(np.float32)).all()


def test_given_a_clip_then_no_two_windows_are_alike() -> None:
    windows = draw_windows("fight/a", film(slice(0, 160)), [PAIR] * 24, fight=True)
    assert len({window.tobytes() for window in windows}) == WINDOWS


def test_given_people_close_to_each_other_then_most_windows_are_cut_around_them() -> None:
    around, elsewhere = film(slice(30, 95)), film(slice(130, 160))
    shown = [moved(draw_windows("fight/a", pictures, [PAIR] * 24, fight=True)) for pictures in (around, elsewhere)]
    assert shown[0] > 2 * shown[1]


def test_given_nobody_then_windows_show_the_whole_picture() -> None:
    pictures = film(slice(130, 160))
    seen = [moved(draw_windows("normal/a", pictures, [boxes] * 24, fight=False)) for boxes in (NOBODY, PAIR)]
    assert seen[0] > 1.5 * seen[1]


@pytest.mark.parametrize("place", [(-300, -300, -200, -200), (0, 0, 4, 12)], ids=["outside", "tiny"])
def test_given_a_person_at_the_edge_then_the_window_is_still_one(place: tuple[int, ...]) -> None:
    seen = [np.array([place], np.float32)] * 24
    assert len(draw_windows("normal/a", film(slice(0, 160)), seen, fight=False)) == WINDOWS
