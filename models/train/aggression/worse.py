"""Pictures of a clip as a worse camera would give them: coarser, noisier, darker or lighter, mirrored, badly packed.

Whoever fits to clips from few cameras learns those cameras; flicker of a noisy picture, for instance, is no fight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.motion import Grey
from agent.vision.stills import SIDE_PX

COARSEST_PX: Final = 40
LIGHTS: Final = (0.6, 1.3)
OFFSET: Final = 20.0
MOST_NOISE: Final = 5.0
JPEG: Final = (20, 80)
GROWN: Final = (0.78, 1.35)
"""Of the square that is cut, and it is moved by up to …"""
MOVED: Final = 0.12
"""… this share of its side."""
LEAST_PX: Final = 16
Square = tuple[int, int, int, int]


def worse(frames: Sequence[Grey], rng: np.random.Generator) -> list[Grey]:
    """The same pictures, all spoilt alike but for the noise; uint8, 160 pixels a side."""
    side = int(rng.integers(COARSEST_PX, SIDE_PX + 1))
    light, offset = rng.uniform(*LIGHTS), rng.uniform(-OFFSET, OFFSET)
    noise = rng.uniform(0, MOST_NOISE) if rng.random() < 0.4 else 0.0
    mirrored = rng.random() < 0.5
    quality = int(rng.integers(*JPEG)) if rng.random() < 0.3 else None
    out = []
    for frame in frames:
        coarse: NDArray[Any] = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        coarse = coarse * light + offset + rng.normal(0, 1, coarse.shape) * noise
        picture: Any = coarse.clip(0, 255).astype(np.uint8)
        if quality is not None:
            picture = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)
        picture = picture[:, ::-1] if mirrored else picture
        out.append(cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LINEAR))
    return out


def beside(square: Square, size: tuple[int, int], rng: np.random.Generator) -> Square:
    """A square cut a little otherwise, within pictures of a size (width, height); all of that where it is too small."""
    left, top, right, bottom = square
    width, height = right - left, bottom - top
    grown = float(np.exp(rng.uniform(*np.log(GROWN))))
    x = (left + right) / 2 + rng.uniform(-MOVED, MOVED) * width
    y = (top + bottom) / 2 + rng.uniform(-MOVED, MOVED) * height
    low = np.maximum([x - width * grown / 2, y - height * grown / 2], 0).astype(int)
    high = np.minimum([x + width * grown / 2, y + height * grown / 2], size).astype(int)
    if (high - low).min() < LEAST_PX:
        return 0, 0, *size
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
