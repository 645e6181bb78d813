"""Changes a picture's light and quality as weather, night and cheap cameras do; boxes stay where they are.

Night, infrared, rain, fog, dirt on the lens, noise, blur, few pixels and hard compression. All randomness comes from
the generator passed in: the same seed gives the same picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]


def spoil(picture: Picture, rng: Generator, rate: float) -> Picture:
    """Change light and quality as weather, night and cheap cameras do; `rate` scales every chance."""
    for chance, change in CHANGES:
        if rng.random() < chance * rate:
            picture = change(picture, rng)
    return picture


def _tone(picture: Picture, rng: Generator) -> Picture:
    """Gamma, contrast, brightness and white balance, in one table look-up."""
    levels = np.arange(256, dtype=np.float32) / 255
    curve = levels ** np.exp(rng.uniform(-0.5, 0.5))
    curve = (curve - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
    balance = np.exp(rng.uniform(-0.12, 0.12, 3))
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table[None]), np.uint8)


def _saturation(picture: Picture, rng: Generator) -> Picture:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    share = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 1.6)
    return np.asarray(cv2.addWeighted(picture, share, grey, 1 - share, 0), np.uint8)


def _night(picture: Picture, rng: Generator) -> Picture:
    levels = np.arange(256, dtype=np.float32) / 255
    curve = levels ** rng.uniform(1.3, 2.4) * rng.uniform(0.5, 0.95)
    dark = np.asarray(cv2.LUT(picture, (np.clip(curve, 0, 1) * 255).astype(np.uint8)), np.uint8)
    return _noise(dark, rng)


def _noise(picture: Picture, rng: Generator) -> Picture:
    grain = rng.standard_normal((picture.shape[0], picture.shape[1], 1), np.float32) * rng.uniform(3, 14)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _blur(picture: Picture, rng: Generator) -> Picture:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(picture, (3, 3), rng.uniform(0.5, 1.3)), np.uint8)
    length = int(rng.integers(2, 6))
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1)), np.uint8)


def _compress(picture: Picture, rng: Generator) -> Picture:
    quality = int(rng.integers(15, 60))
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _coarse(picture: Picture, rng: Generator) -> Picture:
    """A camera of fewer pixels than the network's input."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.5, 0.85)
    small = cv2.resize(picture, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _rain(picture: Picture, rng: Generator) -> Picture:
    streaks = np.zeros(picture.shape, np.uint8)
    height, width = picture.shape[:2]
    lean, light = rng.uniform(-4, 4), int(rng.integers(60, 170))
    for _ in range(int(rng.integers(30, 140))):
        x, y, length = rng.integers(width), rng.integers(height), rng.uniform(5, 18)
        cv2.line(streaks, (int(x), int(y)), (int(x + lean * length / 10), int(y + length)), (light,) * 3, 1)
    return np.asarray(cv2.addWeighted(cv2.GaussianBlur(picture, (3, 3), 0.6), 1.0, streaks, 0.5, 0), np.uint8)


def _fog(picture: Picture, rng: Generator) -> Picture:
    share, veil = rng.uniform(0.4, 0.85), rng.uniform(120, 220)
    return np.asarray(cv2.addWeighted(picture, share, picture, 0, (1 - share) * veil), np.uint8)


def _dirt(picture: Picture, rng: Generator) -> Picture:
    """Drops and spots on the lens: soft blobs, dark or bright."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(rng.uniform(0.02, 0.09) * width), float(rng.uniform(0.3, 0.8)), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.012 * width)[..., None]
    return (picture * (1 - mask) + mask * rng.uniform(20, 200)).astype(np.uint8)


CHANGES: Sequence[tuple[float, Callable[[Picture, Generator], Picture]]] = (  # chance, change
    (0.8, _tone),
    (0.4, _saturation),
    (0.10, _night),
    (0.04, _rain),
    (0.05, _fog),
    (0.05, _dirt),
    (0.10, _blur),
    (0.08, _coarse),
    (0.10, _noise),
    (0.15, _compress),
)
