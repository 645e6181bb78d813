"""Fights and ordinary footage through the watch for aggression: what it calls right, what it finds, what it makes up.

The shipped file is the mean of five networks and knows which of them never saw a clip: that one alone judges it here.
Likeness is measured once; alarms are then counted at every level, so that the level can be chosen by what it costs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from agent.config.rules import Aggression
from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.values import Detections, Image
from agent.vision.aggression import AggressionModel
from agent.vision.closeness import gatherings
from agent.vision.motion import FRAMES
from agent.vision.scuffle import ClipJudge, persons_of
from tests.security import charts, films
from tests.security.bench import DATA, Bench, frames
from tests.security.films import STEP_S
from tests.security.section import Figure, Picture, Section

FIGHTS: Final = DATA / "fight"
LOOPED_S: Final = 9.0
"""Clips of two seconds are too short for most alarms; played to and fro for so long they are a fight that goes on."""
LEVELS: Final = (0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95)
KINDS: Final = ("fight", "normal")
WAYS: Final = {"once": "played once", "looped": f"to and fro, {LOOPED_S:g} s"}
Told: TypeAlias = Mapping[str, dict[str, Any]]


def measure(bench: Bench) -> Section:
    """Clip accuracy, fights found and false alarms."""
    clips = sorted(FIGHTS.glob("*/*.mp4"))[:: 8 if bench.quick else 1]
    fights = bench.pieces("aggression").each("fights", _fight_pieces(bench, clips))
    loops = bench.pieces("aggression").each("ordinary", _ordinary_pieces(bench))
    whole, crop = (float(np.mean([one["right"][view] for one in fights.values()])) for view in ("whole", "crop"))
    found = {level: _found(fights, loops, level) for level in LEVELS}
    chosen = _found(fights, loops, Aggression().likeness)
    hours = {clip: sum(one["judged_s"] for one in _of(loops, clip)) / 3600 for clip in _clips(loops)}
    per_hour = sum(chosen["false, learning"].values()) / sum(hours.values())
    watched = ", ".join(f"{60 * each:.0f} minutes of {clip}" for clip, each in hours.items())
    return Section(
        "Aggression",
        (
            Figure("aggression, clip accuracy by scene, whole pictures", whole, 0.78, 0.86, "{:.3f}"),
            Figure("aggression, clip accuracy by scene, crops", crop, 0.78, 0.86, "{:.3f}"),
            Figure("aggression, false alarms per hour of ordinary footage", per_hour, 1, 0, small_is_good=True),
        ),
        text=f"Each of {len(clips)} clips by the one network of the file that never saw its scene. Ordinary footage: "
        f"{watched}; looped, each time mirrored or not, moved, scaled, lighter or darker, slower or faster. The "
        f"default level is {Aggression().likeness:g}. Alarms by level, always at it and by a camera that learns:",
        details=_details(fights, found),
        pictures=_pictures(bench, loops, found),
        data={"accuracy": {"whole": whole, "crop": crop}, "levels": found, "default": chosen, "hours": hours},
    )


def _fight_pieces(bench: Bench, clips: Sequence[Path]) -> dict[str, Callable[[], Any]]:
    held_out = AggressionModel(shipped(AGGRESSION_MODEL)).facts["held_out"]

    def judged(path: Path, name: str) -> dict[str, Any]:
        judge = _judge(held_out[name])
        shots = list(zip((picture for _, picture in frames(path, STEP_S)), bench.seen(path, STEP_S), strict=True))
        right = {view: (value > 0.5) == (path.parent.name == "fight") for view, value in _views(shots, judge).items()}
        looped = films.likeness(films.to_and_fro(shots, LOOPED_S), judge)
        return {"right": right, "once": films.likeness(shots, judge), "looped": looped}

    names = [f"{path.parent.name}/{path.stem}" for path in clips]
    return {name: functools.partial(judged, path, name) for path, name in zip(clips, names, strict=True)}


def _ordinary_pieces(bench: Bench) -> dict[str, Callable[[], Any]]:
    """Loops of every ordinary clip in turn, so that a run cut short has watched them alike."""
    wanted_s = (0.02 if bench.quick else bench.hours) * 3600
    loops = {path: math.ceil(wanted_s / (len(bench.seen(path, STEP_S)) * STEP_S)) for path in bench.clips}
    order = sorted((number / count, number, path) for path, count in loops.items() for number in range(count))
    return {
        f"{path.name} {number}": functools.partial(films.ordinary, bench, path, number, _judge())
        for _, number, path in order
    }


@functools.cache
def _judge(member: int | None = None) -> AggressionModel:
    return AggressionModel(shipped(AGGRESSION_MODEL), member)


def _views(shots: Sequence[tuple[Image, Detections]], judge: ClipJudge) -> dict[str, float]:
    """Likeness of a clip in both views: mean over its first, middle and last window, of their log odds."""
    values: dict[str, list[float]] = {"whole": [], "crop": []}
    last = len(shots) - FRAMES
    for start in sorted({0, last // 2, last}):
        part = shots[start : start + FRAMES]
        height, width = part[0][0].shape[:2]
        grey: list[Any] = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture, _ in part]
        values["whole"].append(judge.score(grey))
        if groups := gatherings([persons_of(seen) for _, seen in part], (width, height)):
            left, top, right, bottom = groups[0].square
            values["crop"].append(judge.score([each[top:bottom, left:right] for each in grey]))
    odds = {view: np.log(np.clip(v or values["whole"], 1e-6, 1 - 1e-6)) for view, v in values.items()}
    return {view: float(1 / (1 + np.exp(-np.mean(v - np.log1p(-np.exp(v)))))) for view, v in odds.items()}


def _clips(loops: Told) -> list[str]:
    return sorted({name.split(" ")[0] for name in loops})


def _of(loops: Told, clip: str) -> list[dict[str, Any]]:
    return [one for name, one in loops.items() if name.split(" ")[0] == clip]


def _found(fights: Told, loops: Told, likeness: float) -> dict[str, dict[str, int]]:
    """At a level: fight and normal clips with an alarm, by way of playing; alarms in ordinary footage, by clip.

    Clips are judged at the level itself. Ordinary footage is so once, film by film, and once as a camera that learns.
    """
    fixed, learning = Aggression(likeness=likeness, learns=False), Aggression(likeness=likeness)
    found = {
        f"{kind} {way}": sum(
            films.alarms([(one[way], STEP_S)], fixed) > 0 for name, one in fights.items() if name.startswith(kind)
        )
        for kind in KINDS
        for way in WAYS
    }
    parts = {clip: [(one["values"], one["step_s"]) for one in _of(loops, clip)] for clip in _clips(loops)}
    return {
        "clips": found,
        "false": {clip: films.alarms(shown, fixed) for clip, shown in parts.items()},
        "false, learning": {clip: films.alarms(shown, learning) for clip, shown in parts.items()},
    }


def _details(fights: Told, found: Mapping[float, dict[str, dict[str, int]]]) -> tuple[tuple[str, ...], ...]:
    counts = {kind: sum(name.startswith(kind) for name in fights) for kind in KINDS}
    columns = [(kind, way) for way in WAYS for kind in KINDS]
    clips = list(next(iter(found.values()))["false"])
    head = (
        "level",
        *(f"{kind} clips with an alarm, {WAYS[way]}" for kind, way in columns),
        *clips,
        *(f"{clip}, learning" for clip in clips),
    )
    rows = (
        (
            f"{level:g}",
            *(f"{one['clips'][f'{kind} {way}']} of {counts[kind]}" for kind, way in columns),
            *(f"{one[kind][clip]} alarms" for kind in ("false", "false, learning") for clip in clips),
        )
        for level, one in found.items()
    )
    return head, *rows


def _pictures(bench: Bench, loops: Told, found: Mapping[float, dict[str, dict[str, int]]]) -> tuple[Picture, Picture]:
    first = {clip: _of(loops, clip)[0] for clip in _clips(loops)}
    charts.curves(
        bench.out / "aggression.png",
        "Likeness of ordinary footage to a fight, first loop",
        ("seconds", "likeness"),
        {clip: ([k * one["step_s"] for k in range(len(one["values"]))], one["values"]) for clip, one in first.items()},
        level=Aggression().likeness,
    )
    charts.bars(
        bench.out / "aggression_levels.png",
        "Clips with an alarm, by level",
        [f"{level:g}" for level in found],
        {
            f"{kind}, {WAYS[way]}": [one["clips"][f"{kind} {way}"] for one in found.values()]
            for kind in KINDS
            for way in WAYS
        },
    )
    return (
        Picture("aggression.png", "Likeness of ordinary footage to a fight"),
        Picture("aggression_levels.png", "Clips with an alarm, by level"),
    )
