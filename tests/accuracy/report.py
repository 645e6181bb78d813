"""How far the counts can be trusted: simulated streets against their exact truth.

    python -m tests.accuracy.report --out docs

Plays every street of the simulator through the real tracker and the real scene and writes ``accuracy.md`` and
``accuracy.png``: error of volume, direction, class and speed, GEH, and how the volume's error grows as detections and
frames get fewer. The same seeds give the same numbers; they are others than those the tracker was made with.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent.config.schema import Camera
from agent.records import CountBody
from agent.scene import Scene
from agent.vision.tracker import Tracker
from tests.fakes.simulator import DetectorErrors, FrameTiming, PixelLine, Scenario
from tests.fakes.simulator.scenes import SCENES, free_flow, main_line

RATES: Final = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0)
MISSES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
DROPS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
FIRST_SEED: Final = 1000
"""The tracker was made while looking at streets of seeds below this one."""
ROUGH: Final = (FrameTiming(fps=10.0, unevenness=0.4, drop_rate=0.2), DetectorErrors(miss_run=3.0, shake_px=2.0))
"""A mast in the wind and a bad line: the picture sways, frames come unevenly, a fifth are lost, misses come in runs."""
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


def seen_by(scenario: Scenario, fps: float, miss_rate: float = 0.1, drop_rate: float = 0.0) -> Scenario:
    """A street at a detection rate and a share of missed detections; two in a hundred are false."""
    timing = FrameTiming(fps=fps, drop_rate=drop_rate)
    return replace(scenario, timing=timing, errors=DetectorErrors(miss_rate=miss_rate, false_rate=0.02))


def flow(seeds: int, fps: float, miss_rate: float, duration_s: float, drop_rate: float = 0.0) -> Score:
    """Free flow, the case every detector is measured by."""
    streets = [free_flow(FIRST_SEED + seed, duration_s=duration_s) for seed in range(seeds)]
    return total((seen_by(street, fps, miss_rate, drop_rate), main_line(street)) for street in streets)


def table(seeds: int, step: Callable[[], object]) -> str:
    """One row per street of the simulator at 10 detections a second, one at 5, and one with all that shakes.

    Args:
        seeds: Streets of each kind.
        step: Called after each street, for a progress bar.
    """
    head = (
        "| street | detections/s | crossings | counted | volume error | gross error | wrong way | class error | "
        "speed error |"
    )
    rows = [head, "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name, see in PASSES.items():
        everything = Score()
        for make, line_of in SCENES:
            score = Score()
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                street = see(make(seed))
                score.add(judge(street, line_of(street)))
                step()
            everything.add(score)
            rows.append(_row(make.__name__, name, score))
        rows += [_row("**all**", name, everything), _geh_row(name, everything.geh)]
    return "\n".join(rows)


def _rough(scenario: Scenario) -> Scenario:
    return replace(scenario, timing=ROUGH[0], errors=ROUGH[1])


#: What each part of the table is seen with.
PASSES: Final[dict[str, Callable[[Scenario], Scenario]]] = {
    "10": lambda street: seen_by(street, 10.0),
    "5": lambda street: seen_by(street, 5.0),
    "rough": _rough,
}


def _geh_row(name: str, values: Sequence[float]) -> str:
    good = np.mean([value < 2 for value in values]) if values else 1.0
    return (
        f"| GEH of {len(values)} minutes | {name} | below 2: {good:.1%} | worst: {max(values, default=0.0):.2f} | "
        f"from 5 on: {sum(value >= 5 for value in values)} | | | | |"
    )


def _row(name: str, seen: str, score: Score) -> str:
    speed = "-" if math.isnan(score.speed_error) else f"{score.speed_error:.1%}"
    return (
        f"| {name} | {seen} | {score.true} | {score.counted} | {score.volume_error:.1%} | {score.gross_error:.1%} | "
        f"{score.wrong_way} | {score.class_error:.1%} | {speed} |"
    )


def curves(path: Path, seeds: int, duration_s: float, step: Callable[[], object]) -> None:
    """Draw how the volume's error grows as detections get fewer, more are missed, and frames are dropped."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra

    def measured(fps: float, miss: float, drop: float) -> Score:
        score = flow(seeds, fps, miss, duration_s, drop)
        step()
        return score

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
    panels = (
        (RATES, [measured(fps, 0.1, 0.0) for fps in RATES], "detections a second"),
        ([100 * miss for miss in MISSES], [measured(10.0, miss, 0.0) for miss in MISSES], "missed, %"),
        (
            [100 * drop for drop in DROPS],
            [measured(10.0, 0.1, drop) for drop in DROPS],
            "frames lost of 10 a second, %",
        ),
    )
    for axis, (places, scores, name) in zip(axes, panels, strict=True):
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
by three hundredths of a box, at 10 and at 5 detections a second. In *rough* ones the picture also sways by two pixels,
frames come unevenly, a fifth of them is lost, and misses come in runs of three.

*Volume error* is net; *gross error* is what does not cancel between streets and directions; *wrong way* is what was
counted in a direction in which nothing crossed; *class error* is the share counted under a wrong class; *speed error*
is of the minutes' means. Nothing is left out of the truth: what is hidden while it crosses is part of it. The seeds are
others than those the tracker was made with. A GEH of single minutes is stricter than the handbooks' hours: one vehicle
of ten is 2.4.

{table}

![error against detection rate and missed detections](accuracy.png)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for accuracy.md and accuracy.png")
    parser.add_argument("--seeds", type=int, default=6, help="streets of each kind (default: %(default)s)")
    parser.add_argument("--duration-s", type=float, default=120.0, help="length of each street of the curves")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    steps = options.seeds * len(SCENES) * len(PASSES) + len(RATES) + len(MISSES) + len(DROPS)
    columns = (TextColumn("streets"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("streets", total=steps)
        rows = table(options.seeds, lambda: progress.advance(task))
        (options.out / "accuracy.md").write_text(PAGE.format(table=rows), encoding="utf-8")
        curves(options.out / "accuracy.png", 1, options.duration_s, lambda: progress.advance(task))
    sys.stdout.write(f"wrote {options.out / 'accuracy.md'} and {options.out / 'accuracy.png'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
