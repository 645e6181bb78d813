"""A few small grey pictures of a short clip: what the clip model's second look is given.

They are shown to the detector's own layers, not to eyes: at 160 pixels across a group of people they are never kept
or sent. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.motion import FRAMES, Grey

SIDE_PX: Final = 160
"""Pictures are scaled to this square, whatever their shape."""
EVERY: Final = 3
"""So many pictures of a clip apart."""
STILLS: Final = len(range(0, FRAMES, EVERY))


def stills(frames: Sequence[Grey]) -> NDArray[np.float32]:
    """Every third picture of a clip.

    Args:
        frames: 16 grey pictures, uint8, of one size, 0.1 s apart.

    Returns:
        float32, shape (6, 160, 160), 0 to 1.
    """
    return np.stack([_square(frame) for frame in frames[::EVERY]]).astype(np.float32) / np.float32(255)


def _square(frame: Grey) -> Grey:
    shrinks = min(frame.shape) >= SIDE_PX
    scaled: Any = cv2.resize(frame, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return cast("Grey", scaled)
