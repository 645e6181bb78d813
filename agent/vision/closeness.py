"""Where persons were close to each other lately, told from boxes of a second or two, weak ones too.

In a scuffle persons hide each other, and a small detector sees now one of them, now the other, rarely both. So boxes of
all the pictures of a clip are taken together: those that hang together in space are one group, and it counts when two
of them were seen side by side in the same picture a few times, or one was at a place that is watched. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.values import Bools, Floats, Ints

CLOSE: Final = 0.35
"""Persons are close when the gap between their boxes is no more than this share of their mean height."""
FEWEST: Final = 2
"""In so many pictures of a clip at least two persons must have been side by side."""
MARGIN: Final = 1.15
"""A crop's side, in sides of the group."""
LEAST_SIDE_PX: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """A group of persons close to each other.

    Attributes:
        square: Left, top, right, bottom in pixels of what the boxes are in: where a clip is cut.
        pictures: In how many pictures two were side by side, or one was at a place that is watched.
        boxes: How many boxes hang together.
        at_thing: It is a group only because it is at such a place: two were not seen side by side often enough.
    """

    square: tuple[int, int, int, int]
    pictures: int
    boxes: int
    at_thing: bool = False


def gatherings(
    seen: Sequence[Floats], size: tuple[int, int], regions: Sequence[Sequence[float]] = ()
) -> list[Gathering]:
    """The groups in a clip, the largest first.

    Args:
        seen: Boxes of persons in each picture, float32, shape (n, 4), pixels.
        size: Width and height of the pictures.
        regions: Left, top, right, bottom in pixels: places where one person alone is a group.
    """
    boxes = np.concatenate([*seen, np.zeros((0, 4), np.float32)]).astype(np.float32)
    pictures = np.repeat(np.arange(len(seen)), [len(each) for each in seen])
    near = _near(boxes)
    beside = near & (pictures[:, np.newaxis] == pictures[np.newaxis]) & ~np.eye(len(boxes), dtype=bool)
    paired = beside.any(axis=1)
    counts = paired | _in_regions(boxes, regions)
    group = _connected(near)
    found = []
    for number in range(group.max(initial=-1) + 1):
        mine = group == number
        often = len(np.unique(pictures[mine & counts]))
        if often >= FEWEST:
            at_thing = len(np.unique(pictures[mine & paired])) < FEWEST
            found.append(Gathering(_square(boxes[mine], size), often, int(mine.sum()), at_thing))
    return sorted(found, key=lambda each: -each.boxes)


def _near(boxes: Floats) -> Bools:
    """Which boxes are close to which, side by side and of like height."""
    heights = boxes[:, 3] - boxes[:, 1]
    gap_x = np.maximum(boxes[:, None, 0], boxes[None, :, 0]) - np.minimum(boxes[:, None, 2], boxes[None, :, 2])
    gap_y = np.maximum(boxes[:, None, 1], boxes[None, :, 1]) - np.minimum(boxes[:, None, 3], boxes[None, :, 3])
    mean = (heights[:, None] + heights[None]) / 2
    alike = np.minimum(heights[:, None], heights[None]) > 0.5 * mean
    near: Bools = (np.maximum(gap_x, 0) <= CLOSE * mean) & (gap_y <= -0.3 * mean) & alike
    return near


def _in_regions(boxes: Floats, regions: Sequence[Sequence[float]]) -> Bools:
    """Which boxes touch a region, or are as near to it as persons are close to each other."""
    found: Bools = np.zeros(len(boxes), bool)
    reach = CLOSE * (boxes[:, 3] - boxes[:, 1])
    for left, top, right, bottom in regions:
        found |= (
            (boxes[:, 0] - reach <= right)
            & (boxes[:, 2] + reach >= left)
            & (boxes[:, 1] <= bottom)
            & (boxes[:, 3] >= top)
        )
    return found


def _connected(near: Bools) -> Ints:
    """A number for each box, the same for those that hang together, also by way of others."""
    group: Ints = np.full(len(near), -1, np.int64)
    for start in range(len(near)):
        if group[start] >= 0:
            continue
        number, fresh = group.max(initial=-1) + 1, np.zeros(len(near), bool)
        fresh[start] = True
        while fresh.any():
            group[fresh] = number
            fresh = near[fresh].any(axis=0) & (group < 0)
    return group


def _square(boxes: Floats, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square around where they were, without the outermost tenth."""
    low, high = np.percentile(boxes[:, :2], 10, axis=0), np.percentile(boxes[:, 2:], 90, axis=0)
    centre, half = (low + high) / 2, max(LEAST_SIDE_PX, float((high - low).max()) * MARGIN) / 2
    left, top = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.minimum(centre + half, size).astype(int)
    return int(left), int(top), int(right), int(bottom)
