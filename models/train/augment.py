"""Makes one training picture out of stills: one alone, or four on one canvas, as other cameras might see them.

Changes zoom, place, aspect, roll and hand, keeps the boxes in step, then lets `spoil` change light and quality.
Works at the training size from the start, so it costs about two milliseconds a picture. All randomness comes from
the generator passed in: the same seed gives the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.train.paste import paste
from models.train.spoil import spoil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from models.train.dataset import Sample

    Picture = NDArray[np.uint8]
    Boxes = NDArray[np.float32]
    Cell = tuple[int, int, int, int]  # left, top, right, bottom, px of the canvas

GREY = (114, 114, 114)
MIN_SIDE_PX, MIN_HEIGHT_PX = 3.0, 4.0
MIN_VISIBLE = 0.35  # share of a box that must lie inside its cell
SMALL_ZOOM = 0.45
# How large a still is drawn, relative to the largest that fits the canvas: on its own, and in a mosaic.
# Where objects fill the picture (`people`, `roadside`) it is drawn smaller, to the sizes street cameras show.
ZOOM = {
    "cctv": ((0.75, 1.9), (0.5, 1.3)),
    "highway": ((0.8, 2.0), (0.6, 1.5)),
    "roadside": ((0.6, 1.3), (0.3, 0.9)),
    "people": ((0.35, 1.3), (0.28, 0.8)),
    "other": ((0.75, 1.6), (0.4, 1.1)),
}


def compose(
    first: Sample,
    draw: Callable[[], Sample],
    size: tuple[int, int],
    rng: Generator,
    *,
    mosaic: float,
    spoil_rate: float = 1.0,
    pedestrians: Sequence[Picture] = (),
) -> tuple[Picture, Boxes]:
    """Build one training picture of `size` (width, height) px.

    Args:
        first: The still that must appear.
        draw: Gives further stills for a mosaic.
        size: Canvas width and height, px.
        rng: The only source of randomness.
        mosaic: Chance that four stills share the canvas.
        spoil_rate: Scales the chance of every colour change.
        pedestrians: Some of these cut-out people are pasted in, where there are any.

    Returns:
        The picture (height, width, 3) uint8 BGR and its boxes (n, 5) float32: class, x1, y1, x2, y2 in px.
    """
    width, height = size
    canvas = np.full((height, width, 3), GREY, np.uint8)
    if rng.random() < mosaic:
        x, y = (int(side * rng.uniform(0.35, 0.65)) for side in size)
        cells = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        stills = [first, draw(), draw(), draw()]
        parts = [_place(canvas, s, cell, size, rng, alone=False) for s, cell in zip(stills, cells, strict=True)]
        boxes = np.concatenate(parts)
    else:
        boxes = _place(canvas, first, (0, 0, width, height), size, rng, alone=True)
    if pedestrians:
        boxes = paste(canvas, boxes, pedestrians, rng)
    return spoil(canvas, rng, spoil_rate), boxes


def _place(
    canvas: Picture,
    still: Sample,
    cell: Cell,
    size: tuple[int, int],
    rng: Generator,
    *,
    alone: bool,
) -> Boxes:
    """Draw one still into a cell of the canvas; return its visible boxes in canvas px."""
    left, top, right, bottom = cell
    cell_size = (right - left, bottom - top)
    height, width = still.image.shape[:2]
    low, high = ZOOM[still.source][0 if alone else 1]
    zoom = np.exp(rng.uniform(np.log(low), np.log(high))) * min(size[0] / width, size[1] / height)
    matrix = _view((width, height), cell_size, zoom, rng)
    source, drawn = still.image, matrix
    if zoom <= SMALL_ZOOM:  # warpAffine does not average: halve first, or thin things vanish in aliasing
        half = (width // 2, height // 2)
        source = np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
        drawn = matrix.copy()
        drawn[:, :2] *= (width / half[0], height / half[1])
    canvas[top:bottom, left:right] = cv2.warpAffine(
        source, drawn, cell_size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=GREY
    )
    return _boxes_in_cell(still.boxes, (width, height), matrix, cell)


def _view(still_size: tuple[int, int], cell_size: tuple[int, int], zoom: float, rng: Generator) -> NDArray[np.float64]:
    """A random camera: the (2, 3) matrix from still px to cell px."""
    stretch = np.exp(rng.uniform(-0.2, 0.2))
    scale_x, scale_y = zoom * stretch, zoom / stretch
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    angle = np.deg2rad(rng.uniform(-6, 6)) if rng.random() < 0.25 else 0.0
    matrix = np.array(
        [
            [mirror * scale_x * np.cos(angle), -scale_y * np.sin(angle), 0.0],
            [mirror * scale_x * np.sin(angle), scale_y * np.cos(angle), 0.0],
        ]
    )
    # The point of the still that lands on the cell's middle: anywhere that wastes little of the cell.
    still = np.array(still_size)
    slack = (still - np.array(cell_size) / (scale_x, scale_y)) / 2
    focus = still / 2 + rng.uniform(-1, 1, 2) * np.maximum(np.abs(slack), 0.08 * still)
    matrix[:, 2] = np.array(cell_size) / 2 - matrix[:, :2] @ focus
    return matrix


def _boxes_in_cell(boxes: Boxes, still_size: tuple[int, int], matrix: NDArray[np.float64], cell: Cell) -> Boxes:
    """Move boxes through the matrix, cut them at the cell's edge, and drop what is too small or too hidden."""
    left, top, right, bottom = cell
    x1, y1, x2, y2 = (boxes[:, 1 + i] * still_size[i % 2] for i in range(4))
    corners = np.stack([np.stack([x1, x2, x2, x1], 1), np.stack([y1, y1, y2, y2], 1)], 1)  # (n, 2, 4)
    moved = matrix[:, :2] @ corners + matrix[:, 2:]
    # A turned box grows; take the mean of the tight and the loose one, as boxes' corners are mostly empty.
    loose_low, loose_high = moved.min(2), moved.max(2)
    ordered = np.sort(moved, axis=2)
    low, high = (loose_low + ordered[:, :, 1]) / 2, (loose_high + ordered[:, :, 2]) / 2
    area = np.prod(high - low, axis=1)
    limit = np.array([right - left, bottom - top])
    low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    sides = high - low
    seen = np.prod(sides, axis=1) >= MIN_VISIBLE * area
    keep = seen & (sides.min(axis=1, initial=np.inf) >= MIN_SIDE_PX) & (sides[:, 1] >= MIN_HEIGHT_PX)
    offset = np.array([left, top])
    return np.concatenate([boxes[:, :1], low + offset, high + offset], axis=1)[keep].astype(np.float32)
