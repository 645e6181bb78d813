"""What a verdict looks like: precision-recall curves, and a contact sheet of the worst misses.

Needs matplotlib (the `report` extra) for curves; the sheet is drawn with OpenCV. The sheet shows pieces of the data it
was made from: keep it where the data may be kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from agent.errors import KentonganError
from agent.evaluate.dataset import Dataset
from agent.evaluate.evaluation import Verdict
from agent.evaluate.matching import FLOOR_PX, LONG_SIDE_PX, RECALL_POINTS, Picture, overlaps
from agent.installation import how_to_add
from agent.values import CLASS_NAMES, Image

_TILE_PX: Final = 180
_COLUMNS: Final = 6
_ROWS: Final = 5
_SURE: Final = 0.25
_GREEN: Final = (90, 220, 90)
_RED: Final = (60, 60, 235)


def draw_curves(verdict: Verdict, path: Path) -> None:
    """Draw precision over recall at IoU 0.5, one line a class.

    Raises:
        KentonganError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, needed only here
    except ImportError as error:
        raise KentonganError(f"plots need matplotlib: {how_to_add('report')}") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in verdict.curves.items():
        axes.plot(RECALL_POINTS, curve.precision, label=f"{name}: {curve.ap50:.3f} ({curve.objects})")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_title(f"{verdict.model.name} on {verdict.data}, IoU 0.5")
    axes.grid(alpha=0.3)
    axes.legend(title="AP50 (objects)", fontsize="small")
    figure.savefig(path, dpi=120)


def draw_misses(verdict: Verdict, dataset: Dataset, path: Path) -> None:
    """Draw the largest objects that were not found: green the object, red what the model saw there instead."""
    wanted = _worst(verdict.pictures)
    by_name: dict[str, list[int]] = {}
    for name, index in wanted:
        by_name.setdefault(name, []).append(index)
    pictures = {picture.name: picture for picture in verdict.pictures}
    tiles = [_tile(image, pictures[name], index) for name, image, _ in dataset for index in by_name.get(name, [])]
    blank = np.full((_TILE_PX, _TILE_PX, 3), 40, np.uint8)
    tiles += [blank] * (_COLUMNS * _ROWS - len(tiles))
    rows = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, _COLUMNS * _ROWS, _COLUMNS)]
    cv2.imwrite(str(path), np.vstack(rows))


def _worst(pictures: Sequence[Picture]) -> list[tuple[str, int]]:
    """Name of the picture and index of the object, the tallest first."""
    missed = sorted(_missed(pictures), reverse=True)
    return [(name, index) for _, name, index in missed[: _COLUMNS * _ROWS]]


def _missed(pictures: Sequence[Picture]) -> Iterator[tuple[float, str, int]]:
    for picture in pictures:
        heights = picture.truth_boxes[:, 3] - picture.truth_boxes[:, 1]
        sure = picture.found.select(picture.found.scores >= _SURE)
        for index in np.flatnonzero(heights >= FLOOR_PX):
            same = sure.select(sure.classes == picture.truth_classes[index])
            box = picture.truth_boxes[index : index + 1]
            if len(same) == 0 or overlaps(box, same.boxes).max() < 0.5:
                yield float(heights[index]), picture.name, int(index)


def _tile(image: Image, picture: Picture, index: int) -> Image:
    """The surroundings of one missed object, scaled to a tile."""
    to_pixels = max(image.shape[:2]) / LONG_SIDE_PX
    left, top, right, bottom = picture.truth_boxes[index] * to_pixels
    half = max(right - left, bottom - top) * 0.9
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, y0 = max(0, int(x - half)), max(0, int(y - half))
    crop = image[y0 : int(y + half) + 1, x0 : int(x + half) + 1]
    zoom = _TILE_PX / max(crop.shape[:2])
    tile = np.full((_TILE_PX, _TILE_PX, 3), 40, np.uint8)
    small = cv2.resize(crop, None, fx=zoom, fy=zoom)[:_TILE_PX, :_TILE_PX]
    tile[: small.shape[0], : small.shape[1]] = small
    sure = picture.found.select(picture.found.scores >= _SURE)
    for box in sure.boxes:
        _rectangle(tile, (box * to_pixels - (x0, y0, x0, y0)) * zoom, _RED, 1)
    _rectangle(tile, (picture.truth_boxes[index] * to_pixels - (x0, y0, x0, y0)) * zoom, _GREEN, 2)
    label = CLASS_NAMES[int(picture.truth_classes[index])]
    tile[:20] //= 3  # white text reads on any street
    cv2.putText(tile, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def _rectangle(tile: Image, box: np.ndarray, colour: tuple[int, int, int], thick: int) -> None:
    left, top, right, bottom = (int(value) for value in box)
    cv2.rectangle(tile, (left, top), (right, bottom), colour, thick)
