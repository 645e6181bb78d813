"""Pastes pedestrians from stills that show them large into other pictures, at the sizes street cameras show.

The stills of streets show few pedestrians, those of `people` show them indoors and close. Cut out with a soft edge,
made small and set into any picture, alone or side by side, they are what the network would otherwise never see: many
different people, 15 to 62 px high, in the open. All randomness comes from the generator passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.train.dataset import PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from models.train.dataset import Sample

    Picture = NDArray[np.uint8]
    Boxes = NDArray[np.float32]

LEAST_HEIGHT_PX = 48  # of a person who is cut out; smaller ones have nothing to show
EDGE = 0.01  # a box so close to the picture's edge is cut, as a share of the picture
ALONE = 0.15  # nobody else may cover more of the box
SLENDER = (0.2, 0.65)  # width by height of somebody upright and whole
MARGIN = 0.08  # of the surroundings that come along, on each side, of the box
HEIGHTS = (18.0, 72.0)  # with the margin, px in a picture 288 px high: people of 15 to 62 px
MOST = 5
BESIDE = 0.4  # chance to stand close to the one before
HIDDEN = 0.2  # at most so much of a labelled object may be painted over, or of the pedestrian be hidden in one


def cutouts(samples: Sequence[Sample]) -> list[Picture]:
    """Everybody in the stills of `people` who is upright and whole, with a margin around: uint8, (h, w, 3) each."""
    found = []
    for sample in samples:
        if sample.source != "people":
            continue
        height, width = sample.image.shape[:2]
        boxes = sample.boxes[:, 1:] * np.array([width, height] * 2, np.float32)
        for number, (left, top, right, bottom) in enumerate(boxes):
            wide, high = right - left, bottom - top
            inside = min(left / width, top / height, 1 - right / width, 1 - bottom / height) > EDGE
            upright = high >= LEAST_HEIGHT_PX and SLENDER[0] <= wide / high <= SLENDER[1]
            others = np.delete(boxes, number, axis=0)
            covered = _shares(others, boxes[number]).max(initial=0) / max(wide * high, 1)
            if sample.boxes[number, 0] == PERSON and inside and upright and covered <= ALONE:
                x1, y1 = int(max(0, left - MARGIN * wide)), int(max(0, top - MARGIN * high))
                x2, y2 = int(right + MARGIN * wide) + 1, int(bottom + MARGIN * high) + 1
                found.append(sample.image[y1:y2, x1:x2])
    return found


def paste(canvas: Picture, boxes: Boxes, persons: Sequence[Picture], rng: Generator) -> Boxes:
    """Set pedestrians into a picture, in place.

    Args:
        canvas: (height, width, 3) uint8 BGR; is painted on.
        boxes: (n, 5) float32 of what it shows: class, x1, y1, x2, y2 in px.
        persons: Of :func:`cutouts`.
        rng: The only source of randomness.

    Returns:
        The boxes and those of the pedestrians, (n + k, 5) float32.
    """
    height, width = canvas.shape[:2]
    low, high = np.log(HEIGHTS) + np.log(height / 288)
    usual, before = rng.uniform(low, high), None
    for _ in range(int(rng.integers(1, MOST + 1))):
        cutout = persons[int(rng.integers(len(persons)))]
        tall = float(np.exp(np.clip(usual + rng.normal(0, 0.15), low, high)))
        wide = tall * cutout.shape[1] / cutout.shape[0]
        x, foot = rng.uniform(0, width), rng.uniform(0.3, 1.0) * height
        if before is not None and rng.random() < BESIDE:
            x = (before[0] + before[2]) / 2 + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2) * wide
            foot = before[3] + rng.uniform(-0.1, 0.1) * tall
        left, top = int(x - wide / 2), int(foot - tall)
        patch = _prepared(cutout, (max(4, round(wide)), max(8, round(tall))), rng)
        box = _inner((left, top), patch)
        if not _free(box, boxes, before, (width, height)):
            continue
        _blend(canvas, patch, (left, top))
        boxes = np.concatenate([boxes, np.array([[PERSON, *box]], np.float32)])
        before = box
    return boxes


def _prepared(cutout: Picture, size: tuple[int, int], rng: Generator) -> Picture:
    """As large as wanted, mirrored or not, in other light."""
    pixels = cutout[:, ::-1] if rng.random() < 0.5 else cutout
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(np.clip(small * rng.uniform(0.7, 1.3) + rng.uniform(-20, 20), 0, 255), np.uint8)


def _inner(corner: tuple[int, int], patch: Picture) -> Boxes:
    """The person's box in a patch whose margin is left out."""
    height, width = patch.shape[:2]
    share = MARGIN / (1 + 2 * MARGIN)
    (left, top), (x, y) = corner, (share * width, share * height)
    return np.array([left + x, top + y, left + width - x, top + height - y], np.float32)


def _free(box: Boxes, boxes: Boxes, before: Boxes | None, size: tuple[int, int]) -> bool:
    """Whether somebody may stand there: in the picture, and hiding nothing but the one beside."""
    if box[0] < 0 or box[1] < 0 or box[2] > size[0] or box[3] > size[1]:
        return False
    others = boxes[:, 1:]
    if before is not None:
        others = others[(others != before).any(axis=1)]
    shared, own = _shares(others, box), float(np.prod(box[2:] - box[:2]))
    areas = np.maximum(np.prod(others[:, 2:] - others[:, :2], axis=1), 1e-6)
    return bool((np.maximum(shared / areas, shared / own) <= HIDDEN).all())


def _shares(boxes: Boxes, box: Boxes) -> Boxes:
    """How many square pixels each box shares with one."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return np.asarray(np.prod(np.maximum(sides, 0), axis=1), np.float32)


def _blend(canvas: Picture, patch: Picture, corner: tuple[int, int]) -> None:
    """Paint a patch with a soft, rounded edge; what lies outside of the picture is cut."""
    height, width = patch.shape[:2]
    middle, half = ((width - 1) / 2, (height - 1) / 2), (0.46 * width, 0.48 * height)
    rows, columns = np.ogrid[:height, :width]
    round_ = np.abs((columns - middle[0]) / half[0]) ** 3 + np.abs((rows - middle[1]) / half[1]) ** 3
    mask = cv2.GaussianBlur((round_ <= 1).astype(np.float32), (0, 0), max(0.5, 0.03 * height))[..., np.newaxis]
    (left, top), (limit_y, limit_x) = corner, canvas.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + width, limit_x), min(top + height, limit_y)
    within = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    under = canvas[y1:y2, x1:x2]
    canvas[y1:y2, x1:x2] = (under + mask[within] * (patch[within].astype(np.float32) - under)).astype(np.uint8)
