"""One box per object: non-maximum suppression, twins of different classes, and boxes around two objects at once.

All are deterministic, and none moves a box or changes a score. The first two keep the higher score; the last keeps
the two parts.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from agent.values import Bools, Detections, Floats

CANDIDATE_LIMIT: Final = 1000
"""Boxes that enter suppression; its time grows with their square (4 ms for so many on one core of a PC)."""
DETECTION_LIMIT: Final = 300
"""Objects in one picture; what YOLO's and DETR's authors allow."""

# What a box around two objects looks like. Chosen on street cameras with three detectors, and the same for all of them.
_PART_INSIDE: Final = 0.6  # so much of each part lies within the box, as a share of the part
_PART_SMALLER: Final = 0.8  # a part's area is at most this share of the box's
_PART_SCORE: Final = 0.7  # a part's score at least, in scores of the box
_PARTS_APART: Final = 0.5  # the parts share at most this much of the smaller one: else they are one thing read twice
_PARTS_FILL: Final = 0.6  # and cover at least this much of the box together
_PARTS_SPAN: Final = 0.7  # intersection over union of the box with the smallest box around both parts, at least
_PARTS_BEFORE: Final = (
    0.05  # of its height: where two people end lower than that below a person's box, they stand before it
)

# By value of RoadUser: people, two wheels, four wheels …
_KIND: Final = np.array([0, 1, 1, 2, 2, 2, 2])
_PEOPLE: Final = 0
# … and which classes can be two readings of one object: who walks is easily taken for somebody who rides.
_READING: Final = np.array([0, 0, 0, 2, 2, 2, 2])


def strongest(found: Detections, limit: int) -> Detections:
    """The detections in falling order of score, at most ``limit``; equal scores keep their order."""
    return found.select(np.argsort(-found.scores, kind="stable")[:limit])


def suppress(found: Detections, iou: float) -> Detections:
    """Class-aware non-maximum suppression.

    Args:
        found: Detections in any order.
        iou: Two boxes of one class that overlap more are one object.

    Returns:
        The survivors in falling order of score, at most :data:`DETECTION_LIMIT`.
    """
    found = strongest(found, CANDIDATE_LIMIT)
    if len(found) < 2:  # OpenCV wants none of an empty list
        return found
    corner_and_size = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(corner_and_size.tolist(), found.scores.tolist(), found.classes.tolist(), 0.0, iou)
    return found.select(np.sort(np.asarray(kept, np.int64).ravel())[:DETECTION_LIMIT])


def drop_twins(found: Detections, iou: float) -> Detections:
    """Drop the weaker of two nearly equal boxes of related classes: one van is no car and truck at once.

    Args:
        found: Detections in falling order of score.
        iou: Overlap from which two boxes of related classes (four wheels; two, or a person) are one object.
    """
    if len(found) < 2:
        return found
    reading = _READING[found.classes]
    twins = np.triu((pairwise_iou(found.boxes, found.boxes) >= iou) & (reading[:, None] == reading), k=1)
    twins &= found.classes[:, None] != found.classes
    if not twins.any():
        return found
    kept: Bools = np.ones(len(found), np.bool_)
    for row in twins.any(axis=1).nonzero()[0]:
        if kept[row]:
            kept &= ~twins[row]
    return found.select(kept)


def drop_spans(found: Detections) -> Detections:
    """Drop boxes that only stand for two others together: a third car around two that drive side by side.

    Such a box overlaps neither of the two enough for suppression, scores no worse, and lasts: it becomes a track of its
    own beside theirs, and three are counted where two passed. It is dropped where two boxes of its kind (people, two
    wheels or four) lie mostly within it, are seen about as surely, hardly share any of it, and together are what it
    spans. So it stays where it is seen alone, where only one part is seen, where the parts are as good as the box
    itself, where two small things stand in front of a large one that reaches beyond them, and, among people only,
    where both parts end lower in the picture: what goes around two reaches down to their feet, and an adult behind two
    children does not. One who stands between two smaller ones, or covers both, can't be told from a box around them,
    and is dropped.

    Args:
        found: Detections in any order; order is kept.
    """
    if len(found) < 3:
        return found
    boxes, kind = found.boxes, _KIND[found.classes]
    area, height = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), boxes[:, 3] - boxes[:, 1]
    shared = _shared_area(boxes, boxes)
    part = (shared >= _PART_INSIDE * area) & (area < _PART_SMALLER * area[:, None]) & (kind[:, None] == kind)
    part &= found.scores >= _PART_SCORE * found.scores[:, None]
    spans: Bools = np.zeros(len(found), np.bool_)
    for whole in (part.sum(axis=1) >= 2).nonzero()[0]:
        rows = part[whole].nonzero()[0]
        one, other = (rows[side] for side in np.triu_indices(len(rows), k=1))
        both = shared[one, other]
        apart = both <= _PARTS_APART * np.minimum(area[one], area[other])
        fill = shared[whole, one] + shared[whole, other] - both >= _PARTS_FILL * area[whole]
        around = np.concatenate(
            [np.minimum(boxes[one, :2], boxes[other, :2]), np.maximum(boxes[one, 2:], boxes[other, 2:])], axis=1
        )
        span = pairwise_iou(boxes[whole][None], around)[0] >= _PARTS_SPAN
        lowest = boxes[whole, 3] + _PARTS_BEFORE * height[whole]
        before = (kind[whole] == _PEOPLE) & (np.minimum(boxes[one, 3], boxes[other, 3]) > lowest)
        spans[whole] = bool((apart & fill & span & ~before).any())
    return found.select(~spans) if spans.any() else found


def pairwise_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box with every other.

    Args:
        first: float32, shape (n, 4): left, top, right, bottom.
        second: float32, shape (m, 4).

    Returns:
        float32, shape (n, m); 0 where both boxes are empty.
    """
    shared = _shared_area(first, second)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def _shared_area(first: Floats, second: Floats) -> Floats:
    """The area that every box shares with every other, square pixels; float32, shape (n, m)."""
    size = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    area: Floats = size.clip(min=0).prod(axis=2)
    return area
