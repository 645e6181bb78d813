"""What looks like an attack on the camera and is none, simulated on every ordinary clip: nothing may be said of it."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from agent.values import Floats, Image
from agent.vision.look import take_look
from agent.vision.tampering import TamperJudge
from tests.security.bench import Bench
from tests.security.section import Figure, Section
from tests.security.tampering import LOOK_S, clip_pictures

BEFORE_S: Final = 15.0
NIGHT_S: Final = 600.0
"""Dusk is let fall in ten minutes: quicker than any on earth."""
LORRY: Final = (0.2, 0.05, 0.9, 0.95)
"""Left, top, right, bottom of a lorry that stands close, relative to the picture."""
Seen: TypeAlias = tuple[Image, list[tuple[float, float, float, float]]]
Change: TypeAlias = Callable[[Image, float, np.random.Generator], Seen]


def nightfall(picture: Image, passed_s: float, rng: np.random.Generator) -> Seen:
    """Ever darker, until only the sensor's noise is left."""
    gain = max(0.02, 1 - passed_s / NIGHT_S)
    return np.clip(picture * gain + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8), []


def rain(picture: Image, _: float, rng: np.random.Generator) -> Seen:
    """Less contrast, and bright streaks that are elsewhere in each picture."""
    height, width = picture.shape[:2]
    wet = cv2.addWeighted(picture, 0.75, np.full_like(picture, 120), 0.25, 0)
    for x, y in zip(rng.integers(0, width, 250), rng.integers(0, height, 250), strict=True):
        cv2.line(wet, (int(x), int(y)), (int(x) + 2, int(y) + height // 18), (190, 190, 190), 1)
    return wet, []


def headlights(picture: Image, passed_s: float, _: np.random.Generator) -> Seen:
    """Two lamps that glare into a dark picture for two seconds of every twelve."""
    height, width = picture.shape[:2]
    dim = cv2.convertScaleAbs(picture, alpha=0.5)
    if passed_s % 12 < 2:
        halo = np.zeros((height, width), np.float32)
        for x in (0.4, 0.6):
            cv2.circle(halo, (int(x * width), int(0.6 * height)), height // 6, 255.0, -1)
        halo = np.asarray(cv2.GaussianBlur(halo, (0, 0), height / 12), np.float32)
        dim = np.clip(dim + 1.5 * halo[..., np.newaxis], 0, 255).astype(np.uint8)
    return dim, []


def infrared(picture: Image, passed_s: float, _: np.random.Generator) -> Seen:
    """Grey from one picture to the next, with other tones."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    tones = (230 * grey**0.7).astype(np.uint8) if passed_s >= 0 else (255 * grey).astype(np.uint8)
    return cv2.cvtColor(tones, cv2.COLOR_GRAY2BGR), []


def lorry(picture: Image, passed_s: float, _: np.random.Generator) -> Seen:
    """A plain wall of a lorry for half a minute of every minute; it is tracked."""
    if passed_s % 60 >= 30:
        return picture, []
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(each * side) for each, side in zip(LORRY, (width, height) * 2, strict=True))
    there = picture.copy()
    cv2.rectangle(there, (left, top), (right, bottom), (140, 110, 90), -1)
    cv2.rectangle(there, (left, bottom - height // 8), (right, bottom), (40, 40, 40), -1)
    return there, [LORRY]


CHANGES: Final[Mapping[str, tuple[Change, float]]] = {
    "nightfall": (nightfall, NIGHT_S * 1.1),
    "rain": (rain, 120.0),
    "headlights": (headlights, 120.0),
    "infrared": (infrared, 60.0),
    "lorry close by": (lorry, 120.0),
}
"""Each with how long it is shown, in seconds."""


def measure(bench: Bench) -> Section:
    """How often each is taken for an attack."""
    shorter = 0.2 if bench.quick else 1.0
    work = {
        f"{path.name} {kind} {shorter:g}": functools.partial(_said, path, change, s * shorter)
        for path in bench.clips
        for kind, (change, s) in CHANGES.items()
    }
    told = bench.pieces("lookalikes").each("lookalikes", work)
    said = {path.name: {kind: told[f"{path.name} {kind} {shorter:g}"] for kind in CHANGES} for path in bench.clips}
    what = "tampering said of nightfall, rain, headlights, infrared, a lorry"
    total = sum(count for row in said.values() for count in row.values())
    head = ("clip", *CHANGES)
    rows = ((clip, *(str(row[kind]) for kind in CHANGES)) for clip, row in said.items())
    return Section(
        "What is no attack on the camera",
        (Figure(what, total, 0, 0, "{:.0f}", small_is_good=True),),
        text="Simulated on every real clip: alarms by kind; none is right.",
        details=(head, *rows),
        data={"said": said},
    )


def _said(path: Path, change: Change, lasts_s: float) -> int:
    pictures = clip_pictures(path)
    judge, rng, causes = TamperJudge(), np.random.default_rng(3), []
    for number in range(int((BEFORE_S + lasts_s) / LOOK_S)):
        passed_s = number * LOOK_S - BEFORE_S
        picture, boxes = pictures[number % len(pictures)], []
        if passed_s >= 0:
            picture, boxes = change(picture, passed_s, rng)
        found: Floats = np.array(boxes, np.float32).reshape(-1, 4)
        causes.append(judge.judge(take_look(picture), number * LOOK_S, found).cause)
    return sum(before is None and now is not None for before, now in itertools.pairwise(causes))
