"""Where a view has gone: by how much the edges of now must be moved to lie on those remembered.

Only directions of edges count, so a white car weighs no more than a worn line on the road, and light doesn't matter.
All shifts are tried at once, each judged by what both pictures show: long straight lines fit anywhere along themselves,
but only the true place has the dashes, arrows and cracks as well. Pure.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.look import Map

Lines: TypeAlias = tuple[Map, Map]
"""Gradients along x and along y."""

WEAK: Final = 2.0
"""Edges much weaker than this, grey levels per pixel, have no direction worth comparing."""
FARTHEST: Final = (0.6, 0.45)
"""Shifts that are tried, in shares of width and height."""
LEAST_SHARED: Final = 0.25
"""Least share of the picture, and of its edges, that both must show."""


def displacement(then: Lines, now: Lines) -> tuple[int, int]:
    """How far, in whole pixels to the right and down, what was seen then is most likely seen now.

    There is always an answer: whether what was seen lies there must be looked at.
    """
    height, width = then[0].shape
    right, down = int(FARTHEST[0] * width), int(FARTHEST[1] * height)
    size = cv2.getOptimalDFTSize(height + down), cv2.getOptimalDFTSize(width + right)
    before, after = _directions(then), _directions(now)
    product = cv2.mulSpectrums(_spectrum(after, size), _spectrum(before, size), 0, conjB=True)
    alike = np.roll(cv2.dft(product, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)[..., 0], (down, right), axis=(0, 1))
    downs, rights = np.arange(-down, down + 1), np.arange(-right, right + 1)
    shared = np.outer(height - np.abs(downs), width - np.abs(rights))
    had, has = _area(_weight(before), downs, rights), _area(_weight(after), -downs, -rights)
    score = alike[: 2 * down + 1, : 2 * right + 1] / np.sqrt(np.maximum(had * has, 1e-6))
    enough = (shared >= LEAST_SHARED * height * width) & (had >= LEAST_SHARED * had.max())
    row, column = np.unravel_index(int(np.argmax(np.where(enough, score, -1.0))), score.shape)
    return int(rights[column]), int(downs[row])


def moved_back(grey: Map, right: float, down: float, border: int = cv2.BORDER_REPLICATE) -> Map:
    """A picture whose contents were moved so far, moved back."""
    shift = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
    return cast("Map", cv2.warpAffine(grey, shift, (grey.shape[1], grey.shape[0]), borderMode=border))


def aligned(grey: Map, memory: Map, most_px: float) -> Map | None:
    """The picture moved back by a small shift, to parts of a pixel, if a small shift explains it."""
    window = cv2.createHanningWindow((grey.shape[1], grey.shape[0]), cv2.CV_32F)
    (dx, dy), response = cv2.phaseCorrelate(memory.copy(), grey.copy(), window)  # it works in place on what it is given
    if response < 0.15 or max(abs(dx), abs(dy)) > most_px or max(abs(dx), abs(dy)) < 0.5:
        return None
    return moved_back(grey, dx, dy)


def _directions(lines: Lines) -> Map:
    """Gradients of length 0 (where weak) to 1: float32, shape (h, w, 2)."""
    length = np.sqrt(lines[0] ** 2 + lines[1] ** 2 + WEAK**2)
    return cast("Map", np.stack([lines[0] / length, lines[1] / length], axis=-1))


def _weight(directions: Map) -> Map:
    return cast("Map", directions[..., 0] ** 2 + directions[..., 1] ** 2)


def _spectrum(directions: Map, size: tuple[int, int]) -> Any:
    padded = np.zeros((*size, 2), np.float32)
    padded[: directions.shape[0], : directions.shape[1]] = directions
    return cv2.dft(padded)


def _area(weight: Map, downs: NDArray[Any], rights: NDArray[Any]) -> NDArray[np.float64]:
    """For each shift, the sum of what stays in the picture."""
    height, width = weight.shape
    sums = cv2.integral(weight, sdepth=cv2.CV_64F)
    top, bottom = np.maximum(0, -downs), np.minimum(height, height - downs)
    left, right = np.maximum(0, -rights), np.minimum(width, width - rights)
    area = sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)] - sums[np.ix_(bottom, left)] + sums[np.ix_(top, left)]
    return cast("NDArray[np.float64]", area)
