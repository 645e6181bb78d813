"""Lays frames into a model's input tensor and brings boxes back to the frame.

The pixels are reduced, put into the model's channel order and scaled in buffers that live as long as the model, so a
frame costs no allocation of its size. Promises that :meth:`Placement.to_source` undoes exactly what was done to the
picture. Never changes the frame it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Floats, Image
from agent.vision.description import IMAGENET_MEAN, IMAGENET_STD, Color, Fit, ModelInput, Scale

PADDING_GREY: Final = 114.0  # what YOLO training pads with since v3; YOLOX and ultralytics kept it
_WHITE: Final = 255.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one frame lies in the input.

    Attributes:
        source_width_px: Width of the frame.
        source_height_px: Height of the frame.
        left_px: Where the frame starts in the input, from its left edge.
        top_px: Where the frame starts in the input, from its upper edge.
        width_px: Width of the frame in the input.
        height_px: Height of the frame in the input.
    """

    source_width_px: int
    source_height_px: int
    left_px: int
    top_px: int
    width_px: int
    height_px: int

    @classmethod
    def of(cls, source_width_px: int, source_height_px: int, model: ModelInput) -> Placement:
        """Place a frame of one size into the model's input as its ``fit`` says."""
        if model.fit is Fit.STRETCH:
            return cls(source_width_px, source_height_px, 0, 0, model.width_px, model.height_px)
        scale = min(model.width_px / source_width_px, model.height_px / source_height_px)
        width_px = max(1, round(source_width_px * scale))
        height_px = max(1, round(source_height_px * scale))
        if model.fit is Fit.CORNER:
            return cls(source_width_px, source_height_px, 0, 0, width_px, height_px)
        left_px, top_px = (model.width_px - width_px) // 2, (model.height_px - height_px) // 2
        return cls(source_width_px, source_height_px, left_px, top_px, width_px, height_px)

    def to_source(self, boxes: Floats) -> Floats:
        """Boxes in input pixels as boxes in pixels of the frame, cut at its edges.

        Args:
            boxes: float32, shape (n, 4): left, top, right, bottom in pixels of the input.

        Returns:
            float32, shape (n, 4): the same in pixels of the frame.
        """
        scale_x, scale_y = self.source_width_px / self.width_px, self.source_height_px / self.height_px
        offset = np.array([self.left_px, self.top_px, self.left_px, self.top_px], np.float32)
        scale = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
        moved = (boxes - offset) * scale
        moved[:, 0::2] = moved[:, 0::2].clip(0, self.source_width_px)
        moved[:, 1::2] = moved[:, 1::2].clip(0, self.source_height_px)
        return moved


class Preprocessor:
    """The input tensor of one model and the way into it.

    Args:
        model: What the model takes.
    """

    def __init__(self, model: ModelInput) -> None:
        self._model = model
        self._gain, self._offset = _per_plane(model)
        self._tensor: NDArray[Any] = np.empty((0,), np.float32)
        self._placed: list[Placement | None] = []

    def load(self, images: Sequence[Image]) -> tuple[NDArray[Any], list[Placement]]:
        """Fill the tensor with pictures.

        Args:
            images: uint8, shape (height, width, 3), BGR; they may differ in size.

        Returns:
            The tensor, float32 or float16, shape (number of images, 3, height, width), valid until the next call;
            and where each image lies in it.
        """
        if len(images) != len(self._tensor):
            self._allocate(len(images))
        placements = [Placement.of(image.shape[1], image.shape[0], self._model) for image in images]
        for slot, (image, placement) in enumerate(zip(images, placements, strict=True)):
            self._fill(slot, image, placement)
        return self._tensor, placements

    def _allocate(self, count: int) -> None:
        shape = (count, 3, self._model.height_px, self._model.width_px)
        self._tensor = np.empty(shape, np.float16 if self._model.half else np.float32)
        self._placed = [None] * count

    def _fill(self, slot: int, image: Image, placement: Placement) -> None:
        """Write one picture into its slot; the grey around it is written only when the geometry changes."""
        planes = self._tensor[slot]
        if placement != self._placed[slot]:
            for plane, gain, offset in zip(planes, self._gain, self._offset, strict=True):
                plane[...] = PADDING_GREY * gain + offset
            self._placed[slot] = placement
        bottom, right = placement.top_px + placement.height_px, placement.left_px + placement.width_px
        region = planes[:, placement.top_px : bottom, placement.left_px : right]
        small = cv2.split(_reduced(image, placement.width_px, placement.height_px))
        if self._model.color is Color.RGB:
            small = small[::-1]
        for plane, channel, gain, offset in zip(region, small, self._gain, self._offset, strict=True):
            if gain == 1 and offset == 0:
                np.copyto(plane, channel)
                continue
            np.multiply(channel, plane.dtype.type(gain), out=plane, dtype=plane.dtype)
            if offset:
                np.add(plane, plane.dtype.type(offset), out=plane)


def _reduced(image: Image, width_px: int, height_px: int) -> Image:
    """The picture at another size, free of the aliasing that plain interpolation has beyond a factor of two.

    Halving by averaging runs at memory speed, while averaging to an arbitrary size costs ten times as much
    (measured with OpenCV 5.0: 0.6 ms against 10 ms for 1920x1080), so it is halved as often as it goes.
    """
    while image.shape[0] >= 2 * height_px and image.shape[1] >= 2 * width_px:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = _bytes(cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))
    if image.shape[:2] == (height_px, width_px):
        return image
    return _bytes(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR))


def _bytes(image: Any) -> Image:
    """OpenCV's stubs lose the element type; resizing keeps it."""
    resized: Image = image
    return resized


def _per_plane(model: ModelInput) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Gain and offset that take a byte to the model's value, one pair per channel in the model's order."""
    if model.scale is Scale.BYTE:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    if model.scale is Scale.UNIT:
        return (1 / _WHITE,) * 3, (0.0, 0.0, 0.0)
    pairs = list(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    ordered = pairs if model.color is Color.RGB else pairs[::-1]
    (r, g, b) = ordered
    gains = (1 / (_WHITE * r[1]), 1 / (_WHITE * g[1]), 1 / (_WHITE * b[1]))
    return gains, (-r[0] / r[1], -g[0] / g[1], -b[0] / b[1])
