"""How far the counts can be trusted: simulated streets against their exact truth.

    python -m tests.accuracy.report --out docs

Plays every street of the simulator through the real tracker and the real scene and writes ``accuracy.md`` and
``accuracy.png``: error of volume, direction, class and speed, GEH, and how the volume's error grows as detections
get fewer. The same seeds give the same numbers. Uses no model and no video.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from agent.config.schema import Camera
from agent.records import CountBody
from agent.scene import Scene
from agent.vision.tracker import Tracker
from tests.fakes.simulator import DetectorErrors, FrameTiming, PixelLine, Scenario
from tests.fakes.simulator.scenes import SCENES, free_flow, main_line

RATES: Final = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0)
MISSES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
INTERVAL_S: Final = 60
GROUND_M: Final = ((-7.0, 12.0), (7.0, 12.0), (7.0, 45.0), (-7.0, 45.0))
WAYS: Final = ("a_to_b", "b_to_a")


@dataclass(slots=True)
class Score:
    """What one or more streets gave against what was there.

    Attributes:
        true: Crossings that happened.
        counted: Crossings that were counted.
        wrong: Differences in volume, summed over streets and directions without cancelling.
        wrong_way: Streets' counts in a direction in which nothing crossed.
        wrong_class: Half the absolute differences by class of what was counted.
        geh: Of every interval and direction.
        speeds: Pairs of counted and true mean speed, km/h.
    """

    true: int = 0
    counted: int = 0
    wrong: int = 0
    wrong_way: int = 0
    wrong_class: float = 0.0
    geh: list[float] = field(default_factory=list)
    speeds: list[tuple[float, float]] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Take in another street."""
        self.true += other.true
        self.counted += other.counted
        self.wrong += other.wrong
        self.wrong_way += other.wrong_way
        self.wrong_class += other.wrong_class
        self.geh += other.geh
        self.speeds += other.speeds

    @property
    def volume_error(self) -> float:
        """Net error of the volume as a share of the truth."""
        return abs(self.counted - self.true) / max(self.true, 1)

    @property
    def gross_error(self) -> float:
        """Errors that do not cancel between streets and directions, as a share of the truth."""
        return self.wrong / max(self.true, 1)

    @property
    def class_error(self) -> float:
        """Share of the counted that carry a wrong class."""
        return self.wrong_class / max(self.counted, 1)

    @property
    def speed_error(self) -> float:
        """Mean relative error of the intervals' mean speeds; nan without any."""
        errors = [abs(got - true) / true for got, true in self.speeds]
        return float(np.mean(errors)) if errors else math.nan


def geh(counted_per_h: float, true_per_h: float) -> float:
    """The Geoffrey E. Havers statistic of two hourly flows."""
    total = counted_per_h + true_per_h
    return math.sqrt(2 * (counted_per_h - true_per_h) ** 2 / total) if total else 0.0


def play(scenario: Scenario, line: PixelLine) -> list[CountBody]:
    """The counts that the real tracker and scene make of a street."""
    size = (scenario.camera.width_px, scenario.camera.height_px)
    feet = scenario.camera.ground_to_image(np.array(GROUND_M))
    camera = Camera.model_validate(
        {
            "name": "street",
            "source": "simulator",
            "frame_size": size,
            "lines": [{"name": line.name, "points": [line.start_px, line.end_px], "interval_s": INTERVAL_S}],
            "ground": {
                "points": [
                    {"image": image, "metres": metres} for image, metres in zip(feet.tolist(), GROUND_M, strict=True)
                ]
            },
        }
    )
    scene, tracker = Scene(camera, device="simulator", model=None), Tracker(picture_px=size)
    records = []
    at = None
    for at, detections in scenario.frames():
        records += scene.update(tracker.update(detections, at.mono_s), at, size)
    if at is not None:
        records += scene.stop(at)
    return [record.body for record in records if isinstance(record.body, CountBody)]


def judge(scenario: Scenario, line: PixelLine) -> Score:
    """Play one street and compare."""
    truth, bodies = scenario.truth(line), play(scenario, line)
    score = Score(true=len(truth))
    true_class: Counter[str] = Counter(crossing.kind.label for crossing in truth)
    got_class: Counter[str] = Counter()
    for way in WAYS:
        here = [crossing for crossing in truth if crossing.direction == way]
        there = [body for body in bodies if body.direction == way]
        counted = sum(body.volume or 0 for body in there)
        score.counted += counted
        score.wrong += abs(counted - len(here))
        score.wrong_way += counted if not here else 0
        for body in there:
            got_class.update(body.by_class or {})
            _judge_interval(score, body, [c for c in here if _within(scenario, c.time_s, body)])
    differences = sum(abs(got_class[name] - true_class[name]) for name in {*got_class, *true_class})
    score.wrong_class = max(0.0, (differences - abs(score.counted - score.true)) / 2)
    return score


def _within(scenario: Scenario, time_s: float, body: CountBody) -> bool:
    return body.interval.start <= scenario.start_utc_s + time_s < body.interval.end


def _judge_interval(score: Score, body: CountBody, true: Sequence[object]) -> None:
    hours = (body.interval.end - body.interval.start) / 3600
    if not body.interval.partial or hours * 3600 > INTERVAL_S * 0.9:
        score.geh.append(geh((body.volume or 0) / hours, len(true) / hours))
    speeds = [crossing.speed_kmh for crossing in true if crossing.speed_kmh > 5]  # type: ignore[attr-defined]
    if body.speed_kmh is not None and len(speeds) == body.speed_kmh.n == len(true) and len(speeds) >= 3:
        score.speeds.append((body.speed_kmh.mean, float(np.mean(speeds))))


def total(scenarios: Iterable[tuple[Scenario, PixelLine]]) -> Score:
    """The score of several streets together."""
    score = Score()
    for scenario, line in scenarios:
        score.add(judge(scenario, line))
    return score


def seen_by(scenario: Scenario, fps: float, miss_rate: float = 0.1) -> Scenario:
    """A street at a detection rate and a share of missed detections; two in a hundred are false."""
    return replace(scenario, timing=FrameTiming(fps=fps), errors=DetectorErrors(miss_rate=miss_rate, false_rate=0.02))


def flow(seeds: int, fps: float, miss_rate: float, duration_s: float) -> Score:
    """Free flow, the case every detector is measured by."""
    streets = (free_flow(seed, duration_s=duration_s) for seed in range(seeds))
    return total((seen_by(street, fps, miss_rate), main_line(street)) for street in streets)


def table(seeds: int) -> str:
    """One row per street of the simulator at 10 detections a second, and one at 5."""
    head = "| street | detections/s | crossings | counted | volume error | gross error | class error | speed error |"
    rows = [head, "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for fps in (10.0, 5.0):
        everything = Score()
        for make, line_of in SCENES:
            streets = [seen_by(make(seed), fps) for seed in range(seeds)]
            score = total((street, line_of(street)) for street in streets)
            everything.add(score)
            rows.append(_row(streets[0].name, fps, score))
        rows.append(_row("**all**", fps, everything))
        if everything.geh:
            good = np.mean([value < 2 for value in everything.geh])
            rows.append(
                f"| GEH of {len(everything.geh)} intervals | {fps:g} | below 2: {good:.1%} | "
                f"worst: {max(everything.geh):.2f} | | | | |"
            )
    return "\n".join(rows)


def _row(name: str, fps: float, score: Score) -> str:
    speed = "-" if math.isnan(score.speed_error) else f"{score.speed_error:.1%}"
    return (
        f"| {name} | {fps:g} | {score.true} | {score.counted} | {score.volume_error:.1%} | {score.gross_error:.1%} | "
        f"{score.class_error:.1%} | {speed} |"
    )


def curves(path: Path, seeds: int, duration_s: float) -> None:
    """Draw how the volume's error grows as detections get fewer and more are missed."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    rates = [flow(seeds, fps, 0.1, duration_s) for fps in RATES]
    misses = [flow(seeds, 10.0, miss, duration_s) for miss in MISSES]
    panels = ((axes[0], RATES, rates, "detections a second"), (axes[1], [100 * m for m in MISSES], misses, "missed, %"))
    for axis, places, scores, name in panels:
        axis.plot(places, [100 * score.gross_error for score in scores], marker="o", label="gross")
        axis.plot(places, [100 * score.volume_error for score in scores], marker="s", label="net")
        axis.set_xlabel(name)
        axis.grid(alpha=0.3)
    axes[0].axvline(8, color="grey", linestyle="--", label="needed")
    axes[0].set_ylabel("error of the volume, %")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


PAGE: Final = """# How far the counts can be trusted

Made by `python -m tests.accuracy.report --out docs`; do not edit. Simulated streets with exact truth, seen by a
detector that misses one thing in ten, invents two in a hundred, takes one in twenty for another class and trembles
by three hundredths of a box. *Volume error* is net; *gross error* is what does not cancel between streets and
directions; *class error* is the share counted under a wrong class; *speed error* is of the intervals' means.
What is hidden from before the line until it has left the picture is part of the truth and can't be counted.

{table}

![error against detection rate and missed detections](accuracy.png)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for accuracy.md and accuracy.png")
    parser.add_argument("--seeds", type=int, default=2, help="streets of each kind")
    parser.add_argument("--duration-s", type=float, default=120.0, help="length of each street of the curves")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "accuracy.md").write_text(PAGE.format(table=table(options.seeds)), encoding="utf-8")
    curves(options.out / "accuracy.png", max(1, options.seeds // 4), options.duration_s)
    sys.stdout.write(f"wrote {options.out / 'accuracy.md'} and {options.out / 'accuracy.png'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
