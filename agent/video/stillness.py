"""Notices an encoder that froze: pictures keep coming, but they are the same picture.

A sensor has noise and most cameras write the time into the picture, so two pictures that agree in every bit for
seconds are one picture sent twice. Cheap: whole pictures are compared only where a thin sample agrees. Pure.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.values import Image

SAMPLE_STEP_PX: Final = 16


class Stillness:
    """Watches the pictures of one stream."""

    def __init__(self, identical_s: float) -> None:
        """Watch for pictures that stay identical for longer than ``identical_s`` seconds; 0 never finds any."""
        self._limit_s = identical_s
        self._first: Image | None = None
        self._since_s = 0.0

    def update(self, image: Image, arrival_s: float) -> bool:
        """Say whether the picture has been the same for too long.

        Args:
            image: uint8, shape (height, width, 3). It is kept until the next one that differs.
            arrival_s: When it arrived, on a monotonic clock.
        """
        if self._limit_s <= 0:
            return False
        if self._first is None or not _same(self._first, image):
            self._first, self._since_s = image, arrival_s
            return False
        return arrival_s - self._since_s > self._limit_s


def _same(one: Image, other: Image) -> bool:
    if one.shape != other.shape:
        return False
    sample = np.s_[::SAMPLE_STEP_PX, ::SAMPLE_STEP_PX]
    return np.array_equal(one[sample], other[sample]) and np.array_equal(one, other)
