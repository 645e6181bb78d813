"""Reads a folder of images and labels for training, checks every file, and holds it in memory.

The folder has `images/<split>/*.jpg` and `labels/<split>/*.txt` (one box a line: class, centre x, centre y,
width, height, relative to the image), as `unpack_street.py` writes it. Promises that what it returns is whole:
any missing, malformed or undecodable file raises `BadDataError` with every file and line at once.
Never changes a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = ("person", "bicycle", "motorcycle", "car", "bus", "truck")
PERSON, MOTORCYCLE = 0, 2
SOURCES = ("cctv", "highway", "roadside", "people")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_PROBLEMS_SHOWN = 200
EDGE_TOLERANCE = 0.002  # labels are rounded to four digits, so a box may end a hair outside the image


class BadDataError(Exception):
    """The data folder can't be trained on; the message lists every file and line at fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = list(self.problems[:MOST_PROBLEMS_SHOWN])
        if len(self.problems) > len(shown):
            shown.append(f"... and {len(self.problems) - len(shown)} more")
        super().__init__("\n".join([f"{len(self.problems)} problems in the training data:", *shown]))


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled still.

    Attributes:
        name: The file's stem, which names its video and frame.
        source: One of `SOURCES`, or `other`.
        image: (height, width, 3) uint8, BGR, as decoded.
        boxes: (n, 5) float32: class, then x1, y1, x2, y2 relative to the image.
    """

    name: str
    source: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]


def read_split(folder: Path, split: str) -> list[Sample]:
    """Read and check one split.

    Raises:
        BadDataError: Something is missing or wrong; every fault found is listed.
    """
    images = {p.stem: p for p in sorted((folder / "images" / split).glob("*")) if p.suffix in IMAGE_SUFFIXES}
    labels = {p.stem: p for p in sorted((folder / "labels" / split).glob("*.txt"))}
    problems = [f"{images[stem]}: has no label file" for stem in images.keys() - labels.keys()]
    problems += [f"{labels[stem]}: has no image" for stem in labels.keys() - images.keys()]
    if not images:
        problems.append(f"{folder / 'images' / split}: holds no images")
    samples = []
    for stem in sorted(images.keys() & labels.keys()):
        image = cv2.imread(str(images[stem]), cv2.IMREAD_COLOR)
        if image is None:
            problems.append(f"{images[stem]}: does not decode as an image")
            continue
        boxes, faults = parse_labels(labels[stem].read_text(encoding="utf-8", errors="replace"))
        problems += [f"{labels[stem]}:{fault}" for fault in faults]
        source = source_of(stem)
        if source == "roadside":
            boxes = without_riders(boxes)
        samples.append(Sample(stem, source, image, boxes))
    if problems:
        raise BadDataError(sorted(problems))
    return samples


def parse_labels(text: str) -> tuple[NDArray[np.float32], list[str]]:
    """Parse one label file into boxes (n, 5) (class, x1, y1, x2, y2, relative) and faults, each `line: what`."""
    rows: list[tuple[float, ...]] = []
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(_parse_line(line))
        except ValueError as error:
            faults.append(f"{number}: {error}")
    return np.array(rows, np.float32).reshape(-1, 5), faults


def _parse_line(line: str) -> tuple[float, ...]:
    parts = line.split()
    if len(parts) != 5:
        raise ValueError(f"has {len(parts)} values, must be 5: class, centre x, centre y, width, height")
    try:
        cls, cx, cy, width, height = (float(part) for part in parts)
    except ValueError:
        raise ValueError(f"'{line.strip()}' is not five numbers") from None
    if cls not in range(len(CLASSES)):
        raise ValueError(f"class {parts[0]} is not one of 0..{len(CLASSES) - 1} ({', '.join(CLASSES)})")
    low, high = -EDGE_TOLERANCE, 1 + EDGE_TOLERANCE
    corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    if not (width > 0 and height > 0 and all(low <= corner <= high for corner in corners)):
        raise ValueError(f"box '{' '.join(parts[1:])}' is empty or leaves the image (values are relative, 0..1)")
    return (cls, *(min(max(corner, 0.0), 1.0) for corner in corners))


def source_of(stem: str) -> str:
    """Which of `SOURCES` a file came from, by its name (`train-cctv-A-0001`); `other` when it does not say."""
    parts = stem.split("-")
    return parts[1] if len(parts) > 1 and parts[1] in SOURCES else "other"


def without_riders(boxes: NDArray[np.float32], covered: float = 0.5) -> NDArray[np.float32]:
    """Drop persons of whom a share of at least `covered` lies in a motorcycle's box: its rider is part of it."""
    machines = boxes[boxes[:, 0] == MOTORCYCLE]
    keep = []
    for box in boxes:
        overlap = np.minimum(box[3:], machines[:, 3:]) - np.maximum(box[1:3], machines[:, 1:3])
        inside = np.prod(np.maximum(overlap, 0), axis=1) / np.prod(box[3:] - box[1:3])
        keep.append(not (box[0] == PERSON and np.any(inside >= covered)))
    return boxes[np.array(keep, bool)] if len(boxes) else boxes


def repeat_weights(samples: Sequence[Sample], common: float = 0.25, most: float = 2.0) -> NDArray[np.float64]:
    """How often to draw each sample, relative to one: more where it shows a rare class.

    The repeat factor of Gupta, Dollar and Girshick (LVIS, 2019): max over classes of sqrt(common / frequency),
    at least 1, here at most `most`.
    """
    shown = np.array([[np.any(s.boxes[:, 0] == c) for c in range(len(CLASSES))] for s in samples])
    factor = np.clip(np.sqrt(common / np.maximum(shown.mean(axis=0), 1e-9)), 1, most)
    return np.asarray(np.maximum(np.where(shown, factor, 1.0).max(axis=1), 1.0), np.float64)


def folder_hash(folder: Path) -> str:
    """sha256 over the names and bytes of every image and label, in name order."""
    digest = hashlib.sha256()
    for path in sorted(p for kind in ("images", "labels") for p in (folder / kind).glob("*/*")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
