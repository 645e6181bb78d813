"""Pictures of what was understood: visible, in the right place, at every size, whatever the points are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.ops.draw import LINE, PAPER, ZONE, blank, draw_geometry, draw_panel, draw_tracks
from agent.values import Image, RoadUser, Tracks

SIZES = [(640, 360), (1280, 720), (1920, 1080), (32, 18)]
GROUND = {
    "points": [
        {"image": [0.35, 0.5], "metres": [0, 30]},
        {"image": [0.65, 0.5], "metres": [7, 30]},
        {"image": [0.9, 0.9], "metres": [7, 0]},
        {"image": [0.1, 0.9], "metres": [0, 0]},
    ]
}


def camera(**parts: Any) -> Camera:
    return Camera.model_validate({"name": "a", "source": "x", **parts})


def changed(picture: Image) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (picture != np.array(PAPER, np.uint8)).any(axis=2)


def has_colour(picture: Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(picture.astype(int) - colour) < 30).all(axis=2).any())


@pytest.mark.parametrize(("width", "height"), SIZES[:3])
def test_given_lines_zones_and_ground_then_each_is_seen_at_every_size(width: int, height: int) -> None:
    picture = blank(width, height)
    shown = camera(
        lines=[{"name": "utara", "points": [[0.2, 0.7], [0.8, 0.7]], "a_to_b": "ke Klaten é東"}],
        zones=[{"name": "kotak", "polygon": [[0.4, 0.2], [0.6, 0.2], [0.6, 0.4], [0.4, 0.4]]}],
        ground=GROUND,
    )

    draw_geometry(picture, shown)

    assert has_colour(picture, LINE)
    assert has_colour(picture, ZONE)
    assert changed(picture)[round(0.7 * height), round(0.3 * width)]


def test_given_a_line_from_left_to_right_then_its_arrow_points_down_to_b() -> None:
    picture = blank(640, 360)
    draw_geometry(picture, camera(lines=[{"name": "l", "points": [[0.2, 0.5], [0.8, 0.5]]}]))
    # The arrow's head is broader than its tail.
    below = changed(picture)[182:200, 310:330].sum()
    above = changed(picture)[160:178, 310:330].sum()
    assert below > above


def test_given_pixels_of_a_frame_size_then_they_are_drawn_where_they_lie_in_a_picture_of_another_size() -> None:
    relative, pixels = blank(640, 360), blank(640, 360)
    draw_geometry(relative, camera(lines=[{"name": "l", "points": [[0.25, 0.5], [0.75, 0.5]]}]))
    draw_geometry(pixels, camera(frame_size=[1920, 1080], lines=[{"name": "l", "points": [[480, 540], [1440, 540]]}]))
    assert (relative == pixels).all()


@pytest.mark.parametrize(
    "points", [[[0.5, 0.5], [0.5, 0.5]], [[-1e12, 0.5], [1e12, 0.5]], [[5, 5], [6, 6]], [[0, 0], [1e-9, 0]]]
)
def test_given_points_that_make_no_sense_then_drawing_still_ends(points: list[list[float]]) -> None:
    picture = blank(320, 180)
    zone = [*points, [0.1, 0.9]]
    draw_geometry(picture, camera(lines=[{"name": "l", "points": points}], zones=[{"name": "z", "polygon": zone}]))
    assert changed(picture).any()


def test_given_ground_points_on_one_line_then_only_the_points_are_drawn() -> None:
    picture = blank(640, 360)
    line = [{"image": [0.1 * i, 0.5], "metres": [i, 0]} for i in range(1, 5)]
    draw_geometry(picture, camera(ground={"points": line}))
    assert changed(picture).any()
    assert not changed(picture)[240:].any()


def test_given_a_road_of_kilometres_then_the_grid_stays_readable() -> None:
    picture = blank(640, 360)
    far = [{"image": p["image"], "metres": [m * 1000 for m in p["metres"]]} for p in GROUND["points"]]
    draw_geometry(picture, camera(ground={"points": far}))
    assert 0.01 < changed(picture).mean() < 0.4


def tracks(boxes: list[list[float]], observed: list[bool]) -> Tracks:
    count = len(boxes)
    return Tracks(
        ids=np.arange(1, count + 1, dtype=np.int64),
        boxes=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.full(count, 0.9, np.float32),
        classes=np.array([i % len(RoadUser) for i in range(count)], np.int64),
        velocities=np.zeros((count, 2), np.float32),
        observed=np.array(observed, np.bool_),
    )


def test_given_tracks_then_boxes_are_drawn_and_those_unseen_are_thin() -> None:
    seen, coasting = blank(1920, 1080), blank(1920, 1080)
    box = [400.0, 300.0, 800.0, 700.0]
    draw_tracks(seen, tracks([box], [True]))
    draw_tracks(coasting, tracks([box], [False]))
    assert changed(seen)[500, 380:420].sum() > changed(coasting)[500, 380:420].sum() > 0


def test_given_boxes_at_and_beyond_the_edges_of_every_class_then_drawing_ends() -> None:
    picture = blank(640, 360)
    draw_tracks(picture, tracks([[-50.0 + 90 * i, -20, 60 + 90 * i, 400] for i in range(7)], [True] * 7))
    draw_tracks(picture, Tracks.empty())
    assert changed(picture).any()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_given_rows_of_text_then_the_panel_is_dark_and_within_the_picture(width: int, height: int) -> None:
    picture = blank(width, height)
    picture[:] = 200
    draw_panel(picture, ["utara: a_to_b 12, b_to_a 3", "kongestié start"])
    assert (picture[0, 0] == 50).all()
    if width > 32:
        assert (picture[-1, -1] == 200).all()
        assert (picture > 240).any()


def test_given_no_rows_then_the_picture_stays_as_it_is() -> None:
    picture = blank(64, 36)
    draw_panel(picture, [])
    assert not changed(picture).any()
