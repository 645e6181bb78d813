"""A street drawn by the project itself: cars on two lanes, seen from the side, with the truth known.

It is what the demo plays where no recorded clip can be had, and what tests count when the real data is absent. The
same arguments give the same pixels. It shows no real person or place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.errors import SourceError
from agent.values import Image

WIDTH_PX: Final = 768
HEIGHT_PX: Final = 432
FPS: Final = 10.0
_LINE_X: Final = 0.5
_GRAIN: Final = 4.0  # standard deviation of a cheap camera's noise by day, grey levels
_GRAIN_SPARE_PX: Final = 64
_BODY_COLOURS: Final = ((40, 40, 190), (200, 200, 205), (120, 70, 30), (150, 150, 155), (175, 200, 215))

# A car's side view in car lengths (x, from the rear) and car heights (y, from the ground).
_BODY: Final = (
    (0, 0.2), (0, 0.5), (0.05, 0.58), (0.2, 0.62), (0.32, 0.97), (0.68, 1),
    (0.84, 0.66), (0.97, 0.58), (1, 0.45), (1, 0.2),
)  # fmt: skip
_SILL: Final = ((0, 0.2), (0, 0.36), (1, 0.36), (1, 0.2))
_BELT: Final = ((0.06, 0.575), (0.2, 0.62), (0.84, 0.66), (0.97, 0.58), (0.97, 0.54), (0.05, 0.54))
_REAR_WINDOW: Final = ((0.25, 0.64), (0.345, 0.92), (0.49, 0.93), (0.49, 0.65))
_FRONT_WINDOW: Final = ((0.52, 0.65), (0.52, 0.93), (0.66, 0.94), (0.78, 0.67))
_TAIL_LIGHT: Final = ((0, 0.42), (0, 0.5), (0.05, 0.5), (0.05, 0.42))
_HEAD_LIGHT: Final = ((0.96, 0.42), (0.96, 0.5), (1, 0.48), (1, 0.42))
_ASPECT: Final = 0.36


@dataclass(frozen=True, slots=True)
class _Car:
    """One car: enters at ``start_s`` on its side of the picture and keeps its speed."""

    start_s: float
    rightwards: bool
    length_px: float
    speed_px_s: float
    ground_y: float
    colour: tuple[int, int, int]

    def rear_left_x(self, at_s: float) -> float:
        """The left end of the car at a moment, pixels."""
        gone = (at_s - self.start_s) * self.speed_px_s
        return gone - self.length_px if self.rightwards else WIDTH_PX - gone

    def crosses_line_at_s(self) -> float:
        """When the middle of the car is over the counting line."""
        return self.start_s + (WIDTH_PX * _LINE_X + self.length_px / 2) / self.speed_px_s


@dataclass(frozen=True, slots=True)
class RenderedScene:
    """What was drawn: geometry for a configuration, and how many cars truly cross the line, by direction."""

    duration_s: float
    lines: tuple[dict[str, object], ...]
    zones: tuple[dict[str, object], ...]
    a_to_b: int
    b_to_a: int


def render_clip(path: Path, *, cars: int = 14, seed: int = 7) -> RenderedScene:
    """Draw the street into an MJPEG AVI file, 768x432 at 10 frames/s; an existing file is drawn again.

    Args:
        path: Where the video goes; replaced in one step when it is whole.
        cars: How many cars pass, alternating between the lanes.
        seed: Of colours, sizes, speeds and noise.

    Raises:
        SourceError: The file can't be written.
    """
    rng = np.random.default_rng(seed)
    traffic = _traffic(cars, rng)
    duration_s = max(car.crosses_line_at_s() for car in traffic) + 5
    partial = path.with_name(f"part-{path.name}")
    writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH_PX, HEIGHT_PX))
    if not writer.isOpened():
        raise SourceError(f"the video {path} can't be written; check that its folder exists and has room")
    street, grain = _street(), _grain(rng)
    for number in range(int(duration_s * FPS)):
        picture = _picture(street, traffic, number / FPS)
        row, column = rng.integers(0, _GRAIN_SPARE_PX, 2)
        noise = grain[row : row + HEIGHT_PX, column : column + WIDTH_PX]
        writer.write(cv2.add(picture, noise, dtype=cv2.CV_8U))
    writer.release()
    partial.replace(path)
    rightwards = sum(car.rightwards for car in traffic)
    return RenderedScene(
        duration_s=int(duration_s * FPS) / FPS,
        lines=({"name": "street", "points": [[_LINE_X, 0.98], [_LINE_X, 0.35]], "interval_s": 10},),
        zones=({"name": "road", "polygon": [[0.02, 0.4], [0.98, 0.4], [0.98, 0.98], [0.02, 0.98]], "interval_s": 10},),
        a_to_b=rightwards,
        b_to_a=len(traffic) - rightwards,
    )


def _traffic(cars: int, rng: np.random.Generator) -> list[_Car]:
    """Cars one after the other on each lane: the next starts when the last has gone a third of the way."""
    free_at_s = {True: 0.5, False: 1.5}
    traffic = []
    for number in range(cars):
        rightwards = number % 2 == 0
        car = _Car(
            start_s=free_at_s[rightwards],
            rightwards=rightwards,
            length_px=float(rng.uniform(105, 125) if rightwards else rng.uniform(85, 100)),
            speed_px_s=120.0 if rightwards else 100.0,
            ground_y=370.0 if rightwards else 262.0,
            colour=_BODY_COLOURS[int(rng.integers(len(_BODY_COLOURS)))],
        )
        traffic.append(car)
        free_at_s[rightwards] += float(rng.uniform(2.2, 3.6))
    return traffic


def _street() -> Image:
    picture = np.empty((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    shade = 1 - 0.2 * np.arange(HEIGHT_PX) / HEIGHT_PX
    picture[:] = (shade[:, None, None] * np.array([205, 190, 175])).astype(np.uint8)
    cv2.rectangle(picture, (0, 105), (WIDTH_PX, 165), (150, 155, 160), -1)
    cv2.rectangle(picture, (0, 165), (WIDTH_PX, HEIGHT_PX), (95, 95, 98), -1)
    for x in range(0, WIDTH_PX, 60):
        cv2.rectangle(picture, (x, 296), (x + 30, 299), (210, 215, 215), -1)
    return picture


def _grain(rng: np.random.Generator) -> NDArray[np.int16]:
    """A camera's noise, larger than the picture: another part of it for every frame costs next to nothing."""
    shape = (HEIGHT_PX + _GRAIN_SPARE_PX, WIDTH_PX + _GRAIN_SPARE_PX, 3)
    return np.rint(rng.normal(0, _GRAIN, shape)).astype(np.int16)


def _picture(street: Image, traffic: list[_Car], at_s: float) -> Image:
    picture = street.copy()
    for car in sorted(traffic, key=lambda car: car.ground_y):
        x = car.rear_left_x(at_s)
        if at_s >= car.start_s and -car.length_px < x < WIDTH_PX:
            _draw_car(picture, car, x)
    soft: Image = cv2.GaussianBlur(picture, (0, 0), 0.8)  # type: ignore[assignment]
    return soft


def _draw_car(picture: Image, car: _Car, x: float) -> None:
    height = car.length_px * _ASPECT

    def place(u: float, v: float) -> tuple[float, float]:
        along = u if car.rightwards else 1 - u
        return x + along * car.length_px, car.ground_y - v * height

    def fill(shape: tuple[tuple[float, float], ...], colour: tuple[int, int, int]) -> None:
        points = np.round(np.array([place(u, v) for u, v in shape]) * 16).astype(np.int32)
        cv2.fillPoly(picture, [points], colour, cv2.LINE_AA, 4)

    _draw_shadow(picture, car, x, height)
    blue, green, red = car.colour
    fill(_BODY, car.colour)
    fill(_SILL, (blue * 6 // 10, green * 6 // 10, red * 6 // 10))
    fill(_BELT, (min(255, blue + 45), min(255, green + 45), min(255, red + 45)))
    fill(_REAR_WINDOW, (60, 50, 45))
    fill(_FRONT_WINDOW, (70, 60, 52))
    fill(_TAIL_LIGHT, (60, 60, 220))
    fill(_HEAD_LIGHT, (220, 240, 250))
    for u in (0.2, 0.8):
        wheel_x, wheel_y = place(u, 0.18)
        for share, colour in ((0.2, (28, 28, 28)), (0.11, (140, 140, 140)), (0.04, (60, 60, 60))):
            cv2.circle(picture, (int(wheel_x), int(wheel_y)), int(height * share), colour, -1, cv2.LINE_AA)


def _draw_shadow(picture: Image, car: _Car, x: float, height: float) -> None:
    under = picture.copy()
    middle = (int(x + car.length_px / 2), int(car.ground_y))
    cv2.ellipse(under, middle, (int(car.length_px * 0.52), int(height * 0.1)), 0, 0, 360, (45, 45, 48), -1)
    cv2.addWeighted(under, 0.7, picture, 0.3, 0, picture)
