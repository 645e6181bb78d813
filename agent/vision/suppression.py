"""One box per object: non-maximum suppression, and twins of different classes.

Both keep the higher score and are deterministic. Neither moves a box or changes a score.
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

# Which classes can be two readings of one object: people, two wheels, four wheels; by value of RoadUser.
_KIND: Final = np.array([0, 1, 1, 2, 2, 2, 2])


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
        iou: Overlap from which two boxes of related classes (four wheels, or two) are one object.
    """
    if len(found) < 2:
        return found
    kind = _KIND[found.classes]
    twins = np.triu((pairwise_iou(found.boxes, found.boxes) >= iou) & (kind[:, None] == kind), k=1)
    twins &= found.classes[:, None] != found.classes
    if not twins.any():
        return found
    kept: Bools = np.ones(len(found), np.bool_)
    for row in twins.any(axis=1).nonzero()[0]:
        if kept[row]:
            kept &= ~twins[row]
    return found.select(kept)


def pairwise_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box with every other.

    Args:
        first: float32, shape (n, 4): left, top, right, bottom.
        second: float32, shape (m, 4).

    Returns:
        float32, shape (n, m); 0 where both boxes are empty.
    """
    size = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = size.clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
