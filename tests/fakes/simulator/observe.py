"""What a camera and a detector make of the truth: late, shaken, noisy, partly hidden, sometimes wrong.

Every kind of error is one field with its unit, so that a curve can be drawn over each alone. Randomness comes only
from the generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.values import Detections, RoadUser
from tests.fakes.simulator.camera import Array, PerspectiveCamera

#: What a detector takes a thing for when it is wrong.
MISTAKEN_FOR: Final[dict[RoadUser, tuple[RoadUser, ...]]] = {
    RoadUser.PERSON: (RoadUser.BICYCLE,),
    RoadUser.BICYCLE: (RoadUser.MOTORCYCLE, RoadUser.PERSON),
    RoadUser.MOTORCYCLE: (RoadUser.BICYCLE, RoadUser.PERSON),
    RoadUser.CAR: (RoadUser.TRUCK, RoadUser.BUS),
    RoadUser.BUS: (RoadUser.TRUCK,),
    RoadUser.TRUCK: (RoadUser.BUS, RoadUser.CAR),
    RoadUser.OTHER: (RoadUser.CAR, RoadUser.MOTORCYCLE),
}
_GRID: Final = 12


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """When frames are captured.

    Attributes:
        fps: Frames a second on average, before drops.
        unevenness: Standard deviation of the period as a share of the period.
        drop_rate: Share of the frames that never arrive.
    """

    fps: float = 10.0
    unevenness: float = 0.1
    drop_rate: float = 0.0

    def times_s(self, duration_s: float, rng: np.random.Generator) -> Array:
        """Capture times from 0, rising."""
        count = int(duration_s * self.fps)
        periods = rng.normal(1.0, self.unevenness, count).clip(0.3, 3.0) / self.fps
        times = np.concatenate([[0.0], np.cumsum(periods)[:-1]]) if count else np.zeros(0)
        kept: Array = times[(rng.random(count) >= self.drop_rate) & (times < duration_s)]
        return kept


@dataclass(frozen=True, slots=True)
class DetectorErrors:
    """How a detector fails.

    Attributes:
        miss_rate: Share of the visible things that are missed in a frame.
        miss_run: Mean length of a run of misses in frames; 1 makes misses independent.
        false_rate: False detections as a share of the true ones.
        confusion: Share of detections with a wrong class.
        box_noise: Standard deviation of every edge as a share of the box's size (root of its area).
        duplicate_rate: Share of detections that come twice, the second box shifted by the noise.
        hidden_below: A thing whose visible share is smaller is not detected at all.
        shake_px: Standard deviation of the sway of the whole picture.
    """

    miss_rate: float = 0.1
    miss_run: float = 1.0
    false_rate: float = 0.02
    confusion: float = 0.05
    box_noise: float = 0.03
    duplicate_rate: float = 0.0
    hidden_below: float = 0.3
    shake_px: float = 0.0


PERFECT: Final = DetectorErrors(miss_rate=0.0, false_rate=0.0, confusion=0.0, box_noise=0.0)


def visible_parts(boxes: Array, distance_m: Array, camera: PerspectiveCamera) -> tuple[Array, Array]:
    """What can be seen of each box behind the nearer ones and inside the picture.

    Args:
        boxes: Full boxes, shape (n, 4).
        distance_m: From the camera, shape (n,).
        camera: For the size of the picture.

    Returns:
        The box around the visible part, shape (n, 4), and the visible share of the full box, shape (n,). A box is
        probed on a grid of 12 by 12 points, so a hidden strip thinner than a twelfth goes unseen.
    """
    steps = (np.arange(_GRID) + 0.5) / _GRID
    x = boxes[:, :1] + steps * (boxes[:, 2:3] - boxes[:, :1])
    y = boxes[:, 1:2] + steps * (boxes[:, 3:] - boxes[:, 1:2])
    nearer = distance_m[None, :] < distance_m[:, None]
    left, top, right, bottom = (boxes[None, :, side, None] for side in range(4))
    in_x = (x[:, None, :] > left) & (x[:, None, :] < right) & nearer[:, :, None]
    in_y = (y[:, None, :] > top) & (y[:, None, :] < bottom)
    covered = np.einsum("ijy,ijx->iyx", in_y.astype(np.float32), in_x.astype(np.float32)) > 0
    inside_x = (x >= 0) & (x <= camera.width_px)
    inside_y = (y >= 0) & (y <= camera.height_px)
    seen = ~covered & inside_x[:, None, :] & inside_y[:, :, None]
    parts = np.stack(
        [
            _edge(seen.any(axis=1), boxes[:, 0], boxes[:, 2], first=True),
            _edge(seen.any(axis=2), boxes[:, 1], boxes[:, 3], first=True),
            _edge(seen.any(axis=1), boxes[:, 0], boxes[:, 2], first=False),
            _edge(seen.any(axis=2), boxes[:, 1], boxes[:, 3], first=False),
        ],
        axis=1,
    )
    limits = np.array([camera.width_px, camera.height_px, camera.width_px, camera.height_px], np.float64)
    return parts.clip(0.0, limits), seen.mean(axis=(1, 2))


def _edge(seen: NDArray[np.bool_], low: Array, high: Array, *, first: bool) -> Array:
    """Where the visible part of each box begins (or ends) along one axis."""
    index = seen.argmax(axis=1) if first else _GRID - seen[:, ::-1].argmax(axis=1)
    edge: Array = low + (high - low) * index / _GRID
    return edge


class Detector:
    """A detector with the given errors; it remembers only who is inside a run of misses."""

    def __init__(self, errors: DetectorErrors, camera: PerspectiveCamera, rng: np.random.Generator) -> None:
        self._errors = errors
        self._camera = camera
        self._rng = rng
        self._missing: dict[int, bool] = {}
        self._sway = np.zeros(2)

    def see(self, numbers: NDArray[np.int64], kinds: NDArray[np.int64], boxes: Array, distance_m: Array) -> Detections:
        """Detections of one frame of actors with these numbers, kinds, full boxes and distances."""
        errors, rng = self._errors, self._rng
        parts, share = visible_parts(boxes, distance_m, self._camera)
        kept = (share >= errors.hidden_below) & ~self._missed(numbers)
        parts, share, kinds = parts[kept], share[kept], kinds[kept]
        twice = rng.random(len(parts)) < errors.duplicate_rate
        parts, share = np.concatenate([parts, parts[twice]]), np.concatenate([share, share[twice]])
        kinds = np.concatenate([kinds, kinds[twice]])
        scores = (rng.normal(0.78, 0.1, len(parts)) - 0.35 * (1.0 - share)).clip(0.12, 0.98)
        false_boxes, false_scores, false_kinds = self._false(len(parts))
        everything = np.concatenate([self._noisy(parts), false_boxes])
        order = rng.permutation(len(everything))
        return Detections(
            boxes=everything[order].astype(np.float32),
            scores=np.concatenate([scores, false_scores])[order].astype(np.float32),
            classes=np.concatenate([self._confused(kinds), false_kinds])[order].astype(np.int64),
        )

    def _missed(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """A two-state chain per actor whose share of misses and mean run are the given ones."""
        rate, run = self._errors.miss_rate, max(self._errors.miss_run, 1.0)
        missed = np.zeros(len(numbers), np.bool_)
        draws = self._rng.random(len(numbers))
        if run <= 1.0 or rate <= 0.0:
            return draws < rate
        begin = rate / (1.0 - rate) / run
        for row, number in enumerate(numbers.tolist()):
            before = self._missing.get(number, False)
            missed[row] = draws[row] >= 1.0 / run if before else draws[row] < begin
            self._missing[number] = bool(missed[row])
        return missed

    def _noisy(self, boxes: Array) -> Array:
        """Edges with noise, the picture's sway added, still upright."""
        size = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        noise = self._rng.normal(0.0, 1.0, boxes.shape) * (self._errors.box_noise * size)[:, None]
        self._sway = 0.7 * self._sway + self._rng.normal(0.0, 0.714 * self._errors.shake_px, 2)
        moved = boxes + noise + np.tile(self._sway, 2)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1.0)
        return moved

    def _confused(self, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
        wrong = self._rng.random(len(kinds)) < self._errors.confusion
        said = kinds.copy()
        for row in np.flatnonzero(wrong).tolist():
            choices = MISTAKEN_FOR[RoadUser(int(kinds[row]))]
            said[row] = choices[int(self._rng.integers(len(choices)))]
        return said

    def _false(self, true_count: int) -> tuple[Array, Array, NDArray[np.int64]]:
        """Boxes where nothing is, anywhere in the picture."""
        rng, camera = self._rng, self._camera
        count = int(rng.poisson(self._errors.false_rate * true_count))
        centre = rng.random((count, 2)) * [camera.width_px, camera.height_px]
        half = np.exp(rng.normal(np.log(30.0), 0.5, (count, 2)))
        boxes = np.concatenate([centre - half, centre + half], axis=1)
        return boxes, rng.uniform(0.2, 0.65, count), rng.integers(0, len(RoadUser), count)
