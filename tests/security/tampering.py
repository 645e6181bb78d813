"""Attacks on the camera, simulated on every ordinary clip at random moments, and the untouched clips."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from agent.config.schema import Camera
from agent.values import Image
from agent.video.stillness import Stillness
from agent.vision.look import Look, take_look
from agent.vision.tampering import TamperJudge
from tests.security import charts
from tests.security.bench import Bench, frames
from tests.security.section import Figure, Picture, Section

MOMENTS: Final = 20
FOUND_S: Final = 10.0
LOOK_S: Final = 0.5
IDENTICAL_S: Final = float(Camera.model_fields["identical_s"].default)
LONG_S: Final = 70.0
"""Shorter clips are looped to this length."""
Strength: TypeAlias = tuple[float, float, float]
Attack: TypeAlias = Callable[[Image, np.random.Generator, Strength], Image]


def covered(picture: Image, rng: np.random.Generator, strength: Strength) -> Image:
    """A hand, a cloth or paint on the glass: smooth, of any brightness, with a sensor's noise."""
    height, width = picture.shape[:2]
    folds = np.random.default_rng(int(strength[1] * 1e6)).normal(size=(3, 4))
    cloth = np.clip(10 + 190 * strength[0] + 12 * folds, 0, 255)
    smooth = cv2.resize(cloth, (width, height), interpolation=cv2.INTER_CUBIC)[..., np.newaxis]
    return np.clip(smooth + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def defocused(picture: Image, _: np.random.Generator, strength: Strength) -> Image:
    """The lens out of focus."""
    return cv2.GaussianBlur(picture, (0, 0), (3 + 7 * strength[0]) * picture.shape[1] / 640)  # type: ignore[return-value]


def turned(picture: Image, _: np.random.Generator, strength: Strength) -> Image:
    """The camera turned aside by a quarter of the picture or more."""
    height, width = picture.shape[:2]
    aside, up = width * (0.25 + strength[0] / 4), height * (strength[2] - 0.5) / 2
    shift = np.array([[1, 0, aside], [0, 1, up]], np.float32)
    return cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def blacked(picture: Image, rng: np.random.Generator, _: Strength) -> Image:
    """A lid on the lens."""
    return np.clip(rng.normal(3, 1.5, picture.shape), 0, 255).astype(np.uint8)


def blinded(picture: Image, _: np.random.Generator, __: Strength) -> Image:
    """A lamp into the lens."""
    return np.clip(picture.astype(np.int16) + 220, 0, 255).astype(np.uint8)


ATTACKS: Final[Mapping[str, Attack]] = {
    "covered": covered,
    "defocused": defocused,
    "turned": turned,
    "blacked": blacked,
    "blinded": blinded,
}
KINDS: Final = (*ATTACKS, "frozen")
"""What is simulated; a frozen picture is told by the watch that every camera has."""


def measure(bench: Bench) -> Section:
    """Every attack on every clip, and every clip untouched."""
    moments = 4 if bench.quick else MOMENTS
    work: dict[str, Callable[[], int]] = {}
    for path in bench.clips:
        work[f"{path.name} untouched"] = functools.partial(_false_alarms, path)
        work |= {f"{path.name} {kind} {moments}": functools.partial(_found, path, kind, moments) for kind in KINDS}
    told = bench.pieces("tampering").each("tampering", work)
    found = {path.name: {kind: told[f"{path.name} {kind} {moments}"] for kind in KINDS} for path in bench.clips}
    false = {path.name: told[f"{path.name} untouched"] for path in bench.clips}
    worst = min(count / moments for row in found.values() for count in row.values())
    charts.bars(
        bench.out / "tampering.png",
        "Attacks on the camera found within ten seconds",
        list(KINDS),
        {clip: [row[kind] / moments for kind in KINDS] for clip, row in found.items()},
        floor=0.95,
    )
    head = ("clip", *KINDS, "false, untouched")
    rows = ((clip, *(f"{row[kind]}/{moments}" for kind in KINDS), str(false[clip])) for clip, row in found.items())
    return Section(
        "Attacks on the camera",
        (
            Figure("attacks on the camera found in 10 s, worst clip and kind", worst, 0.95, 1.0, "{:.0%}"),
            Figure("tampering said of untouched clips", sum(false.values()), 0, 0, "{:.0f}", small_is_good=True),
        ),
        text=f"Simulated on the real clips at {moments} random moments each.",
        details=(head, *rows),
        pictures=(Picture("tampering.png", "Attacks found by kind and clip"),),
        data={"moments": moments, "found": found, "false": false},
    )


def clip_pictures(path: Path) -> list[Image]:
    pictures = [picture for _, picture in frames(path, LOOK_S)]
    return pictures * max(1, int(np.ceil(LONG_S / LOOK_S / len(pictures))))


def _false_alarms(path: Path) -> int:
    judge = TamperJudge()
    said = [judge.judge(take_look(each), number * LOOK_S).cause for number, each in enumerate(clip_pictures(path))]
    return sum(before is None and now is not None for before, now in itertools.pairwise(said))


def _found(path: Path, kind: str, moments: int) -> int:
    """How often of so many moments one kind of attack is found."""
    rng = np.random.default_rng([1, KINDS.index(kind)])
    pictures, looks = _looked_at(path)
    if kind == "frozen":
        return sum(_is_frozen(pictures, rng) for _ in range(moments))
    return sum(_is_found(ATTACKS[kind], pictures, looks, rng) for _ in range(moments))


@functools.lru_cache(maxsize=1)
def _looked_at(path: Path) -> tuple[list[Image], list[Look]]:
    pictures = clip_pictures(path)
    return pictures, [take_look(picture) for picture in pictures]


def _is_frozen(pictures: list[Image], rng: np.random.Generator) -> bool:
    """Whether a picture that comes again and again is told, and nothing was said before."""
    start = int(rng.integers(12, len(pictures)))
    watch = Stillness(IDENTICAL_S)
    before = [watch.update(pictures[number], number * LOOK_S) for number in range(start)]
    last = int(FOUND_S / LOOK_S)
    return not any(before) and any(watch.update(pictures[start], (start + n) * LOOK_S) for n in range(last))


def _is_found(attack: Attack, pictures: list[Image], looks: list[Look], rng: np.random.Generator) -> bool:
    last = int(FOUND_S / LOOK_S)
    start = int(rng.integers(12, len(pictures) - last))
    strength = (float(rng.random()), float(rng.random()), float(rng.random()))
    judge = TamperJudge()
    for number in range(start):
        judge.judge(looks[number], number * LOOK_S)
    return any(
        judge.judge(take_look(attack(pictures[number], rng, strength)), number * LOOK_S).cause
        for number in range(start, start + last)
    )
