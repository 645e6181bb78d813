"""What vandals and light do to a clip: things come and go, paint on a wall, clouds, shadows, a shaking pole.

Drawn over real pictures, the passers-by that the detector saw stay in front. Everything follows from a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Detections, Floats, Image

Deed: TypeAlias = Literal["removed", "defaced", "added", "nothing"]
Picture: TypeAlias = NDArray[np.float32]
Layer: TypeAlias = tuple[Picture, Picture]
"""Colours, shape (h, w, 3), and how much of each pixel they cover, shape (h, w)."""

LEARN_LOOKS: Final = 15
"""The light is even for so long."""


def thing(kind: str, size: tuple[int, int], rng: np.random.Generator) -> Layer:
    """A box with panels, a bag with a strap, or a heap of rubbish, of a width and height."""
    width, height = size
    colours, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    plain = np.uint8([[[int(rng.integers(180)), int(rng.choice([15, 60, 150])), int(rng.integers(40, 220))]]])
    base = cv2.cvtColor(plain, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)
    {"box": _box, "bag": _bag, "heap": _heap}[kind](colours, cover, base, rng)
    return colours.clip(0, 255), cover


def _tone(base: Picture, low: float, high: float, rng: np.random.Generator) -> list[float]:
    return (base * rng.uniform(low, high)).clip(0, 255).tolist()  # type: ignore[no-any-return]


def _box(colours: Picture, cover: Picture, base: Picture, rng: np.random.Generator) -> None:
    height, width = cover.shape
    cover[:], colours[:] = 1, base
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        far = (x + int(rng.integers(3, width // 2 + 4)), y + int(rng.integers(2, height // 2 + 4)))
        thick = -1 if rng.random() < 0.5 else max(1, width // 25)
        cv2.rectangle(colours, (x, y), far, _tone(base, 0.4, 1.5, rng), thick)
    colours *= np.linspace(1.15, 0.75, width, dtype=np.float32)[np.newaxis, :, np.newaxis]


def _bag(colours: Picture, cover: Picture, base: Picture, rng: np.random.Generator) -> None:
    height, width = cover.shape
    body = (width // 2, int(height * 0.58)), (int(width * 0.47), int(height * 0.4))
    strap = (width // 2, height // 4), (width // 5, int(height * 0.22))
    cv2.ellipse(cover, *body, 0, 0, 360, 1.0, -1)
    cv2.ellipse(cover, *strap, 0, 0, 360, 1.0, max(1, width // 12))
    rows, columns = np.mgrid[0:height, 0:width]
    colours[:] = base * (1.25 - 0.35 * columns / width - 0.42 * rows / height)[..., np.newaxis]
    for _ in range(3):
        x = int(rng.integers(width // 4, 3 * width // 4))
        end = x + int(rng.integers(-width // 6, width // 6 + 1)), int(height * 0.9)
        cv2.line(colours, (x, int(height * 0.3)), end, _tone(base, 0.5, 1.3, rng), max(1, width // 20))


def _heap(colours: Picture, cover: Picture, base: Picture, rng: np.random.Generator) -> None:
    height, width = cover.shape
    for _ in range(12):
        colour = (rng.uniform(20, 230, 3) * 0.5 + base * 0.5).tolist()
        middle = int(rng.integers(width // 5, 4 * width // 5)), int(rng.integers(height // 3, height))
        axes = int(rng.integers(3, width // 4 + 4)), int(rng.integers(3, height // 4 + 4))
        angle = float(rng.uniform(0, 180))
        cv2.ellipse(colours, middle, axes, angle, 0, 360, colour, -1)
        cv2.ellipse(cover, middle, axes, angle, 0, 360, 1.0, -1)


def paint(size: tuple[int, int], rng: np.random.Generator) -> Layer:
    """Three to six strokes of a spray can."""
    width, height = size
    colours, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(3, 7))):
        colour = [(15.0,) * 3, (235.0,) * 3, tuple(rng.uniform(0, 255, 3).tolist())][int(rng.integers(3))]
        corners = rng.uniform(
            (0.08 * width, 0.08 * height), (0.92 * width, 0.92 * height), (int(rng.integers(4, 9)), 2)
        )
        at, knots = np.linspace(0, 1, 30), np.linspace(0, 1, len(corners))
        stroke = np.stack([np.interp(at, knots, corners[:, axis]) for axis in (0, 1)], axis=1).astype(np.int32)
        thick = max(2, int(min(size) * rng.uniform(0.04, 0.09)))
        cv2.polylines(colours, [stroke], False, colour, thick, cv2.LINE_AA)
        cv2.polylines(cover, [stroke], False, 1.0, thick, cv2.LINE_AA)
    return colours, cover * np.float32(0.92)


def put(picture: Picture, layer: Layer, left: int, top: int) -> None:
    """Lay a layer over a picture, as sharp as a camera sees it."""
    colours, cover = (cv2.GaussianBlur(each, (0, 0), 0.8) for each in layer)
    height, width = cover.shape
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(picture.shape[1], left + width), min(picture.shape[0], top + height)
    if x0 < x1 and y0 < y1:
        share = cover[y0 - top : y1 - top, x0 - left : x1 - left, np.newaxis]
        picture[y0:y1, x0:x1] += share * (colours[y0 - top : y1 - top, x0 - left : x1 - left] - picture[y0:y1, x0:x1])


class Weather:
    """Clouds that brighten and darken everything, and bluish shadows that pass or stand for a minute or two.

    Args:
        width_px: Of the whole picture: shadows are 6 to 22 % of it.
        looks: How many pictures there will be.
        middle: Around which shadows fall, pixels.
        rng: For all of it.
    """

    def __init__(self, width_px: int, looks: int, middle: tuple[float, float], rng: np.random.Generator) -> None:
        knots = max(2, looks // 40)
        self._gain = np.interp(np.arange(looks), np.linspace(0, looks, knots), rng.uniform(0.6, 1.5, knots))
        self._gain[:LEARN_LOOKS] = 1
        self._sky = np.array([1 + rng.uniform(0, 0.08), 1, 1 - rng.uniform(0, 0.08)], np.float32)
        self._shadows: list[tuple[int, int, Floats, Floats, Floats, float, float]] = []
        start = LEARN_LOOKS + 5
        while start < looks:
            stands = rng.random() < 0.35
            lasts = int(rng.integers(60, 120) if stands else rng.integers(3, 12))
            drift = np.zeros(2) if stands else rng.uniform(-0.08, 0.08, 2) * width_px
            angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
            radius = rng.uniform(0.06, 0.22) * width_px * rng.uniform(0.6, 1.2, (6, 1))
            outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
            first = np.asarray(middle) + rng.uniform(-0.1, 0.1, 2) * width_px - drift * lasts / 2
            self._shadows.append(
                (start, start + lasts, first, drift, outline, rng.uniform(0.45, 0.75), rng.uniform(0.8, 4))
            )
            start += lasts + int(rng.integers(5, 40))

    def fall_on(self, picture: Picture, look: int) -> None:
        """Light a picture, in place, as at one look."""
        picture *= np.float32(self._gain[look])
        for start, end, first, drift, outline, depth, soft in self._shadows:
            if start <= look < end:
                shade = np.zeros(picture.shape[:2], np.float32)
                cv2.fillPoly(shade, [(outline + first + drift * (look - start)).astype(np.int32)], 1 - depth)
                soft_shade = cv2.GaussianBlur(shade, (0, 0), soft)[..., np.newaxis]
                picture *= (1 - soft_shade) * (1 + (self._sky - 1) * soft_shade / (1 - depth))


def shaken(picture: Picture, rng: np.random.Generator) -> Image:
    """A pole that trembles, and a sensor's noise, coarse and fine."""
    height, width = picture.shape[:2]
    aside, up = rng.normal(0, 0.4, 2)
    shift = np.array([[1, 0, aside], [0, 1, up]], np.float32)
    moved = cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
    coarse = rng.normal(0, 1.2, (height // 2 + 1, width // 2 + 1)).repeat(2, axis=0).repeat(2, axis=1)
    noise = coarse[:height, :width] + rng.normal(0, 2, (height, width))
    return (moved + noise[..., np.newaxis]).clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Scene:
    """A region of a clip, and what is done to it.

    Attributes:
        deed: What.
        at: At which look; the looks are one second apart.
        looks: How many there are.
        region: left, top, right, bottom in pixels of the clip.
        view: The part of the clip that is rendered, the same way: the region with what is around it.
        layer: What comes or goes.
        corner: Its left and top corner in pixels of the clip.
        offset: With which picture of the clip it begins.
        seed: Of light and noise.
    """

    deed: Deed
    at: int
    looks: int
    region: tuple[int, int, int, int]
    view: tuple[int, int, int, int]
    layer: Layer | None
    corner: tuple[int, int]
    offset: int
    seed: int

    @property
    def polygon(self) -> Floats:
        """The region's corners, relative to the view."""
        left, top, right, bottom = self.region
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
        low = np.array(self.view[:2])
        return (corners - low) / (np.array(self.view[2:]) - low)  # type: ignore[no-any-return]


def scene(deed: Deed, size: tuple[int, int], seed: int, *, looks: int = 180, at: int = 80) -> Scene:
    """A region anywhere in pictures of a size (width, height), 7 to 22 % of their width wide."""
    rng = np.random.default_rng(seed)
    width = int(rng.uniform(0.07, 0.22) * size[0])
    height = int(min(width * rng.uniform(0.6, 1.6), 0.4 * size[1]))
    left, top = int(rng.integers(4, size[0] - width - 4)), int(rng.integers(4, size[1] - height - 4))
    layer, corner = _layer(deed, (left, top), (width, height), rng)
    room = int(0.4 * max(width, height)) + 12
    view = max(0, left - room), max(0, top - room), min(size[0], left + width + room), min(size[1], top + height + room)
    region = left, top, left + width, top + height
    return Scene(deed, at, looks, region, view, layer, corner, int(rng.integers(1000)), seed)


def _layer(
    deed: Deed, corner: tuple[int, int], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Layer | None, tuple[int, int]]:
    (left, top), (width, height) = corner, size
    kind = str(rng.choice(["box", "bag", "heap"]))
    if deed == "removed":
        return thing(kind, (int(width * 0.9), int(height * 0.9)), rng), (left + width // 20, top + height // 20)
    if deed == "defaced":
        return paint(size, rng), corner
    if deed == "added":
        share = rng.uniform(0.35, 0.7)
        small = max(10, int(width * share)), max(10, int(height * share))
        room = rng.uniform(0, 1 - share, 2)
        return thing(kind, small, rng), (left + int(room[0] * width), top + int(room[1] * height))
    return None, corner


def play(acted: Scene, pictures: list[Image], seen: list[Detections]) -> Iterator[tuple[Image, Floats]]:
    """The rendered looks of a scene, each with the boxes of whom the detector saw, in pixels of the view."""
    x0, y0, x1, y1 = acted.view
    rng = np.random.default_rng(acted.seed + 1)
    left, top, right, bottom = acted.region
    middle = (left + right) / 2 - x0, (top + bottom) / 2 - y0
    weather = Weather(pictures[0].shape[1], acted.looks, middle, rng)
    for look in range(acted.looks):
        number = (acted.offset + 2 * look) % len(pictures)
        real = pictures[number][y0:y1, x0:x1]
        boxes = seen[number].boxes - np.array([x0, y0, x0, y0], np.float32)
        picture = real.astype(np.float32)
        if acted.layer is not None and (look >= acted.at) != (acted.deed == "removed"):
            put(picture, acted.layer, acted.corner[0] - x0, acted.corner[1] - y0)
            for box in boxes:  # whoever passes is in front
                a, b, c, d = box.astype(int).clip(0, [x1 - x0, y1 - y0] * 2).tolist()
                picture[b:d, a:c] = real[b:d, a:c]
        weather.fall_on(picture, look)
        yield shaken(picture, rng), boxes
