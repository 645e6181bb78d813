"""Views of streets that never were, and what moving the camera does to them.

Every street has corners, lines and surfaces all over it; another seed is another place. Noise is new in each picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from agent.values import Image
from agent.vision.anchor import Numbers

WIDTH, HEIGHT = 640, 360
_NOISE = np.rint(np.random.default_rng(1).normal(0, 2, WIDTH * HEIGHT * 3)).astype(np.int16)


def street(seed: int = 3) -> Image:
    """A view, uint8, shape (360, 640, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for _ in range(220):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        shade = tuple(int(value) for value in rng.integers(40, 200, 3))
        cv2.rectangle(picture, (x, y), (x + int(rng.integers(12, 70)), y + int(rng.integers(12, 50))), shade, -1)
    return picture


def noisy(picture: Image, number: int) -> Image:
    """A picture as a sensor gives it: with noise of two grey levels, other noise for another number."""
    height, width = picture.shape[:2]
    noise = np.roll(_NOISE, 997 * number)[: height * width * 3].reshape(picture.shape)
    return cv2.add(picture, noise, dtype=cv2.CV_8U).astype(np.uint8)


def moved(picture: Image, right: float = 0, down: float = 0, turn_deg: float = 0, zoom: float = 1) -> Image:
    """What a camera sees that was knocked: shares of the picture, degrees, times."""
    return cv2.warpAffine(picture, _pixels(right, down, turn_deg, zoom), (WIDTH, HEIGHT)).astype(np.uint8)


def truth(right: float = 0, down: float = 0, turn_deg: float = 0, zoom: float = 1) -> Numbers:
    """The same move as a homography between relative places."""
    unit = np.diag([1 / WIDTH, 1 / HEIGHT, 1.0])
    whole = np.vstack([_pixels(right, down, turn_deg, zoom), [0, 0, 1]])
    a, b, c, d, e, f, g, h, i = (unit @ whole @ np.linalg.inv(unit)).ravel().tolist()
    return a, b, c, d, e, f, g, h, i


def _pixels(right: float, down: float, turn_deg: float, zoom: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn_deg, zoom)
    matrix[:, 2] += np.array([right * WIDTH, down * HEIGHT])
    return matrix
