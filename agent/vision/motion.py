"""How people move in a short clip, in 32 numbers a frame: what tells a fight from walking, standing, embracing.

The numbers describe optical flow (G. Farnebäck, Two-frame motion estimation based on polynomial expansion, 2003) in a
small grey picture: how fast, how sudden, how disordered, how concentrated; and how much the picture itself changes.
Movement of the camera is taken out. They know nothing of faces, clothes or colours. Pure.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Image

Flow: TypeAlias = NDArray[np.float32]

SIDE_PX: Final = 96
"""Pictures are scaled to this square, whatever their shape."""
FRAMES: Final = 16
"""Length of a clip …"""
FPS: Final = 10.0
"""… at this rate."""
NUMBERS: Final = 32
"""Numbers for each pair of neighbouring frames."""
_Y, _X = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX


def small(image: Image) -> NDArray[np.uint8]:
    """A BGR picture, or a part of one, as grey of 96 by 96 pixels."""
    scaled: Any = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return cast("NDArray[np.uint8]", cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY))


def motion(frames: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Describe neighbouring frames.

    Args:
        frames: n pictures of :func:`small`, 0.1 s apart.

    Returns:
        float32, shape (n - 1, 32), none below 0.
    """
    flows = [_flow(one, other) for one, other in itertools.pairwise(frames)]
    rows = [_describe(frames[k], frames[k + 1], flows[k], flows[max(0, k - 1)]) for k in range(len(flows))]
    return np.array(rows, np.float32).reshape(-1, NUMBERS)


def _flow(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Flow:
    start = np.zeros((SIDE_PX, SIDE_PX, 2), np.float32)
    return cast("Flow", cv2.calcOpticalFlowFarneback(one, other, start, 0.5, 2, 11, 2, 5, 1.1, 0))


def _describe(one: NDArray[np.uint8], other: NDArray[np.uint8], flow: Flow, before: Flow) -> list[float]:
    """Pixels per frame of the small picture, where not said otherwise."""
    still: Flow = flow - np.median(flow.reshape(-1, 2), axis=0).astype(np.float32)
    speed = np.hypot(still[..., 0], still[..., 1])
    return [
        *np.percentile(speed, (50, 75, 90, 97)),
        speed.mean(),
        speed.std(),
        *_change(one, other),
        *((speed > least).mean() for least in (0.6, 2.0, 4.0)),
        *_directions(still, speed),
        *_spread(speed),
        *_disorder(still),
        *_suddenness(flow, before, speed),
        *_coherence(still, speed),
    ]


def _change(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> list[float]:
    change = np.abs(other.astype(np.float32) - one)
    change = np.clip(change - np.median(change), 0, None)
    return [*(np.percentile(change, (75, 90, 97)) / 20), change.mean() / 10]


def _directions(flow: Flow, speed: NDArray[Any]) -> list[float]:
    """Entropy of the directions, and the share of the commonest."""
    angle = np.arctan2(flow[..., 1], flow[..., 0])
    histogram, _ = np.histogram(angle, 8, (-np.pi, np.pi), weights=speed)
    share = histogram / (histogram.sum() + 1e-6)
    return [-(share * np.log(share + 1e-6)).sum(), share.max()]


def _spread(speed: NDArray[Any]) -> list[float]:
    """How far movement is spread over the picture, in its sides."""
    weight = speed / (speed.sum() + 1e-6)
    x, y = (weight * _X).sum(), (weight * _Y).sum()
    return [np.sqrt((weight * (_X - x) ** 2).sum()), np.sqrt((weight * (_Y - y) ** 2).sum())]


def _disorder(flow: Flow) -> list[float]:
    """Divergence and curl."""
    down_x, along_x = np.gradient(flow[..., 0])
    down_y, along_y = np.gradient(flow[..., 1])
    divergence, curl = np.abs(along_x + down_y), np.abs(along_y - down_x)
    return [divergence.mean(), curl.mean(), np.percentile(divergence, 97), np.percentile(curl, 97)]


def _suddenness(flow: Flow, before: Flow, speed: NDArray[Any]) -> list[float]:
    """Acceleration, and where speed changes more than on average (T. Hassner et al., Violent Flows, 2012)."""
    jolt = np.hypot(flow[..., 0] - before[..., 0], flow[..., 1] - before[..., 1])
    change = np.abs(speed - np.hypot(before[..., 0], before[..., 1]))
    mean = speed.mean() + 0.05
    return [
        jolt.mean(),
        *np.percentile(jolt, (75, 90, 97)),
        (change > change.mean()).mean(),
        change.mean(),
        change.mean() / mean,
        jolt.mean() / mean,
    ]


def _coherence(flow: Flow, speed: NDArray[Any]) -> list[float]:
    """How much neighbouring pixels move together."""
    smooth = cv2.boxFilter(flow, -1, (9, 9))
    together = np.hypot(smooth[..., 0], smooth[..., 1])
    return [
        together.mean() / (speed.mean() + 0.05),
        float(np.percentile(together, 95)),
        max(0.0, float(np.percentile(speed - together, 95))),
    ]
