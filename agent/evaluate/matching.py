"""Average precision: detections matched to truth, precision over recall, by class and by object size.

The ruler is COCO's (Lin et al. 2014, arXiv:1405.0312): greedy matching by falling score, 101 recall points,
intersection over union 0.50 to 0.95 in steps of 0.05. Objects below a height are neither asked for nor held against a
model. Pure: arrays in, numbers out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.values import Bools, Detections, Floats, Ints, RoadUser

IOU_STEPS: Final = np.linspace(0.5, 0.95, 10)
RECALL_POINTS: Final = np.linspace(0, 1, 101)
LONG_SIDE_PX: Final = 640
"""Heights are measured as if the picture's long side had this many pixels, whatever its real size."""
FLOOR_PX: Final = 12.0
SIZE_BANDS: Final = (("small", FLOOR_PX, 24.0), ("medium", 24.0, 64.0), ("large", 64.0, float("inf")))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a name, and the classes that count as one."""

    name: str
    classes: frozenset[int]


FOUR_WHEELERS: Final = Subject("any four-wheeler", frozenset({RoadUser.CAR, RoadUser.BUS, RoadUser.TRUCK}))
SUBJECTS: Final = (*(Subject(user.label, frozenset({int(user)})) for user in RoadUser), FOUR_WHEELERS)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture's truth and detections, boxes relative to the picture's long side of :data:`LONG_SIDE_PX`."""

    name: str
    truth_boxes: Floats
    truth_classes: Ints
    found: Detections


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision over recall for one subject.

    Attributes:
        ap50: Average precision at IoU 0.5; ``None`` where the data has no such object.
        ap50_95: The mean over :data:`IOU_STEPS`.
        objects: How many objects were asked for.
        precision: float64, shape (101,), at :data:`RECALL_POINTS`, IoU 0.5.
    """

    ap50: float | None
    ap50_95: float | None
    objects: int
    precision: Floats


def overlaps(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box of ``a`` (n, 4) with every box of ``b`` (m, 4): float32, shape (n, m)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def curve_of(
    pictures: Iterable[Picture], subject: Subject, low_px: float = FLOOR_PX, high_px: float = float("inf")
) -> Curve:
    """Measure one subject on objects of a range of heights.

    Args:
        pictures: Truth and detections.
        subject: What to measure; a detection of any of its classes finds an object of any of them.
        low_px: Least height of objects and detections that count.
        high_px: Height from which they count no more.
    """
    scores: list[Floats] = []
    hits: list[Bools] = []
    objects = 0
    for picture in pictures:
        asked, ignored, found = _of(picture, subject, low_px, high_px)
        objects += len(asked)
        hit, kept = _match(asked, ignored, found)
        hits.append(hit)
        scores.append(found.scores[kept])
    if objects == 0:
        return Curve(None, None, 0, np.zeros(len(RECALL_POINTS), np.float32))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    ranked = np.concatenate(hits, axis=0)[order]
    lines = [_precision_at_recall(ranked[:, step], objects) for step in range(len(IOU_STEPS))]
    averages = [float(line.mean()) for line in lines]
    return Curve(averages[0], float(np.mean(averages)), objects, lines[0])


def _of(picture: Picture, subject: Subject, low_px: float, high_px: float) -> tuple[Floats, Floats, Detections]:
    """Boxes asked for, boxes that may be found but need not be, and the detections that count, best first."""
    classes = np.array(sorted(subject.classes))
    boxes = picture.truth_boxes[np.isin(picture.truth_classes, classes)]
    heights = boxes[:, 3] - boxes[:, 1]
    asked = (heights >= low_px) & (heights < high_px)
    found = picture.found.select(np.isin(picture.found.classes, classes))
    if len(subject.classes) > 1:
        found = _one_per_object(found)
    tall = found.boxes[:, 3] - found.boxes[:, 1]
    found = found.select((tall >= low_px) & (tall < high_px))
    return boxes[asked], boxes[~asked], found.select(np.argsort(-found.scores, kind="stable"))


def _one_per_object(found: Detections) -> Detections:
    """Of two readings of one vehicle (a car and a truck in the same place) keep the surer."""
    ordered = found.select(np.argsort(-found.scores, kind="stable"))
    matrix = overlaps(ordered.boxes, ordered.boxes)
    keep = np.ones(len(ordered), np.bool_)
    for index in range(len(ordered)):
        if keep[index]:
            keep[index + 1 :] &= matrix[index, index + 1 :] < 0.7
    return ordered.select(keep)


def _match(asked: Floats, ignored: Floats, found: Detections) -> tuple[Bools, Bools]:
    """Match one picture's detections, best first.

    Returns:
        hits: bool, shape (k, 10): whether each counted detection finds an object at each IoU of IOU_STEPS.
        kept: bool, shape (n,): detections that count; those on ignored objects do not.
    """
    hit = np.zeros((len(found), len(IOU_STEPS)), np.bool_)
    kept = np.ones(len(found), np.bool_)
    if len(ignored) and len(found):
        on_ignored = overlaps(found.boxes, ignored).max(axis=1)
        on_asked = overlaps(found.boxes, asked).max(axis=1) if len(asked) else np.zeros(len(found), np.float32)
        kept = ~((on_ignored >= IOU_STEPS[0]) & (on_asked < IOU_STEPS[0]))
    if len(asked) and len(found):
        matrix = overlaps(found.boxes, asked)
        for step, least in enumerate(IOU_STEPS):
            hit[:, step] = _greedy(matrix, least)
    return hit[kept], kept


def _greedy(matrix: Floats, least: float) -> Bools:
    free = np.ones(matrix.shape[1], np.bool_)
    hit = np.zeros(matrix.shape[0], np.bool_)
    for row in np.flatnonzero(matrix.max(axis=1) >= least):
        overlap = np.where(free, matrix[row], -1)
        best = int(overlap.argmax())
        if overlap[best] >= least:
            free[best] = False
            hit[row] = True
    return hit


def _precision_at_recall(ranked: Bools, objects: int) -> Floats:
    true = np.cumsum(ranked)
    recall = true / objects
    precision = true / np.arange(1, len(ranked) + 1) if len(ranked) else np.zeros(0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    index = np.searchsorted(recall, RECALL_POINTS, side="left")
    inside = index < len(envelope)
    line = np.zeros(len(RECALL_POINTS), np.float32)
    line[inside] = envelope[index[inside]]
    return line


def size_bands(measure: Callable[[float, float], Curve]) -> dict[str, Curve]:
    """The same measurement in each of :data:`SIZE_BANDS`."""
    return {name: measure(low, high) for name, low, high in SIZE_BANDS}
