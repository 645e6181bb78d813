"""Training windows cut from a clip at random: other moments, other crops, worse pictures than the clip has.

A clip has two or three windows of its own; a network learns those by heart. Cut anew, people are at other places in the
picture, larger or smaller, darker, coarser, noisier and more compressed, as on other cameras; movement stays.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.vision.closeness import gatherings
from agent.vision.motion import FRAMES, SIDE_PX, Grey, motion, small

WINDOWS: Final = 30
"""Of each clip."""
OF_A_GROUP: Final = 0.7
"""So many are cut around people close to each other, where there are any …"""
OF_ONE: Final = 0.9
"""… the ones up to here around one person, who in a fight is one of the largest group; the rest are whole pictures."""
LARGEST_GROUP: Final = 0.6
"""Chance that it is the largest group; in a fight it always is, as the others may only watch."""
LEAST_SIDE_PX: Final = 16
Array: TypeAlias = NDArray[Any]
Square: TypeAlias = tuple[float, float, float, float]


def draw_windows(name: str, greys: Sequence[Grey], seen: Sequence[Array], *, fight: bool) -> list[Array]:
    """Windows as maps of movement, float16, shape (5, 15, 24, 24); the same for the same clip.

    Args:
        name: Of the clip: seeds the draw.
        greys: Its pictures.
        seen: Boxes of persons in each, (n, 4) pixels.
        fight: Whether it shows one.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    size = (greys[0].shape[1], greys[0].shape[0])
    found = []
    for _ in range(WINDOWS):
        start = int(rng.integers(0, len(greys) - FRAMES + 1))
        part = slice(start, start + FRAMES)
        left, top, right, bottom = _cut(_square(seen[part], size, rng, fight=fight), size)
        crops = _spoil([picture[top:bottom, left:right] for picture in greys[part]], rng)
        found.append(motion(crops).astype(np.float16))
    return found


def _square(seen: Sequence[Array], size: tuple[int, int], rng: Generator, *, fight: bool) -> Square | None:
    """Where to look, not quite where the agent would; ``None`` for everywhere."""
    groups, chance = gatherings(seen, size), rng.random()
    everybody = np.concatenate(seen)
    if groups and chance < OF_A_GROUP:
        largest = fight or rng.random() < LARGEST_GROUP
        left, top, right, bottom = groups[0 if largest else int(rng.integers(len(groups)))].square
        wide, high = right - left, bottom - top
        times = np.exp(rng.uniform(-0.2, 0.35)) / 2
        x = (left + right) / 2 + rng.uniform(-0.12, 0.12) * wide
        y = (top + bottom) / 2 + rng.uniform(-0.12, 0.12) * high
        return (x - wide * times, y - high * times, x + wide * times, y + high * times)
    if fight and groups:
        centres, (left, top, right, bottom) = (everybody[:, :2] + everybody[:, 2:]) / 2, groups[0].square
        everybody = everybody[((centres >= (left, top)) & (centres <= (right, bottom))).all(axis=1)]
    if chance < OF_ONE and len(everybody):
        one = everybody[rng.integers(len(everybody))]
        (x, y), half = (one[:2] + one[2:]) / 2, (one[3] - one[1]) * rng.uniform(0.5, 1.2)
        return (x - half, y - half, x + half, y + half)
    return None


def _cut(square: Square | None, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a square that lies in the picture; the whole picture where there is hardly any."""
    if square is not None:
        left, top = (max(0, int(side)) for side in square[:2])
        right, bottom = (min(limit, int(side)) for side, limit in zip(square[2:], size, strict=True))
        if right - left >= LEAST_SIDE_PX and bottom - top >= LEAST_SIDE_PX:
            return left, top, right, bottom
    return 0, 0, *size


def _spoil(crops: Sequence[Grey], rng: Generator) -> list[Grey]:
    """Coarser, noisier, in other light, more compressed: each clip in one way throughout."""
    side = int(rng.integers(14, SIDE_PX + 1)) if rng.random() < 0.5 else SIDE_PX
    noise = rng.uniform(0, 5) if rng.random() < 0.4 else 0.0
    contrast, light = rng.uniform(0.6, 1.3), rng.uniform(-25, 25)
    quality = int(rng.integers(15, 80)) if rng.random() < 0.25 else None
    found = []
    for crop in crops:
        coarse = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) * contrast + light
        grey: Any = np.clip(coarse + rng.normal(0, noise, coarse.shape), 0, 255).astype(np.uint8)
        if quality is not None:
            grey = cv2.imdecode(
                cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
            )
        found.append(small(cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR)))
    return found
