"""Small clips that tests render themselves: a square that walks over a grey road, one step per picture.

Same arguments, same pictures. The first 64 columns of every picture tell its number in black and white bars, so a
test can say which picture it was handed. Never needs a codec beyond what OpenCV's own wheel brings.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 8


def picture(number: int, width_px: int = 160, height_px: int = 96) -> NDArray[np.uint8]:
    """One picture, uint8, (height, width, 3), BGR, with its number (0 to 255) written in bars at the left."""
    image = np.full((height_px, width_px, 3), 90, np.uint8)
    for bit in range(BITS):
        image[:, bit * 8 : bit * 8 + 8] = 255 if number >> bit & 1 else 0
    left = 64 + 2 * number % max(1, width_px - 80)
    image[height_px // 2 : height_px // 2 + 16, left : left + 16] = (40, 160, 220)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that the bars of a picture tell, also after compression."""
    return sum(1 << bit for bit in range(BITS) if image[:, bit * 8 + 2 : bit * 8 + 6].mean() > 127)


def render_clip(path: Path, frames: int = 40, fps: float = 20.0, width_px: int = 160, height_px: int = 96) -> Path:
    """Write a clip; the suffix chooses the container: ``.avi`` announces its length in front, ``.mp4`` at its end."""
    code = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (width_px, height_px))
    if not writer.isOpened():
        message = f"OpenCV can't write {path}"
        raise RuntimeError(message)
    for number in range(frames):
        writer.write(picture(number, width_px, height_px))
    writer.release()
    return path


def truncate(path: Path, share: float) -> Path:
    """Cut a file off after a share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path
