"""Labelled pictures, from a folder of images and label files or from videos with one file of boxes.

Reads two layouts: `images/SPLIT/*.jpg` with `labels/SPLIT/*.txt` (class, centre, size, relative to the picture), and
`*.jsonl` rows `{video, frame, split, boxes}` beside their videos. Every fault is listed with file and line before
the first picture is looked at; nothing is guessed and nothing is skipped silently.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from agent.errors import KentonganError
from agent.values import Floats, Image, Ints, RoadUser

_PICTURES: Final = (".jpg", ".jpeg", ".png")
_FAULTS_SHOWN: Final = 40


class DatasetError(KentonganError):
    """Labelled data can't be used; the message lists files and lines."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What people marked in one picture, in columns of equal length n.

    Attributes:
        boxes: float32, shape (n, 4): left, top, right, bottom, relative to the picture.
        classes: int64, shape (n,): :class:`RoadUser`.
    """

    boxes: Floats
    classes: Ints


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one picture is: an image file, or a frame of a video."""

    file: Path
    frame: int | None = None


class Dataset:
    """Labelled pictures that can be gone through again and again.

    Args:
        name: For titles and reports.
        rows: Where each picture is and what is in it.
    """

    def __init__(self, name: str, rows: list[tuple[_Place, Truth]]) -> None:
        self.name = name
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[str, Image, Truth]]:
        """Each picture's name, the picture (uint8, (height, width, 3), BGR), and its truth.

        Raises:
            DatasetError: A picture does not decode.
        """
        stills = [(place, truth) for place, truth in self._rows if place.frame is None]
        for place, truth in stills:
            image = cv2.imread(str(place.file))
            if image is None:
                raise DatasetError(
                    f"{place.file} does not decode as a picture; replace it or remove it with its labels"
                )
            yield place.file.name, image, truth  # type: ignore[misc]
        by_video: dict[Path, dict[int, Truth]] = defaultdict(dict)
        for place, truth in self._rows:
            if place.frame is not None:
                by_video[place.file][place.frame] = truth
        for video, frames in by_video.items():
            yield from _frames_of(video, frames)


def _frames_of(video: Path, frames: dict[int, Truth]) -> Iterator[tuple[str, Image, Truth]]:
    capture = cv2.VideoCapture(str(video))
    try:
        for number in range(max(frames) + 1):
            if not capture.grab():
                raise DatasetError(f"{video} ends at frame {number}, but its labels go on to {max(frames)}")
            if number in frames:
                ok, image = capture.retrieve()
                if not ok:
                    raise DatasetError(f"{video}: frame {number} does not decode; copy the video again")
                yield f"{video.stem}-{number:04d}", image, frames[number]  # type: ignore[misc]
    finally:
        capture.release()


def open_dataset(data: Path, *, split: str = "val", video: Path | None = None) -> Dataset:
    """Find out what layout a path has and read its labels.

    Args:
        data: A folder with `images/` and `labels/`, a folder with a `labels.jsonl`, or a `.jsonl` file.
        split: Which part to read, where the data names parts.
        video: The video that a `.jsonl` file without `video` fields belongs to.

    Raises:
        DatasetError: The path has no known layout, or labels are missing or malformed.
    """
    if data.is_file() and data.suffix == ".jsonl":
        return _from_lines(data, split, video)
    if (data / "labels.jsonl").is_file():
        return _from_lines(data / "labels.jsonl", split, video)
    if (data / "images" / split).is_dir():
        return _from_folders(data, split)
    raise DatasetError(
        f"{data} holds no labelled data that can be read; give a folder with images/{split}/ and labels/{split}/, "
        "a folder with labels.jsonl, or a .jsonl file"
    )


def _from_folders(data: Path, split: str) -> Dataset:
    faults: list[str] = []
    rows = []
    for picture in sorted((data / "images" / split).iterdir()):
        if picture.suffix.lower() not in _PICTURES:
            continue
        label = data / "labels" / split / f"{picture.stem}.txt"
        if not label.is_file():
            faults.append(f"{label}: missing for {picture.name}")
            continue
        rows.append((_Place(picture), _truth(_numbered(_read(label)), f"{label}:", faults)))
    return _judged(data.name, rows, faults)


def _from_lines(file: Path, split: str, video: Path | None) -> Dataset:
    faults: list[str] = []
    rows: dict[_Place, Truth] = {}
    for number, line in enumerate(_read(file).splitlines(), 1):
        try:
            row = json.loads(line)
            if row.get("split", split) != split:
                continue
            place = _Place(video if video is not None else file.parent / row["video"], int(row["frame"]))
            boxes = list(enumerate(row["boxes"], 1))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            faults.append(f"{file}:{number}: no row of frame, boxes and video ({type(error).__name__}: {error})")
            continue
        if not place.file.is_file():
            faults.append(f"{file}:{number}: there is no video {place.file}; name it with --video")
        elif place in rows:
            faults.append(f"{file}:{number}: frame {place.frame} of {place.file.name} was already labelled above")
        else:
            rows[place] = _truth(boxes, f"{file}:{number}: box ", faults)
    return _judged(file.parent.name if file.name == "labels.jsonl" else file.stem, list(rows.items()), faults)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} can't be read as text: {error}; write it again") from error


def _numbered(text: str) -> list[tuple[int, list[str]]]:
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _judged(name: str, rows: list[tuple[_Place, Truth]], faults: list[str]) -> Dataset:
    if faults:
        more = f"\n… and {len(faults) - _FAULTS_SHOWN} more" if len(faults) > _FAULTS_SHOWN else ""
        raise DatasetError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in the labels:\n" + "\n".join(faults[:_FAULTS_SHOWN]) + more
        )
    if not rows:
        raise DatasetError(f"{name} has no pictures in this split; see --split")
    return Dataset(name, rows)


def _truth(rows: Iterable[tuple[int, object]], where: str, faults: list[str]) -> Truth:
    """Numbered boxes as columns; what can't be one is added to the faults."""
    boxes, classes = [], []
    for number, row in rows:
        try:
            user, x, y, width, height = (float(value) for value in row)  # type: ignore[attr-defined]
            road_user = RoadUser(user)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            faults.append(f"{where}{number}: not a class from 0 to 6 and four numbers: {row}")
            continue
        if not (0 < width <= 1.01 and 0 < height <= 1.01 and -0.01 <= x <= 1.01 and -0.01 <= y <= 1.01):
            faults.append(f"{where}{number}: lies outside the picture: {x} {y} {width} {height}")
            continue
        boxes.append((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        classes.append(int(road_user))
    return Truth(np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64))
