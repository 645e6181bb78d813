"""What a camera's picture looks like, in a few small arrays: the base of judging whether it can be trusted.

A look costs a millisecond or two and is meant to be taken about once a second. It keeps grey, edges and fine detail
of a small copy of the picture, and never the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Image

Map: TypeAlias = NDArray[np.float32]

FINE_PX: Final = 320
"""Width at which fine detail is measured: a defocused lens shows here, sensor noise hardly."""
COARSE_PX: Final = 160
"""Width at which edges are compared: forgives leaves, compression and a shaking pole."""
CELL_PX: Final = 10
"""Side of a cell at the coarse width; the picture is judged cell by cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture, seen small.

    Attributes:
        grey: float32, shape (h, 160), 0 to 255.
        fine: float32, shape (rows, columns): energy of fine detail per cell, grey levels squared.
        colourfulness: Median over the picture of the difference between a pixel's strongest and weakest
            channel, grey levels: next to 0 for an infrared picture, and one red car doesn't change it.
        saturated: Share of pixels at the upper end of the scale.
    """

    grey: Map
    fine: Map
    colourfulness: float
    saturated: float

    @property
    def brightness(self) -> float:
        """Mean grey level."""
        return float(self.grey.mean())

    @property
    def contrast(self) -> float:
        """Distance between the 5th and the 95th percentile of grey levels."""
        levels = np.sort(self.grey[::3, ::3], axis=None)  # a ninth of the pixels tells as much
        return float(levels[len(levels) * 95 // 100] - levels[len(levels) * 5 // 100])


def _thinned(image: Image) -> Image:
    """The picture averaged down by a whole factor: OpenCV does that ten times faster than by any other."""
    height, width = image.shape[:2]
    factor = width // FINE_PX
    if factor < 2 or height < factor:
        return image
    return cast("Image", cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA))


def take_look(image: Image) -> Look:
    """Look at a picture, uint8, shape (height, width, 3), BGR; at least 16 pixels each way."""
    height, width = image.shape[:2]
    rows = max(4, round(COARSE_PX * height / width / CELL_PX))
    size = (FINE_PX, rows * CELL_PX * FINE_PX // COARSE_PX)
    small = cv2.resize(_thinned(image), size, interpolation=cv2.INTER_AREA if width >= FINE_PX else cv2.INTER_LINEAR)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    grey32 = grey.astype(np.float32)
    detail = grey32 - cast("Map", cv2.blur(grey32, (3, 3)))
    coarse = cv2.resize(grey32, (COARSE_PX, rows * CELL_PX), interpolation=cv2.INTER_AREA)
    thumb = cv2.resize(small, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
    colourfulness = float(np.median(thumb.max(axis=2) - thumb.min(axis=2)))
    return Look(
        grey=cast("Map", coarse),
        fine=by_cell(detail * detail, CELL_PX * FINE_PX // COARSE_PX),
        colourfulness=colourfulness,
        saturated=float((grey >= 245).mean()),
    )


def edges(grey: Map) -> tuple[Map, Map]:
    """Gradients in grey levels per pixel, along x and along y, each of the shape of the picture."""
    lined_x: Any = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8)
    lined_y: Any = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
    return lined_x, lined_y


def by_cell(values: Map, side_px: int = CELL_PX) -> Map:
    """Means over square cells: float32, shape (height / side, width / side)."""
    height, width = values.shape
    return cast("Map", cv2.resize(values, (width // side_px, height // side_px), interpolation=cv2.INTER_AREA))
