"""A second look at people too small for the model: parts of the picture at full resolution, and one answer of them all.

`plan` lays tiles over a region so that people come out large enough in each, smaller tiles where people are smaller;
neighbours overlap by more than a person, so everybody is whole in one of them. `merge` joins what was seen in each,
without counting anybody twice at a seam. Pure; persons only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.values import Bools, Detections, Floats, Image, RoadUser

WANTED_PX: Final = 44.0
"""How high people should be in the model's input; more is not seen better, and costs tiles."""
MOST_ENLARGED: Final = 2.0
"""Nothing is gained by enlarging a picture further."""
MOST_TILES: Final = 12
"""Where a region needs more, people come out smaller."""
OVERLAP_HEIGHTS: Final = 1.2
"""Tiles above each other overlap by so many heights of a person …"""
OVERLAP_WIDTHS: Final = 0.7
"""… and beside each other by this share of a height, which is about two widths."""
SEAM_IOU: Final = 0.45
"""Two boxes of different tiles that overlap so much are one person …"""
SEAM_COVER: Final = 0.7
"""… and so are two of which one covers so much of the smaller."""
EDGE_PX: Final = 2.0
"""A box this near to a tile's inner edge, in pixels of the picture, is cut by it."""
_COARSER: Final = 0.92
_HALVINGS: Final = 12

Height = Callable[[float], float]
"""How high a person is in the picture whose feet are at a row; pixels to pixels."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the picture, in whole pixels: right and bottom are one beyond the last."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: Image) -> Image:
        """That part of a picture, without a copy."""
        return image[self.top : self.bottom, self.left : self.right]


def plan(
    region: tuple[float, float, float, float],
    height: Height,
    picture: tuple[int, int],
    taken: tuple[int, int],
    most: int = MOST_TILES,
) -> tuple[Tile, ...]:
    """Lay tiles over a region.

    Args:
        region: Left, top, right, bottom of where people stand, pixels. Their heads may reach beyond it.
        height: How high people are there.
        picture: Its width and height, pixels.
        taken: Width and height of the model's input.
        most: How many tiles at most.

    Returns:
        Tiles from the lower edge upwards, each from left to right; none for a region outside the picture.
    """
    wanted = WANTED_PX
    while True:
        tiles = _rows(region, height, picture, taken, wanted)
        if len(tiles) <= most:
            return tiles
        wanted *= _COARSER


def _rows(
    region: tuple[float, float, float, float],
    height: Height,
    picture: tuple[int, int],
    taken: tuple[int, int],
    wanted: float,
) -> tuple[Tile, ...]:
    left, top, right, bottom = region
    left, right = max(0.0, left - 0.5 * height(bottom)), min(float(picture[0]), right + 0.5 * height(bottom))
    top, bottom = max(0.0, top - height(top)), min(float(picture[1]), bottom + 0.1 * height(bottom))
    if right - left < 1 or bottom - top < 1:
        return ()
    tiles: list[Tile] = []
    while True:
        scale = _scale(bottom, height, picture, taken, wanted)
        high, wide = taken[1] / scale, taken[0] / scale
        here = height(bottom)
        upper = max(0.0, bottom - high)
        tiles += _row(left, right, (upper, max(bottom, min(upper + high, picture[1]))), wide, OVERLAP_WIDTHS * here)
        if upper <= top:
            return tuple(tiles)
        bottom = min(bottom - 0.25 * high, _lowest_whole(upper, bottom, height))


def _lowest_whole(upper: float, bottom: float, height: Height) -> float:
    """Feet at or above this row belong to people who are cut by, or stand above, an upper edge; found by halving."""
    low, high = upper, bottom
    for _ in range(_HALVINGS):
        row = (low + high) / 2
        if row - OVERLAP_HEIGHTS * height(row) < upper:
            low = row
        else:
            high = row
    return high


def _scale(bottom: float, height: Height, picture: tuple[int, int], taken: tuple[int, int], wanted: float) -> float:
    """Pixels of the model's input for one of the picture, so that people in the middle of a tile are as wanted.

    The larger the tile, the further up its middle lies, and the smaller people are there: found by halving.
    """
    low, high = min(taken[0] / picture[0], taken[1] / picture[1]), MOST_ENLARGED
    for _ in range(_HALVINGS):
        scale = (low + high) / 2
        if height(max(0.0, bottom - 0.5 * taken[1] / scale)) * scale < wanted:
            low = scale
        else:
            high = scale
    return high


def _row(left: float, right: float, rows: tuple[float, float], wide: float, overlap: float) -> list[Tile]:
    """Tiles side by side, all of one width, evenly spread."""
    span = right - left
    step = max(wide - overlap, 0.3 * wide)
    count = 1 if span <= wide else 1 + int(np.ceil((span - wide) / step))
    wide = min(wide, span)
    starts = np.linspace(left, right - wide, count)
    top, bottom = int(rows[0]), int(np.ceil(rows[1]))
    return [Tile(int(start), top, int(np.ceil(start + wide)), bottom) for start in starts]


def merge(found: Sequence[Detections], tiles: Sequence[Tile]) -> Detections:
    """The persons of all tiles, each once.

    Args:
        found: What was seen in each tile, in its own pixels.
        tiles: Where they lie.

    Returns:
        Persons in pixels of the picture, in falling order of score. A box that a tile's inner edge cuts counts only
        where no other tile saw the person better.
    """
    boxes, scores, tile, cut = _gather(found, tiles)
    order = np.lexsort((boxes[:, 0], boxes[:, 1], -scores, cut))
    kept: list[int] = []
    for row in order.tolist():
        others = np.array([each for each in kept if tile[each] != tile[row]], np.int64)
        if not _same(boxes[row], boxes[others]).any():
            kept.append(row)
    rows = np.array(sorted(kept, key=lambda row: (-scores[row], row)), np.int64)
    return Detections(boxes[rows], scores[rows], np.full(len(rows), RoadUser.PERSON, np.int64))


def _gather(found: Sequence[Detections], tiles: Sequence[Tile]) -> tuple[Floats, Floats, Floats, Bools]:
    """All persons in the picture's pixels, their scores, which tile saw them, and whether its inner edge cuts them."""
    sides = np.array([(each.left, each.top, each.right, each.bottom) for each in tiles]).reshape(-1, 4)
    outermost = np.concatenate([sides[:, :2].min(axis=0, initial=2**31), sides[:, 2:].max(axis=0, initial=0)])
    boxes, scores, tile, cut = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)], [np.zeros(0, np.int64)], []
    for number, (seen, place) in enumerate(zip(found, sides, strict=True)):
        people = seen.select(seen.classes == RoadUser.PERSON)
        moved = people.boxes + np.tile(place[:2], 2).astype(np.float32)
        boxes.append(moved)
        scores.append(people.scores)
        tile.append(np.full(len(people), number, np.int64))
        cut.append(((np.abs(moved - place) <= EDGE_PX) & (place != outermost)).any(axis=1))
    return (
        np.concatenate(boxes),
        np.concatenate(scores),
        np.concatenate(tile),
        np.concatenate([np.zeros(0, bool), *cut]),
    )


def _same(box: Floats, others: Floats) -> Bools:
    """Which other boxes are of the same person as this one, seen from another tile."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = size.clip(min=0).prod(axis=1)
    own, areas = (box[2:] - box[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = np.maximum(own + areas - shared, 1e-6)
    smaller = np.maximum(np.minimum(own, areas), 1e-6)
    same: Bools = (shared / union >= SEAM_IOU) | (shared / smaller >= SEAM_COVER)
    return same
