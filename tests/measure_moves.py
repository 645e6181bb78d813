"""How a moved camera fares: real clips, moved, turned, zoomed and turned away. `python tests/measure_moves.py CLIP …`

Each clip is played in a loop through the very pipeline that runs on a box, once a second: thirty seconds as it is,
ninety after a move, sixty moved back. Prints what was carried over, how fast, and how far lines then lie from where
they belong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.clock import Instant
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import CountBody, EventBody, ModelRef
from agent.scene.carry import STAYED, moved
from agent.values import Detections, Frame, Image
from agent.vision.anchor import NOTICED, apart

MODEL = ModelRef(name="none", version="1", sha256="0" * 64)
LINE = np.array([(0.35, 0.6), (0.65, 0.6)])
BEFORE_S, MOVED_S, BACK_S = 30, 90, 60


def similar(right: float = 0, down: float = 0, turn_deg: float = 0, zoom: float = 1) -> Callable[[int, int], Any]:
    def matrix(width: int, height: int) -> Any:
        turned = np.vstack([cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, zoom), [0, 0, 1]])
        turned[:2, 2] += (right * width, down * height)
        return turned

    return matrix


def panned(yaw_deg: float, pitch_deg: float, view_deg: float = 60) -> Callable[[int, int], Any]:
    """As a camera that turns on its mount sees it."""

    def matrix(width: int, height: int) -> Any:
        focal = width / 2 / np.tan(np.radians(view_deg / 2))
        inner = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        yaw, pitch = np.radians((yaw_deg, pitch_deg))
        aside = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        down = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        return inner @ aside @ down @ np.linalg.inv(inner)

    return matrix


MOVES: dict[str, Callable[[int, int], Any]] = {
    "shifted 4 %": similar(0.04, 0.01),
    "shifted 8 %": similar(0.08, -0.03),
    "shifted 15 %": similar(-0.15, 0.05),
    "turned 3 degrees": similar(turn_deg=3),
    "turned 8 degrees": similar(turn_deg=8),
    "zoomed to 1.1": similar(zoom=1.1),
    "zoomed to 0.9": similar(zoom=0.9),
    "panned 4 degrees": panned(4, 1),
    "panned 7 degrees": panned(7, -2),
    "all at once": similar(0.06, 0.04, -4, 1.08),
}
AWAY: dict[str, Callable[[int, int], Any]] = {
    "shifted 40 %": similar(0.4),
    "turned 30 degrees": similar(turn_deg=30),
    "zoomed to 1.6": similar(zoom=1.6),
    "panned 25 degrees": panned(25, 0),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one move: seconds until told and until carried over, the line's error, and after moving back."""

    stopped_s: float | None
    carried_s: float | None
    off: float | None
    back: bool
    valid_after: bool


def pictures(path: Path) -> list[Image]:
    """Some forty pictures, evenly from the whole clip, as a slow camera would see it."""
    clip = cv2.VideoCapture(str(path))
    count = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(0, count - 1, 40).astype(int).tolist())
    seen = []
    for number in range(count):
        ok, picture = clip.read()
        if ok and number in wanted:
            seen.append(picture)
    return seen


def play(shots: list[Image], change: Callable[[Image], Image]) -> Iterator[Image]:
    """As it is, changed, and as it was."""
    for second in range(BEFORE_S + MOVED_S + BACK_S):
        shot = shots[second % len(shots)]
        yield change(shot) if BEFORE_S <= second < BEFORE_S + MOVED_S else shot


def run(shots: list[Image], change: Callable[[Image], Image], matrix: Any | None) -> Result:
    """One move of one clip; ``matrix`` is the truth, in pixels, of a move that may be followed."""
    line = {"name": "near", "points": LINE.tolist(), "interval_s": 10}
    camera = Camera.model_validate({"name": "a", "source": "x", "lines": [line]})
    pipeline = CameraPipeline(camera, device="d", model=MODEL)
    height, width = shots[0].shape[:2]
    stopped_s = carried_s = off = None
    valid: dict[float, bool] = {}
    shift = STAYED
    for second, picture in enumerate(play(shots, change)):
        at = Instant(100.0 + second, 1.8e9 + second)
        for record in pipeline.see(Frame("a", second, picture, at), Detections.empty()).records:
            body = record.body
            if isinstance(body, EventBody) and body.kind == "camera_tampered" and body.phase == "start":
                stopped_s = stopped_s or second - BEFORE_S
            if isinstance(body, CountBody):
                valid[body.interval.end - 1.8e9] = "moved" not in body.quality.reasons
        now = pipeline._anchor.standing.shift
        if now != shift and second < BEFORE_S + MOVED_S:
            carried_s = second - BEFORE_S
            if matrix is not None:
                unit = np.diag([1 / width, 1 / height, 1.0])
                true = unit @ matrix @ np.linalg.inv(unit)
                off = float(np.abs(moved(LINE, now) - moved(LINE, tuple(true.ravel().tolist()))).max())
        shift = now
    end = max(valid, default=0)
    return Result(stopped_s, carried_s, off, apart(shift, STAYED) <= NOTICED, valid.get(end, False))


def _warped(picture: Image, matrix: Any) -> Image:
    """What was not in the picture before shows something too: a mirror of what was."""
    size = (picture.shape[1], picture.shape[0])
    return cv2.warpPerspective(picture, matrix, size, borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(f"{__doc__}\nname two clips or more: each is another street to the one before it")
    clips = [(Path(name), pictures(Path(name))) for name in sys.argv[1:]]
    print("| clip | move | told after s | carried over after s | line off by | moved back | valid again |")
    print("|---|---|---|---|---|---|---|")
    for number, (path, shots) in enumerate(clips):
        height, width = shots[0].shape[:2]
        for name, move in {**MOVES, **AWAY}.items():
            matrix = move(width, height)
            warp = lambda picture, m=matrix: _warped(picture, m)  # noqa: E731
            _print(path, name, run(shots, warp, matrix if name in MOVES else None))
        others = clips[(number + 1) % len(clips)][1]
        other = cv2.resize(others[0], (width, height))
        _print(path, "turned away to another street", run(shots, lambda _, other=other: other, None))


def _print(path: Path, name: str, found: Result) -> None:
    off = "" if found.off is None else f"{found.off:.1%}"
    told = "" if found.stopped_s is None else f"{found.stopped_s}"
    carried = "no" if found.carried_s is None else f"{found.carried_s}"
    yes = ("no", "yes")
    print(
        f"| {path.stem} | {name} | {told} | {carried} | {off} | {yes[found.back]} | {yes[found.valid_after]} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
