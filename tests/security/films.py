"""Films for the watch for aggression: how much each picture looks like a fight, and where that would be an alarm.

Ordinary clips are looped and spoilt anew each time: mirrored or not, moved, scaled, lighter or darker, slower or
faster. Boxes move with the picture, so the detector sees each clip once. The likeness is the agent's own, group by
group as on a box; what becomes of it, at whatever level, is asked of the agent's own rule.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.clock import Instant
from agent.config.rules import Aggression
from agent.config.schema import Camera
from agent.records import EventBody
from agent.scene.aggression import Aggression as Rule
from agent.scene.rule import Moment, Setting
from agent.scene.values import CLEAR, LIVE, Likeness
from agent.values import Detections, Image, Tracks
from agent.viewing import likeness_of
from agent.vision.closeness import gatherings
from agent.vision.motion import Grey
from agent.vision.scuffle import CLIP_S, WIDEST_PX, ClipJudge, ScuffleWatch, persons_of
from tests.security.bench import Bench, frames

STEP_S: Final = 0.1
"""A tenth of a second: the rate at which the agent looks."""
SPEEDS: Final = (0.8, 1.25)
Shots: TypeAlias = Iterable[tuple[Image, Detections]]
Matrix: TypeAlias = NDArray[np.float64]


def likeness(shots: Shots, judge: ClipJudge, step_s: float = STEP_S) -> list[float]:
    """How much each picture of a film looks like a fight, as the scene would be told."""
    watch, found = ScuffleWatch(judge), []
    for number, (picture, seen) in enumerate(shots):
        scuffles = watch.look(picture, seen, Tracks.empty(), number * step_s)
        found.append(likeness_of(scuffles, picture.shape).value)
    return found


def alarms(parts: Iterable[tuple[Sequence[float], float]], settings: Aggression) -> int:
    """How many alarms the agent's rule makes of films in turn: the likeness of each picture, and seconds between."""
    rule = Rule(Setting("bench", Camera(name="camera", source="film", aggression=settings)), {})
    begun, now_s = 0, 0.0
    for values, step_s in parts:
        pause = [0.0] * (math.ceil(settings.leave_s / step_s) + 1)  # the next film is another scene
        for value in (*values, *pause):
            at = Instant(mono_s=now_s, utc_s=1.7e9 + now_s)
            told = rule.step(Moment(at, LIVE, CLEAR, None, {}, Likeness(value)))
            begun += sum(isinstance(body, EventBody) and body.phase == "start" for body in told)
            now_s += step_s
    return begun


def ordinary(bench: Bench, path: Path, number: int, judge: ClipJudge) -> dict[str, float | list[float]]:
    """One loop of an ordinary clip, spoilt by its number: its likeness, and for how long that could be judged."""
    rng = np.random.default_rng([7, number])
    change, light, speed = _jitter(rng), float(rng.uniform(0.8, 1.2)), float(rng.uniform(*SPEEDS))
    greys, shrunk = _shrunk(path)
    height, width = greys[0].shape
    unit = np.diag([width, height, 1.0])
    matrix = (unit @ change @ np.linalg.inv(unit))[:2]
    step_s = STEP_S / speed
    seen = [_moved(each, matrix * (shrunk, shrunk, 1)) for each in bench.seen(path, STEP_S)]
    values = [0.0] * len(seen)
    if any(_near(each, (width, height)) for each in seen):  # or else no picture is ever looked at
        values = likeness(
            ((_spoilt(grey, matrix, light), here) for grey, here in zip(greys, seen, strict=True)), judge, step_s
        )
    return {"step_s": step_s, "judged_s": max(0.0, len(values) * step_s - CLIP_S), "values": values}


@functools.lru_cache(maxsize=3)
def _shrunk(path: Path) -> tuple[list[Grey], float]:
    """A clip's pictures as small and grey as the watch keeps them, and their scale: spoiling those costs a fifth."""
    greys = []
    scale = 1.0
    for _, picture in frames(path, STEP_S):
        scale = min(1.0, WIDEST_PX / picture.shape[1])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        greys.append(cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY))
    return greys, scale  # type: ignore[return-value]


def to_and_fro(shots: Sequence[tuple[Image, Detections]], lasts_s: float) -> Iterator[tuple[Image, Detections]]:
    """A short clip played forward and back for so long."""
    swing = itertools.cycle([*range(len(shots)), *range(len(shots) - 2, 0, -1)])
    return (shots[at] for at in itertools.islice(swing, int(lasts_s / STEP_S)))


def _near(seen: Detections, size: tuple[int, int]) -> bool:
    return bool(gatherings([persons_of(seen)] * 2, size))


def _jitter(rng: np.random.Generator) -> Matrix:
    """Mirrored or not, up to a tenth larger or smaller and moved by up to a twentieth; in shares of the picture."""
    size, x, y = rng.uniform(0.9, 1.1), *rng.uniform(-0.05, 0.05, 2)
    change = np.array([[size, 0, x], [0, size, y], [0, 0, 1]])
    return change @ np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1]]) if rng.random() < 0.5 else change


def _spoilt(grey: Grey, matrix: Matrix, light: float) -> Image:
    moved = cv2.warpAffine(grey, matrix, (grey.shape[1], grey.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return cv2.merge([cv2.convertScaleAbs(moved, alpha=light)] * 3)  # type: ignore[return-value]


def _moved(seen: Detections, matrix: Matrix) -> Detections:
    one = seen.boxes[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    other = seen.boxes[:, 2:] @ matrix[:, :2].T + matrix[:, 2]
    boxes = np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1).astype(np.float32)
    return Detections(boxes, seen.scores, seen.classes)
