"""The fight clips as maps of movement, their scenes, and folds that no scene is divided by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.vision.closeness import gatherings
from agent.vision.motion import FRAMES, motion, small

SAME_SCENE: Final = 0.31
"""Correlation of background edges above which two clips show one scene; checked by eye around this value."""
FOLDS: Final = 5
VIEWS: Final = ("whole", "crop")
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip: its label, its background's edges, and windows of 16 frames by view, as maps of movement.

    Where nobody was seen close to anybody there are no crops.
    """

    name: str
    fight: bool
    background: Array
    windows: dict[str, list[Array]]


def read_clips(folder: Path, boxes_file: Path) -> list[Clip]:
    """Every clip."""
    with np.load(boxes_file) as kept:
        return [_read(path, kept[f"{path.parent.name}/{path.stem}"]) for path in sorted(folder.glob("*/*.mp4"))]


def _read(path: Path, rows: Array) -> Clip:
    video, frames = cv2.VideoCapture(str(path)), []
    while video.grab():
        frames.append(video.retrieve()[1])
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    seen = [rows[rows[:, 0] == number, 1:] for number in range(len(frames))]
    windows: dict[str, list[Array]] = {view: [] for view in VIEWS}
    last = len(frames) - FRAMES
    for start in sorted({0, last // 2, last}):
        part = slice(start, start + FRAMES)
        windows["whole"].append(motion([small(each) for each in grey[part]]))
        if found := gatherings(seen[part], grey[0].shape[::-1]):
            left, top, right, bottom = found[0].square
            windows["crop"].append(motion([small(each[top:bottom, left:right]) for each in grey[part]]))
    return Clip(f"{path.parent.name}/{path.stem}", path.parent.name == "fight", _edges(frames), windows)


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
