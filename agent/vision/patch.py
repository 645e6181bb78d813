"""A protected region seen small, in a form that light hardly changes: logarithms of grey, and of colour ratios.

In logarithms a shadow or a cloud only adds a constant, so gradients stay what they are wherever the surface does.
A patch is some hundred pixels wide, holds the region and a margin around it, and is never a picture of anybody: it is
taken once a second and thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Bools, Floats, Image

Map: TypeAlias = NDArray[np.float32]

SIDE_PX: Final = 56.0
"""A region is scaled so that the square root of its box's area is this: ten cells each way."""
LONGEST_PX: Final = 144
"""No patch is longer: a lamp post is looked at more coarsely along its length than it could be."""
MOST_ZOOM: Final = 1.5
"""A small region is enlarged by no more; that adds no detail, only room for the cells."""
MARGIN: Final = 0.35
"""Around the region, in its longer side: what is next to it tells a change of light from a change of the thing."""
WINDOW_PX: Final = 9
"""Side of the window over which structure is compared."""
OFFSET: Final = 12.0
"""Added to grey levels before the logarithm, so that noise in the dark stays small."""
_TABLE: Final = np.log(np.arange(256, dtype=np.float32) + np.float32(OFFSET))


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Where a region's patch is cut from pictures of one size.

    Attributes:
        left: First column, pixels of the picture.
        top: First row.
        right: Past the last column.
        bottom: Past the last row.
        width: Of the patch, pixels.
        height: Of the patch.
        inside: bool, shape (height, width): the region itself.
        around: bool, the same shape: what is beside it, a window away from its edge.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    inside: Bools
    around: Bools

    @classmethod
    def of(cls, polygon: NDArray[np.float64], size: tuple[int, int]) -> Cut:
        """The cut for a polygon, shape (n, 2), in pixels of pictures of a size (width, height)."""
        limit = np.asarray(size, np.float64)
        low, high = np.clip(polygon.min(axis=0), 0, limit - 1), np.clip(polygon.max(axis=0), 1, limit)
        sides = np.maximum(high - low, 1.0)
        room = max(6.0, MARGIN * float(sides.max()))
        left, top = np.floor(np.clip(low - room, 0, limit)).astype(int).tolist()
        right, bottom = np.ceil(np.clip(high + room, 0, limit)).astype(int).tolist()
        zoom = min(MOST_ZOOM, SIDE_PX / float(np.sqrt(sides.prod())), LONGEST_PX / max(right - left, bottom - top))
        width, height = max(WINDOW_PX, round((right - left) * zoom)), max(WINDOW_PX, round((bottom - top) * zoom))
        scale = np.array([width / (right - left), height / (bottom - top)])
        corners = np.rint((polygon - (left, top)) * scale * 16).astype(np.int32)
        drawn = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners], 255, shift=4)
        near: Any = cv2.dilate(drawn, np.ones((WINDOW_PX, WINDOW_PX), np.uint8))
        return cls(left, top, right, bottom, width, height, drawn > 0, near == 0)

    def hidden(self, boxes: Floats, grow: float) -> Bools:
        """Which of the patch's pixels lie in boxes, shape (n, 4), in pixels of the picture, each grown by a share."""
        covered = np.zeros((self.height, self.width), np.bool_)
        scale = np.array([self.width / (self.right - self.left), self.height / (self.bottom - self.top)] * 2)
        for left, top, right, bottom in boxes:
            room_x, room_y = grow * (right - left), grow * (bottom - top)
            box = np.array([left - room_x, top - room_y, right + room_x, bottom + room_y])
            x0, y0, x1, y1 = ((box - (self.left, self.top, self.left, self.top)) * scale).tolist()
            if x1 > 0 and y1 > 0:
                covered[max(0, int(y0)) : max(0, int(y1) + 1), max(0, int(x0)) : max(0, int(x1) + 1)] = True
        return covered


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One look at a region.

    Attributes:
        small: uint8, shape (h, w, 3): the patch's pixels, for moving it.
        grey: float32, shape (h, w): logarithm of grey.
        colour: float32, shape (h / 2, w / 2, 3), rounded up: blue, green and red, 0 to 255, smoothed.
    """

    small: Image
    grey: Map
    colour: Map

    @classmethod
    def take(cls, image: Image, cut: Cut) -> Patch:
        """Look at a picture, uint8, shape (height, width, 3), BGR."""
        part = image[cut.top : cut.bottom, cut.left : cut.right]
        factor = part.shape[1] // cut.width
        if factor >= 2:  # averaging by a whole factor first is several times faster
            size = part.shape[1] // factor, max(1, part.shape[0] // factor)
            part = cast("Image", cv2.resize(part, size, interpolation=cv2.INTER_AREA))
        shrinks = part.shape[1] > cut.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cls.of(cast("Image", cv2.resize(part, (cut.width, cut.height), interpolation=how)))

    @classmethod
    def of(cls, small: Image) -> Patch:
        """From a patch's pixels."""
        soft = cv2.GaussianBlur(small, (3, 3), 0)
        grey = cv2.LUT(cv2.cvtColor(soft, cv2.COLOR_BGR2GRAY), _TABLE)
        half = ((small.shape[1] + 1) // 2, (small.shape[0] + 1) // 2)
        colour = cv2.blur(cv2.resize(small, half, interpolation=cv2.INTER_AREA), (3, 3))
        return cls(small, cast("Map", grey), cast("Map", colour.astype(np.float32)))

    def moved(self, x_px: float, y_px: float) -> Patch:
        """The same, with what is at (x, y) brought to the origin."""
        height, width = self.grey.shape
        shift = np.array([[1, 0, -x_px], [0, 1, -y_px]], np.float32)
        return Patch.of(
            cast("Image", cv2.warpAffine(self.small, shift, (width, height), borderMode=cv2.BORDER_REPLICATE))
        )


def slopes(grey: Map) -> tuple[Map, Map]:
    """Gradients per pixel along x and along y."""
    along_x: Any = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    along_y: Any = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return along_x, along_y


def windowed(values: Map) -> Map:
    """Means over a window around each pixel."""
    return cast("Map", cv2.blur(values, (WINDOW_PX, WINDOW_PX), borderType=cv2.BORDER_REPLICATE))


def energy(lines: tuple[Map, Map]) -> Map:
    """Strength of the gradients around each pixel."""
    return windowed(lines[0] * lines[0] + lines[1] * lines[1])
