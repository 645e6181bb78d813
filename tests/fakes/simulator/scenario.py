"""A scenario: actors, a camera, a detector, a seed; frames come out, and the exact truth beside them.

The same scenario gives the same frames every time it is asked. Truth is taken from the actors' paths with the
ground point that the agent uses (middle of the lower edge of the full, noise-free box), never from frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.clock import Instant
from agent.values import Detections, RoadUser
from tests.fakes.simulator.camera import Array, PerspectiveCamera
from tests.fakes.simulator.motion import Actor
from tests.fakes.simulator.observe import Detector, DetectorErrors, FrameTiming

Direction: TypeAlias = Literal["a_to_b", "b_to_a"]
EPOCH_S: Final = 1_767_225_600.0  # 2026-01-01T00:00:00Z
_TRUTH_STEP_S: Final = 0.02
_ON_LINE_PX: Final = 1e-6
"""A point nearer than this to a line stands on it."""


@dataclass(frozen=True, slots=True)
class PixelLine:
    """A counting line in pixels. ``a_to_b`` goes from the left-hand side of start→end to its right-hand side.

    Side is the sign of (end - start) x (point - start) with y down: negative before, positive after ``a_to_b``.
    """

    name: str
    start_px: tuple[float, float]
    end_px: tuple[float, float]

    def side(self, points_px: Array) -> Array:
        """Signed area, shape (m,), of points, shape (m, 2)."""
        start, end = np.array(self.start_px), np.array(self.end_px)
        along = end - start
        to_point = points_px - start
        area: Array = along[0] * to_point[:, 1] - along[1] * to_point[:, 0]
        return area


@dataclass(frozen=True, slots=True)
class TrueCrossing:
    """One real crossing.

    Attributes:
        time_s: Seconds from the scenario's start.
        actor: The actor's number.
        kind: What crossed.
        direction: Which way.
        speed_kmh: Speed on the road at that moment.
    """

    time_s: float
    actor: int
    kind: RoadUser
    direction: Direction
    speed_kmh: float


@dataclass(frozen=True, slots=True, eq=False)
class TrueScene:
    """The truth of one frame: numbers, kinds and full boxes of everybody on the road."""

    numbers: NDArray[np.int64]
    kinds: NDArray[np.int64]
    boxes: Array
    distance_m: Array


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A street with everything that happens on it.

    Attributes:
        name: For reports.
        seed: Everything random follows from it.
        duration_s: Length.
        actors: Who is there; ``actors[i].number == i``.
        camera: Who looks.
        errors: How well.
        timing: How often.
        start_utc_s: UTC of the first moment; ``Instant.mono_s`` starts at 1000.
    """

    name: str
    seed: int
    duration_s: float
    actors: tuple[Actor, ...]
    camera: PerspectiveCamera = field(default_factory=PerspectiveCamera)
    errors: DetectorErrors = field(default_factory=DetectorErrors)
    timing: FrameTiming = field(default_factory=FrameTiming)
    start_utc_s: float = EPOCH_S

    def frames(self) -> Iterator[tuple[Instant, Detections]]:
        """Capture instant and detections of every frame that arrives."""
        detector = Detector(self.errors, self.camera, np.random.default_rng([self.seed, 2]))
        for time_s, scene in self.true_scenes():
            instant = Instant(mono_s=1000.0 + time_s, utc_s=self.start_utc_s + time_s)
            yield instant, detector.see(scene.numbers, scene.kinds, scene.boxes, scene.distance_m)

    def true_scenes(self) -> Iterator[tuple[float, TrueScene]]:
        """Time from the start and truth of every frame that :meth:`frames` gives, in the same order."""
        times = self.timing.times_s(self.duration_s, np.random.default_rng([self.seed, 1]))
        rows: list[list[tuple[int, Array, float]]] = [[] for _ in times]
        for actor in self.actors:
            first = int(np.searchsorted(times, actor.path.times_s[0]))
            last = int(np.searchsorted(times, actor.path.times_s[-1], side="right"))
            xy, heading = actor.path.place(times[first:last])
            boxes = self.camera.boxes(xy, heading, actor.size_m)
            distance = np.hypot(xy[:, 0], xy[:, 1])
            for offset in np.flatnonzero(self._in_picture(boxes)).tolist():
                rows[first + offset].append((actor.number, boxes[offset], float(distance[offset])))
        kinds = np.array([actor.kind for actor in self.actors], np.int64)
        for time_s, row in zip(times.tolist(), rows, strict=True):
            numbers = np.array([number for number, _, _ in row], np.int64)
            boxes = np.array([box for _, box, _ in row], np.float64).reshape(-1, 4)
            distance = np.array([metres for _, _, metres in row], np.float64)
            yield time_s, TrueScene(numbers, kinds[numbers], boxes, distance)

    def truth(self, line: PixelLine) -> list[TrueCrossing]:
        """Every crossing of a line, by time."""
        found = [crossing for actor in self.actors for crossing in self._crossings(actor, line)]
        return sorted(found, key=lambda crossing: (crossing.time_s, crossing.actor))

    def line_across(self, name: str, left_m: tuple[float, float], right_m: tuple[float, float]) -> PixelLine:
        """The line between two points of the road, so that ``a_to_b`` comes towards a camera when left is left."""
        ends = self.camera.ground_to_image(np.array([left_m, right_m]))
        return PixelLine(name, (float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1])))

    def _in_picture(self, boxes: Array) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            inside: NDArray[np.bool_] = (
                (boxes[:, 2] > 0)
                & (boxes[:, 0] < self.camera.width_px)
                & (boxes[:, 3] > 0)
                & (boxes[:, 1] < self.camera.height_px)
            )
        return inside

    def _crossings(self, actor: Actor, line: PixelLine) -> list[TrueCrossing]:
        path = actor.path
        last = min(float(path.times_s[-1]), self.duration_s)
        times = np.arange(float(path.times_s[0]), last, _TRUTH_STEP_S)
        xy, heading = path.place(times)
        boxes = self.camera.boxes(xy, heading, actor.size_m)
        known = np.isfinite(boxes[:, 0])
        times = times[known]
        feet = np.stack([(boxes[known, 0] + boxes[known, 2]) / 2, boxes[known, 3]], axis=1)
        side = _last_side(line, feet)
        found = []
        for index in np.flatnonzero(np.sign(side[:-1]) * np.sign(side[1:]) < 0).tolist():
            share = side[index] / (side[index] - side[index + 1])
            where = feet[index] + share * (feet[index + 1] - feet[index])
            if not _within(where, line):
                continue
            at = float(times[index] + share * (times[index + 1] - times[index]))
            direction: Direction = "a_to_b" if side[index] < 0 else "b_to_a"
            found.append(TrueCrossing(at, actor.number, actor.kind, direction, path.speed_kmh(at)))
        return found


def _last_side(line: PixelLine, feet: Array) -> Array:
    """Signed area of points, shape (m,); who stands on the line is still on the side it came from.

    So something that waits on the line crosses it when it leaves, not when rounding says so.
    """
    side = line.side(feet)
    on_line = np.abs(side) <= _ON_LINE_PX * float(np.hypot(*np.subtract(line.end_px, line.start_px)))
    came = np.maximum.accumulate(np.where(on_line, 0, np.arange(len(side)))) if len(side) else np.zeros(0, np.int64)
    return np.where(on_line, np.sign(side[came]) * np.finfo(np.float64).tiny, side)


def _within(point_px: Array, line: PixelLine) -> bool:
    """Whether a point of the endless line lies between the ends."""
    start, end = np.array(line.start_px), np.array(line.end_px)
    share = float(np.dot(point_px - start, end - start) / np.dot(end - start, end - start))
    return 0.0 <= share <= 1.0
