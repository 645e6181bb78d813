"""Shows what lies outside of a picture: the picture smaller, on a dark ground, and what was drawn around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from agent.config.schema import Camera
from agent.ops.draw import PAPER
from agent.scene.carry import Shift, carry
from agent.scene.geometry import Array
from agent.values import Image

OUTSIDE: Final = 0.05
"""Points further outside, in pictures, are shown by making room."""
FARTHEST: Final = 1.5
"""No more room than this is made on a side, in pictures."""
MOST_RELATIVE: Final = 2.0
"""A coordinate above this was surely meant in pixels."""


def framed(picture: Image, camera: Camera) -> tuple[Image, Camera]:
    """A picture with room for all that was drawn, and the configuration as it lies on it.

    Points in pixels that name no ``frame_size`` are taken as pixels of this very picture: it is seen whether they are.
    """
    height, width = picture.shape[:2]
    points = np.array([*_points(camera), (0.0, 0.0)])
    if camera.frame_size is None and np.abs(points).max() > MOST_RELATIVE:
        camera = camera.model_copy(update={"frame_size": (width, height)})
    relative = points / np.asarray(camera.frame_size or (1, 1), np.float64)
    low = np.clip(relative.min(axis=0), -FARTHEST, 0.0)
    high = np.clip(relative.max(axis=0), 1.0, 1.0 + FARTHEST)
    if low.min() >= -OUTSIDE and high.max() <= 1 + OUTSIDE:
        return picture, camera
    low, high = low - OUTSIDE, high + OUTSIDE
    room = high - low
    shift: Shift = (1 / room[0], 0.0, -low[0] / room[0], 0.0, 1 / room[1], -low[1] / room[1], 0.0, 0.0, 1.0)
    return _set_into(picture, low, room), carry(camera, shift)


def _set_into(picture: Image, low: Array, room: Array) -> Image:
    height, width = picture.shape[:2]
    canvas = np.full((round(height * room[1]), round(width * room[0]), 3), [each // 2 for each in PAPER], np.uint8)
    left, top = round(-low[0] * width), round(-low[1] * height)
    canvas[top : top + height, left : left + width] = picture
    cv2.rectangle(canvas, (left, top), (left + width, top + height), (255, 255, 255), 2)
    return canvas


def _points(camera: Camera) -> Iterator[tuple[float, float]]:
    for line in camera.lines:
        yield from line.points
    for zone in camera.zones:
        yield from zone.polygon
        if zone.rules.wrong_way is not None:
            yield from zone.rules.wrong_way.along
    for region in camera.protected:
        yield from region.polygon
    for point in camera.ground.points if camera.ground is not None else ():
        yield point.image
