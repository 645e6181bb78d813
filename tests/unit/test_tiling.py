"""Tiles over a region, and one answer of what was seen in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.values import Detections, RoadUser
from agent.vision.tiling import MOST_TILES, WANTED_PX, Tile, merge, plan

PICTURE = (1920, 1080)
TAKEN = (448, 256)
HERE = st.tuples(st.floats(0, 1), st.floats(0.02, 1), st.floats(0.02, 1), st.floats(0.02, 1))


def people(
    *boxes: tuple[float, float, float, float], score: float = 0.8, kind: RoadUser = RoadUser.PERSON
) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), score, np.float32),
        np.full(len(boxes), kind, np.int64),
    )


def seen_in(tile: Tile, boxes: list[tuple[float, float, float, float]], score: float = 0.8) -> Detections:
    """What a perfect detector sees of people through a tile: whole or cut, nobody of whom less than half is there."""
    found = []
    for left, top, right, bottom in boxes:
        cut = (max(left, tile.left), max(top, tile.top), min(right, tile.right), min(bottom, tile.bottom))
        area = max(0.0, cut[2] - cut[0]) * max(0.0, cut[3] - cut[1])
        if area >= 0.5 * (right - left) * (bottom - top):
            found.append((cut[0] - tile.left, cut[1] - tile.top, cut[2] - tile.left, cut[3] - tile.top))
    return people(*found, score=score)


@given(HERE, st.floats(0.01, 0.3), st.floats(0, 1.5))
def test_every_person_of_the_region_is_whole_in_some_tile_and_no_more_tiles_are_laid_than_allowed(
    where: tuple[float, float, float, float], nearest: float, slope: float
) -> None:
    left, top = where[0] * 1800, where[1] * 1000
    region = (left, top, min(1920.0, left + where[2] * 1900), min(1080.0, top + where[3] * 1000))

    def height(row: float) -> float:
        return max(6.0, nearest * 1080 - slope * 0.3 * (1080 - row))

    tiles = plan(region, height, PICTURE, TAKEN)
    assert 1 <= len(tiles) <= MOST_TILES
    for tile in tiles:
        assert 0 <= tile.left < tile.right <= 1920
        assert 0 <= tile.top < tile.bottom <= 1080
    for x in np.linspace(region[0], region[2], 7):
        for y in np.linspace(region[1], region[3], 7):
            tall, wide = height(y), 0.3 * height(y)
            box = (max(0.0, x - wide / 2), max(0.0, y - tall), min(1920.0, x + wide / 2), y)
            assert any(
                tile.left <= box[0] + 1
                and tile.top <= box[1] + 1
                and tile.right >= box[2] - 1
                and tile.bottom >= box[3] - 1
                for tile in tiles
            ), (box, tiles)


def test_far_people_come_out_as_high_as_wanted_where_tiles_suffice() -> None:
    tiles = plan((200, 300, 700, 500), lambda _: 60.0, PICTURE, TAKEN)
    scale = min(TAKEN[0] / (tiles[0].right - tiles[0].left), TAKEN[1] / (tiles[0].bottom - tiles[0].top))
    assert 60 * scale == pytest.approx(WANTED_PX, rel=0.3)


def test_smaller_people_further_up_get_smaller_tiles() -> None:
    tiles = plan((0, 200, 1900, 1000), lambda row: 0.12 * row, PICTURE, TAKEN, most=40)
    heights = [tile.bottom - tile.top for tile in tiles]
    assert heights[-1] < heights[0]


@pytest.mark.parametrize("region", [(2000.0, 100.0, 2100.0, 200.0), (100.0, 1300.0, 200.0, 1400.0)])
def test_a_region_outside_the_picture_gets_no_tiles(region: tuple[float, float, float, float]) -> None:
    assert plan(region, lambda _: 40.0, PICTURE, TAKEN) == ()
    assert len(merge([], ())) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), unique=True, max_size=40))
def test_people_beside_each_other_are_each_counted_once_whatever_the_seams(places: list[tuple[int, int]]) -> None:
    boxes = [(100 + 40.0 * x, 100 + 80.0 * y, 100 + 40.0 * x + 24, 100 + 80.0 * y + 60) for x, y in places]
    tiles = plan((90, 150, 1340, 900), lambda _: 60.0, PICTURE, TAKEN)
    found = merge([seen_in(tile, boxes) for tile in tiles], tiles)
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(boxes)


def test_a_person_cut_by_a_seam_counts_only_where_nobody_saw_the_whole_of_it() -> None:
    tiles = (Tile(0, 0, 100, 100), Tile(80, 0, 200, 100))
    cut, whole = people((84, 20, 100, 80), score=0.95), people((5, 18, 31, 82), score=0.5)
    found = merge([cut, whole], tiles)
    assert found.boxes.tolist() == [[85, 18, 111, 82]]
    alone = merge([cut, people()], tiles)
    assert alone.boxes.tolist() == [[84, 20, 100, 80]]


def test_two_people_of_one_tile_that_hide_each_other_are_two_and_vehicles_are_none() -> None:
    tiles = (Tile(0, 0, 100, 100), Tile(60, 0, 160, 100))
    both = people((70, 10, 90, 60), (74, 12, 92, 62))
    again = people((10, 10, 30, 60), (14, 12, 32, 62), score=0.7)
    assert len(merge([both, again], tiles)) == 2
    assert len(merge([people((10, 10, 50, 40), kind=RoadUser.CAR), again], tiles)) == 2
