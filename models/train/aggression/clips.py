"""The fight clips as maps of movement and what is seen in them, their scenes, and folds that divide no scene."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.closeness import gatherings
from agent.vision.motion import FRAMES, Grey, motion, small
from agent.vision.stills import stills
from models.train.aggression.look import Looker
from models.train.aggression.worse import Square, beside, worse

SAME_SCENE: Final = 0.31
"""Correlation of background edges above which two clips show one scene; checked by eye around this value."""
FOLDS: Final = 5
VIEWS: Final = ("whole", "crop")
SPOILT: Final = 8
"""Windows of each clip that are spoilt, four of five of them crops."""
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: its label, its background's edges, and windows of 16 frames by view.

    Attributes:
        name: Kind and number.
        fight: Whether it shows one.
        background: Its edges.
        windows: Maps of movement. Where nobody was seen close to anybody there are no crops.
        seen: What the look answers to the same windows.
        spoilt: What it answers to spoilt ones.
    """

    name: str
    fight: bool
    background: Array
    windows: dict[str, list[Array]]
    seen: dict[str, list[Array]]
    spoilt: list[Array]


def read_clips(folder: Path, boxes_file: Path, looker: Looker) -> list[Clip]:
    """Every clip."""
    with np.load(boxes_file) as kept:
        return [_read(path, kept[f"{path.parent.name}/{path.stem}"], looker) for path in sorted(folder.glob("*/*.mp4"))]


def _read(path: Path, rows: Array, looker: Looker) -> Clip:
    video, frames = cv2.VideoCapture(str(path)), []
    while video.grab():
        frames.append(video.retrieve()[1])
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    boxes = [rows[rows[:, 0] == number, 1:] for number in range(len(frames))]
    windows: dict[str, list[Array]] = {view: [] for view in VIEWS}
    seen: dict[str, list[Array]] = {view: [] for view in VIEWS}
    last = len(frames) - FRAMES
    for start in sorted({0, last // 2, last}):
        for view, square in (("whole", _all_of(grey[0])), ("crop", _group(boxes[start : start + FRAMES], grey[0]))):
            if square is not None:
                part = _cut(grey[start : start + FRAMES], square)
                windows[view].append(motion([small(each) for each in part]))
                seen[view].append(looker.see(stills(part)))
    name = f"{path.parent.name}/{path.stem}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    spoilt = [looker.see(stills(_spoilt(grey, boxes, int(rng.integers(last + 1)), rng))) for _ in range(SPOILT)]
    return Clip(name, path.parent.name == "fight", _edges(frames), windows, seen, spoilt)


def _spoilt(grey: list[Grey], boxes: list[Array], start: int, rng: np.random.Generator) -> list[Grey]:
    square = _group(boxes[start : start + FRAMES], grey[0]) if rng.random() < 0.8 else None
    square = beside(square or _all_of(grey[0]), grey[0].shape[::-1], rng)
    return worse(_cut(grey[start : start + FRAMES], square), rng)


def _group(boxes: list[Array], picture: Grey) -> Square | None:
    """Around the largest group of a window."""
    found = gatherings(boxes, picture.shape[::-1])
    return found[0].square if found else None


def _all_of(picture: Grey) -> Square:
    return 0, 0, picture.shape[1], picture.shape[0]


def _cut(pictures: list[Grey], square: Square) -> list[Grey]:
    left, top, right, bottom = square
    return [each[top:bottom, left:right] for each in pictures]


def _edges(frames: list[Array]) -> Array:
    background = np.median(np.stack(frames[::3]), axis=0).astype(np.uint8)
    grey = cv2.resize(cv2.cvtColor(background, cv2.COLOR_BGR2GRAY), (64, 48), interpolation=cv2.INTER_AREA)
    lines = np.stack([cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, *way) for way in ((1, 0), (0, 1))]).ravel()
    lines = np.sign(lines) * np.sqrt(np.abs(lines))
    return lines / np.linalg.norm(lines)


def group(clips: list[Clip]) -> Array:
    """A number per clip, the same for clips of one scene, also by way of others."""
    lines = np.stack([clip.background for clip in clips])
    scene = np.arange(len(clips))
    for one, other in np.argwhere(np.triu(lines @ lines.T > SAME_SCENE, 1)):
        scene[scene == scene[other]] = scene[one]
    return scene


def draw_folds(scenes: Array, truth: Array, seed: int) -> Array:
    """A fold per clip: whole scenes, both kinds spread evenly."""
    order = np.unique(scenes)
    np.random.default_rng(seed).shuffle(order)
    fold, load = np.zeros(len(scenes), int), np.zeros((FOLDS, 2))
    for scene in sorted(order, key=lambda each: -(scenes == each).sum()):
        mine = scenes == scene
        kinds = np.array([(mine & ~truth).sum(), (mine & truth).sum()])
        costs = [((load + kinds * (np.arange(FOLDS) == k)[:, None]) ** 2).sum() for k in range(FOLDS)]
        best = int(np.argmin(costs))
        load[best] += kinds
        fold[mine] = best
    return fold
