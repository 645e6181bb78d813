"""Measures what watches over people and cameras: tampering, people in a zone, ordinary footage taken for a fight.

Run by hand: ``python -m tests.measure_security [--model FILE --labels coco]``. Needs the data folder ../shared and
vtest.avi (``kentongan demo`` fetches it). Prints one table; exits with 1 where a figure is worse than promised.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from agent.assembly import open_configured
from agent.config.schema import Model
from agent.ops.assets import default_model
from agent.scene import geometry
from agent.values import Image, RoadUser
from agent.vision.aggression import AggressionModel
from agent.vision.detector import Detector
from agent.vision.look import take_look
from agent.vision.scuffle import ScuffleWatch
from agent.vision.tampering import TamperJudge
from agent.vision.tracker import Tracker

VIDEO: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"
VTEST: Final = Path.home() / ".cache" / "kentongan" / "vtest.avi"
AGGRESSION: Final = Path(__file__).resolve().parents[1] / "models" / "aggression.onnx"
ATTACKS: Final = ("covered", "defocused", "turned", "blacked", "blinded")
MOMENTS: Final = 20
FOUND_S: Final = 10.0
LOOK_S: Final = 0.5
LONG_S: Final = 70.0
"""Shorter clips are looped to this length."""


def clips() -> list[Path]:
    """Every real clip."""
    return [*sorted(VIDEO.glob("*.mp4")), VTEST]


def frames(path: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Pictures of a file at a rate, with their times."""
    video = cv2.VideoCapture(str(path))
    step = max(1, round((video.get(cv2.CAP_PROP_FPS) or 10) * every_s))
    number = 0
    while video.grab():
        if number % step == 0:
            yield number / step * every_s, video.retrieve()[1]
        number += 1


def attack(kind: str, picture: Image, rng: np.random.Generator, strength: tuple[float, float, float]) -> Image:
    """A picture of an attacked camera."""
    height, width = picture.shape[:2]
    one, two, three = strength
    if kind == "covered":
        cloth = np.clip(10 + 190 * one + 12 * np.random.default_rng(int(two * 1e6)).normal(size=(3, 4)), 0, 255)
        smooth = cv2.resize(cloth, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        return np.clip(smooth + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
    if kind == "defocused":
        return cv2.GaussianBlur(picture, (0, 0), (3 + 7 * one) * width / 640)
    if kind == "turned":
        shift = np.array([[1, 0, width * (0.25 + one / 4)], [0, 1, height * (three - 0.5) / 2]], np.float32)
        return cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
    if kind == "blacked":
        return np.clip(rng.normal(3, 1.5, picture.shape), 0, 255).astype(np.uint8)
    return np.clip(picture.astype(np.int16) + 220, 0, 255).astype(np.uint8)


def tampering(path: Path, seed: int = 1) -> dict[str, Any]:
    """Attacks found within ten seconds, of twenty each, and false alarms in the untouched clip."""
    rng = np.random.default_rng(seed)
    pictures = [picture for _, picture in frames(path, LOOK_S)]
    pictures *= max(1, int(np.ceil(LONG_S / LOOK_S / len(pictures))))
    looks = [take_look(picture) for picture in pictures]
    judge = TamperJudge()
    said = [judge.judge(look, number * LOOK_S).cause for number, look in enumerate(looks)]
    row: dict[str, Any] = {
        "clip": path.name,
        "false": sum(a is None and b is not None for a, b in itertools.pairwise(said)),
    }
    for kind in ATTACKS:
        row[kind] = sum(_found(kind, pictures, looks, rng) for _ in range(MOMENTS))
    return row


def _found(kind: str, pictures: list[Image], looks: list[Any], rng: np.random.Generator) -> bool:
    last = int(FOUND_S / LOOK_S)
    start = int(rng.integers(12, len(pictures) - last))
    strength = (float(rng.random()), float(rng.random()), float(rng.random()))
    judge = TamperJudge()
    for number in range(start):
        judge.judge(looks[number], number * LOOK_S)
    for number in range(start, start + last):
        if judge.judge(take_look(attack(kind, pictures[number], rng, strength)), number * LOOK_S).cause:
            return True
    return False


def people(detector: Detector) -> float:
    """Mean absolute error of people in the zone of vtest.avi, counts smoothed over 0.9 s."""
    truth = next(
        v for v in json.loads((VIDEO / "counts.json").read_text())["videos"] if v["file"].endswith("vtest.avi")
    )
    outline = np.array(truth["zone"]) * truth["size"]
    tracker, counts = Tracker(), {}
    tracker.fit(tuple(truth["size"]))
    for number, (at_s, picture) in enumerate(frames(VTEST, 0.1)):
        tracks = tracker.update(detector.detect([picture])[0], at_s)
        there = geometry.inside(tracks.ground_points().astype(np.float64), outline)
        counts[number] = int((there & (tracks.classes == RoadUser.PERSON)).sum())
    errors = [
        abs(
            round(float(np.median([counts[k] for k in range(z["frame"] - 4, z["frame"] + 5) if k in counts])))
            - z["count"]
        )
        for z in truth["zone_counts"]
    ]
    return float(np.mean(errors))


def ordinary(path: Path, detector: Detector, model: AggressionModel) -> tuple[float, float, list[float]]:
    """Seconds looked at, seconds in which a clip was judged, and the likeness at each moment."""
    tracker, watch, likeness, at_s = Tracker(), ScuffleWatch(model), [], 0.0
    for at_s, picture in frames(path, 0.1):
        tracks = tracker.update(detector.detect([picture])[0], at_s)
        found = watch.look(picture, tracks, at_s)
        likeness.append(found[0].likeness if found else 0.0)
    return at_s, sum(each > 0 for each in likeness) / 10, likeness


def main() -> int:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--labels", default=None)
    parser.add_argument("--only", choices=("tampering", "people", "ordinary"))
    args = parser.parse_args()
    cv2.setNumThreads(1)
    detector = open_configured(Model.model_validate({"file": args.model, "labels": args.labels}), threads=1)
    good = True
    if args.only in {None, "tampering"}:
        for path in clips():
            row = tampering(path)
            good &= row["false"] == 0 and all(row[kind] >= 0.95 * MOMENTS for kind in ATTACKS)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if args.only in {None, "people"}:
        error = people(detector)
        good &= error <= 1.5
        print(f"people in the zone of vtest.avi: mean absolute error {error:.2f}", flush=True)
    if args.only in {None, "ordinary"}:
        for path in clips():
            seconds, judged, likeness = ordinary(path, detector, AggressionModel(AGGRESSION))
            print(
                f"{path.name}: {seconds:.0f} s, {judged:.0f} s judged, likeness at most {max(likeness):.2f}", flush=True
            )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
