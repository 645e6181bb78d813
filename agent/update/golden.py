"""Golden frames: a few pictures with what a model must see in them, signed beside the model.

One compressed archive of plain arrays. Reading allows arrays of known names, types and sizes only: nothing in the
file is ever executed, and its unpacked size is bounded before anything is unpacked.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent.update.refusal import UpdateError
from agent.values import CLASS_NAMES, Bools, Detections, Floats, Image

FRAME_LIMIT: Final = 32
UNPACKED_LIMIT_BYTES: Final = 256 * 1024 * 1024
_COLUMNS: Final = ("image", "boxes", "scores", "classes")
_TRUE_IOU: Final = 0.5  # the overlap from which object detection speaks of the same object


@dataclass(frozen=True, slots=True, eq=False)
class GoldenFrame:
    """One picture and what is to be seen in it.

    Attributes:
        image: uint8, shape (height, width, 3), BGR.
        expected: The detections that count as right.
    """

    image: Image
    expected: Detections


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well detections agree with what was expected.

    Attributes:
        expected: Road users that were to be seen.
        seen: Road users that were seen.
        matched: Pairs of one class that overlap by half or more.
    """

    expected: int
    seen: int
    matched: int

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.expected + other.expected, self.seen + other.seen, self.matched + other.matched)


def write_golden(frames: Sequence[GoldenFrame]) -> bytes:
    """Golden frames as one file; the same frames give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for number, frame in enumerate(frames):
            columns: tuple[NDArray[Any], ...] = (
                frame.image,
                frame.expected.boxes,
                frame.expected.scores,
                frame.expected.classes,
            )
            for name, column in zip(_COLUMNS, columns, strict=True):
                raw = io.BytesIO()
                np.save(raw, column, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{number:02d}/{name}.npy"), raw.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def read_golden(data: bytes, where: str) -> tuple[GoldenFrame, ...]:
    """The frames of a file.

    Raises:
        UpdateError: It is no golden file (``malformed``).
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return tuple(_frame(archive, number) for number in range(_frames_in(archive)))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UpdateError(
            "malformed", f"{where} holds no golden frames ({error}); make them with: kentongan release golden"
        ) from error


def agreement(expected: Detections, seen: Detections) -> Agreement:
    """Match what was seen with what was expected, one to one, best overlap first."""
    overlap = _iou(expected.boxes, seen.boxes) * (expected.classes[:, None] == seen.classes[None, :])
    matched = 0
    while overlap.size and overlap.max() >= _TRUE_IOU:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        overlap[row, :] = 0
        overlap[:, column] = 0
        matched += 1
    return Agreement(len(expected), len(seen), matched)


def strong(found: Detections, score: float) -> Detections:
    """Those detections that a model is sure of."""
    sure: Bools = found.scores >= score
    return found.select(sure)


def _frames_in(archive: zipfile.ZipFile) -> int:
    files = archive.infolist()
    if sum(file.file_size for file in files) > UNPACKED_LIMIT_BYTES:
        raise ValueError("it unpacks to more than is allowed")
    frames = len(files) // len(_COLUMNS)
    if not 1 <= frames <= FRAME_LIMIT or len(files) != frames * len(_COLUMNS):
        raise ValueError(f"it holds {len(files)} arrays")
    return frames


def _frame(archive: zipfile.ZipFile, number: int) -> GoldenFrame:
    image, boxes, scores, classes = (_array(archive, f"{number:02d}/{name}.npy") for name in _COLUMNS)
    count = len(scores)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"picture {number} is none")
    if boxes.shape != (count, 4) or classes.shape != (count,) or scores.shape != (count,):
        raise ValueError(f"the columns of picture {number} differ in length")
    known = bool(np.isin(classes, np.arange(len(CLASS_NAMES))).all())
    if not (known and np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError(f"the detections of picture {number} make no sense")
    found = Detections(boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64))
    return GoldenFrame(image, found)


def _array(archive: zipfile.ZipFile, name: str) -> Any:
    return np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def _iou(one: Floats, other: Floats) -> Floats:
    """Intersection over union of every pair, float32, shape (n, m)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - common
    share: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return share
