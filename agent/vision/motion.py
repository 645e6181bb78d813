"""How people move in a short clip, as small maps: what tells a fight from walking, standing, embracing.

The maps hold optical flow (G. Farnebäck, Two-frame motion estimation based on polynomial expansion, 2003) in a small
grey picture, how sudden it is, and how much the picture changes. Movement of the camera is taken out. At 24 by 24
cells they know nothing of faces, clothes or colours. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Image

Flow: TypeAlias = NDArray[np.float32]
Grey: TypeAlias = NDArray[np.uint8]

SIDE_PX: Final = 48
"""Pictures are scaled to this square, whatever their shape."""
CELLS: Final = 24
"""Maps have so many cells a side, each the mean over two by two pixels."""
FRAMES: Final = 16
"""Length of a clip …"""
FPS: Final = 10.0
"""… at this rate."""
MAPS: Final = 5
"""Flow to the right, flow down, its speed, its suddenness, change of the picture."""


def small(picture: Image | Grey) -> Grey:
    """A picture, BGR or grey, or a part of one, as grey of 48 by 48 pixels."""
    scaled: Any = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return cast("Grey", scaled if scaled.ndim == 2 else cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY))


def motion(frames: Sequence[Grey]) -> NDArray[np.float32]:
    """Describe neighbouring frames.

    Args:
        frames: n pictures of :func:`small`, 0.1 s apart.

    Returns:
        float32, shape (5, n - 1, 24, 24).
    """
    flow = np.stack([_flow(one, other) for one, other in itertools.pairwise(frames)])
    flow -= np.median(flow.reshape(len(flow), -1, 2), axis=1)[:, np.newaxis, np.newaxis]
    flow = _by_cell(flow)
    jolt = np.zeros_like(flow)
    jolt[1:] = flow[1:] - flow[:-1]
    change = np.abs(np.diff(np.stack(frames).astype(np.float32), axis=0))
    maps = [
        flow[..., 0] / 1.5,
        flow[..., 1] / 1.5,
        np.sqrt(2 * np.hypot(flow[..., 0], flow[..., 1])),
        np.sqrt(2 * np.hypot(jolt[..., 0], jolt[..., 1])),
        np.sqrt(_by_cell(change[..., np.newaxis])[..., 0] / 15),
    ]
    return np.stack(maps).astype(np.float32)


def _flow(one: Grey, other: Grey) -> Flow:
    start = np.zeros((SIDE_PX, SIDE_PX, 2), np.float32)
    return cast("Flow", cv2.calcOpticalFlowFarneback(one, other, start, 0.5, 2, 9, 2, 5, 1.1, 0))


def _by_cell(maps: Flow) -> Flow:
    """Means over the cells of maps, shape (n, 48, 48, channels)."""
    count, channels = len(maps), maps.shape[-1]
    wide = SIDE_PX // CELLS
    return cast("Flow", maps.reshape(count, CELLS, wide, CELLS, wide, channels).mean(axis=(2, 4)))
