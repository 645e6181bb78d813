"""Fights and ordinary footage through the watch for aggression: what it calls right, what it finds, what it makes up.

The shipped file is the mean of five networks and knows which of them never saw a clip: that one alone judges it here.
Ordinary footage is looped and spoilt anew each time; boxes move with the picture, so the detector sees each clip once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from agent.clock import Instant
from agent.config.rules import Aggression
from agent.config.schema import Camera
from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.records import EventBody
from agent.scene import Scene
from agent.values import Detections, Image
from agent.viewing import likeness_of
from agent.vision.aggression import AggressionModel
from agent.vision.closeness import gatherings
from agent.vision.motion import FRAMES, motion, small
from agent.vision.scuffle import ClipJudge, ScuffleWatch, persons_of
from agent.vision.tracker import Tracker
from tests.security import charts
from tests.security.bench import DATA, Bench, frames
from tests.security.section import Figure, Picture, Section

STEP_S: Final = 0.1
FIGHTS: Final = DATA / "fight"
LOOPED_S: Final = 9.0
"""Clips of two seconds are too short for most alarms; played to and fro for so long they are a fight that goes on."""
ORDINARY_H: Final = 1.0
"""Hours of each ordinary clip."""
LEVELS: Final = (0.6, 0.7, 0.8, 0.9)
Shots = Iterable[tuple[Image, Detections]]


@dataclass(slots=True)
class _Watched:
    """What came of one film: likeness by picture, and when alarms began."""

    likeness: list[float] = field(default_factory=list)
    alarms_s: list[float] = field(default_factory=list)


def measure(bench: Bench) -> Section:
    """Clip accuracy, fights found and false alarms."""
    clips = sorted(FIGHTS.glob("*/*.mp4"))[:: 8 if bench.quick else 1]
    right, found = _fights(bench, clips)
    hours = 0.01 if bench.quick else ORDINARY_H
    ordinary = {path.name: watched(_looped(bench, path, hours), _model()) for path in bench.clips}
    false = {clip: len(seen.alarms_s) for clip, seen in ordinary.items()}
    per_hour = sum(false.values()) / (hours * max(1, len(false)))
    charts.curves(
        bench.out / "aggression.png",
        "Likeness of ordinary footage to a fight, first loop",
        ("seconds", "likeness"),
        {
            name: ([k * STEP_S for k in range(800)][: len(one.likeness)], one.likeness[:800])
            for name, one in ordinary.items()
        },
        level=Aggression().likeness,
    )
    wild, calm = ({way: n[kind] for way, n in found.items()} for kind in ("fight", "normal"))
    counts = {kind: sum(path.parent.name == kind for path in clips) for kind in ("fight", "normal")}
    head = ("", "fight clips with an alarm", "normal clips with an alarm")
    rows = [(way, f"{wild[way]}/{counts['fight']}", f"{calm[way]}/{counts['normal']}") for way in found]
    rows += [(f"{clip}, {hours:g} h", "", f"{number} alarms") for clip, number in false.items()]
    return Section(
        "Aggression",
        (
            Figure("aggression, clip accuracy by scene, whole pictures", right["whole"], 0.78, 0.86, "{:.3f}"),
            Figure("aggression, clip accuracy by scene, crops", right["crop"], 0.78, 0.86, "{:.3f}"),
            Figure("aggression, false alarms per hour of ordinary footage", per_hour, 1, 0, small_is_good=True),
        ),
        text=f"Each of {len(clips)} clips by the one network of the file that never saw its scene. Ordinary footage "
        "was looped: mirrored or not, moved, scaled, lighter or darker each time.",
        details=(head, *rows),
        pictures=(Picture("aggression.png", "Likeness of ordinary footage to a fight"),),
        data={"accuracy": right, "found": found, "false": false, "hours_each": hours},
    )


def _model(member: int | None = None) -> AggressionModel:
    return AggressionModel(shipped(AGGRESSION_MODEL), member)


def _fights(bench: Bench, clips: Sequence[Path]) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
    """Share of clips told right, by view; and clips with an alarm, by way of playing and kind."""
    held_out = _model().facts["held_out"]
    judges = {member: _model(member) for member in set(held_out.values())}
    right: dict[str, list[bool]] = {"whole": [], "crop": []}
    found = {way: {"fight": 0, "normal": 0} for way in ("once", f"to and fro, {LOOPED_S:g} s")}
    for path in clips:
        judge = judges[held_out[f"{path.parent.name}/{path.stem}"]]
        shots = list(zip((picture for _, picture in frames(path, STEP_S)), bench.seen(path, STEP_S), strict=True))
        for view, value in _accurate(shots, judge).items():
            right[view].append((value > 0.5) == (path.parent.name == "fight"))
        swing = itertools.cycle([*range(len(shots)), *range(len(shots) - 2, 0, -1)])
        looped = [shots[at] for at in itertools.islice(swing, int(LOOPED_S / STEP_S))]
        for way, film in zip(found, (shots, looped), strict=True):
            found[way][path.parent.name] += bool(watched(film, judge).alarms_s)
    return {view: float(np.mean(values)) for view, values in right.items()}, found


def _accurate(shots: Sequence[tuple[Image, Detections]], judge: ClipJudge) -> dict[str, float]:
    """Likeness of a clip in both views: mean over its first, middle and last window, of their log odds."""
    values: dict[str, list[float]] = {"whole": [], "crop": []}
    last = len(shots) - FRAMES
    for start in sorted({0, last // 2, last}):
        part = shots[start : start + FRAMES]
        height, width = part[0][0].shape[:2]
        values["whole"].append(judge.score(motion([small(picture) for picture, _ in part])))
        if groups := gatherings([persons_of(seen) for _, seen in part], (width, height)):
            left, top, right, bottom = groups[0].square
            values["crop"].append(judge.score(motion([small(p[top:bottom, left:right]) for p, _ in part])))
    odds = {view: np.log(np.clip(v or values["whole"], 1e-6, 1 - 1e-6)) for view, v in values.items()}
    return {view: float(1 / (1 + np.exp(-np.mean(v - np.log1p(-np.exp(v)))))) for view, v in odds.items()}


def watched(shots: Shots, judge: ClipJudge, settings: Aggression | None = None) -> _Watched:
    """A film through tracker, watch and scene."""
    camera = Camera(name="camera", source="film", aggression=settings or Aggression())
    tracker, watch, scene = Tracker(), ScuffleWatch(judge), Scene(camera, device="bench", model=None)
    told = _Watched()
    for number, (picture, seen) in enumerate(shots):
        height, width = picture.shape[:2]
        at = Instant(mono_s=number * STEP_S, utc_s=1.7e9 + number * STEP_S)
        tracker.fit((width, height))
        tracks = tracker.update(seen, at.mono_s)
        fight = likeness_of(watch.look(picture, seen, tracks, at.mono_s), picture.shape)
        told.likeness.append(fight.value)
        for record in scene.update(tracks, at, (width, height), None, fight):
            body = record.body
            if isinstance(body, EventBody) and (body.kind, body.phase) == ("aggression", "start"):
                told.alarms_s.append(at.mono_s)
    return told


def _looped(bench: Bench, path: Path, hours: float) -> Iterator[tuple[Image, Detections]]:
    """A clip again and again, spoilt anew each time."""
    rng = np.random.default_rng(7)
    seen = bench.seen(path, STEP_S)
    left = int(hours * 3600 / STEP_S)
    while left > 0:
        change, light = _jitter(rng), float(rng.uniform(0.8, 1.2))
        for (_, picture), found in itertools.islice(zip(frames(path, STEP_S), seen, strict=True), left):
            height, width = picture.shape[:2]
            unit = np.diag([width, height, 1.0])
            matrix = (unit @ change @ np.linalg.inv(unit))[:2]
            moved = cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
            yield cv2.convertScaleAbs(moved, alpha=light), _moved(found, matrix)
        left -= len(seen)


def _jitter(rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Mirrored or not, up to a tenth larger or smaller and moved by up to a twentieth; in shares of the picture."""
    size, x, y = rng.uniform(0.9, 1.1), *rng.uniform(-0.05, 0.05, 2)
    change = np.array([[size, 0, x], [0, size, y], [0, 0, 1]])
    return change @ np.array([[-1, 0, 1], [0, 1, 0], [0, 0, 1]]) if rng.random() < 0.5 else change


def _moved(seen: Detections, matrix: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Detections:
    one = seen.boxes[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    other = seen.boxes[:, 2:] @ matrix[:, :2].T + matrix[:, 2]
    boxes = np.concatenate([np.minimum(one, other), np.maximum(one, other)], axis=1).astype(np.float32)
    return Detections(boxes, seen.scores, seen.classes)
