"""How far the counts can be trusted: simulated streets against their exact truth.

    python -m tests.accuracy.report --out docs

Plays every street of the simulator through the real tracker and the real scene and writes ``accuracy.md`` and
``accuracy.png``: error of volume, direction, class and speed, GEH, what the records say of themselves, and how the
volume's error grows as detections and frames get fewer. The same seeds give the same numbers, however many ``--jobs``
share them; they are others than those the tracker was made with. Each part is written as soon as it is done.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.accuracy.score import Score, judge
from tests.fakes.simulator import DetectorErrors, FrameTiming, PixelLine, Scenario
from tests.fakes.simulator.scenes import SCENES, free_flow, main_line

Work: TypeAlias = Callable[[Callable[[Any], Score], Sequence[Any]], Iterable[Score]]
"""Maps a function over jobs, in their order."""
RATES: Final = (2.0, 3.0, 5.0, 8.0, 10.0, 15.0)
MISSES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
DROPS: Final = (0.0, 0.2, 0.4, 0.6, 0.8)
FIRST_SEED: Final = 1000
"""The tracker was made while looking at streets of seeds below this one."""
ROUGH: Final = (FrameTiming(fps=10.0, unevenness=0.4, drop_rate=0.2), DetectorErrors(miss_run=3.0, shake_px=2.0))
"""A mast in the wind and a bad line: the picture sways, frames come unevenly, a fifth are lost, misses come in runs."""
GOOD_GEH: Final = 2.0
FAIR_GEH: Final = 5.0


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


def _rough(scenario: Scenario) -> Scenario:
    return replace(scenario, timing=ROUGH[0], errors=ROUGH[1])


@dataclass(frozen=True, slots=True)
class Pass:
    """One way of seeing all streets: one table of the page."""

    title: str
    see: Callable[[Scenario], Scenario]


#: What each part of the page is seen with, by the word that ``--only`` knows it by.
PASSES: Final[dict[str, Pass]] = {
    "10": Pass("10 detections a second", lambda street: seen_by(street, 10.0)),
    "5": Pass("5 detections a second", lambda street: seen_by(street, 5.0)),
    "rough": Pass("Rough: a swaying picture and a bad line", _rough),
}
CURVES: Final = "curves"
HEAD: Final = (
    "| street | crossings | counted | volume error | gross error | wrong way | class error | speed error | "
    "with a speed | GEH of the hour |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def judge_one(job: tuple[str, int, int]) -> Score:
    """The score of one street: a pass, a place in the table of scenes, a seed; everything random follows from these."""
    name, place, seed = job
    make, line_of = SCENES[place]
    street = PASSES[name].see(make(seed))
    return judge(street, line_of(street))


def section(name: str, seeds: int, work: Work, step: Callable[[], object]) -> str:
    """One pass over all streets: a row per street, and what all of its intervals say.

    Args:
        name: Of the pass.
        seeds: Streets of each kind.
        work: Maps a function over jobs, in their order; several processes may share them.
        step: Called after each street, for a progress bar.
    """
    jobs = [(name, place, FIRST_SEED + seed) for place in range(len(SCENES)) for seed in range(seeds)]
    scores = [Score() for _ in SCENES]
    for job, score in zip(jobs, work(judge_one, jobs), strict=True):
        scores[job[1]].add(score)
        step()
    everything = Score()
    for score in scores:
        everything.add(score)
    rows = [_row(make.__name__, score) for (make, _), score in zip(SCENES, scores, strict=True)]
    table = "\n".join([HEAD, *rows, _row("**all**", everything)])
    return f"## {PASSES[name].title}\n\n{table}\n\n{_said(everything)}"


def _said(score: Score) -> str:
    """What GEH and the intervals' own quality come to, as a list."""
    flows = [flow.geh for flow in score.flows.values() if flow.true or flow.counted]
    minutes = len(score.geh)
    return (
        f"- GEH of the {len(flows)} flows, a street and a direction each, as vehicles an hour: {_geh(flows)}.\n"
        f"- GEH of the {minutes} single minutes: {_geh(score.geh)}.\n"
        f"- What the {minutes} records of these minutes say of themselves: {score.flagged} name `low_rate`, "
        f"{score.valid} are `valid`."
    )


def _geh(values: Sequence[float]) -> str:
    good = np.mean([value < GOOD_GEH for value in values]) if values else 1.0
    bad = sum(value >= FAIR_GEH for value in values)
    return f"below 2 in {good:.1%}, from 5 on in {bad}, worst {max(values, default=0.0):.2f}"


def _row(name: str, score: Score) -> str:
    speed = "-" if math.isnan(score.speed_error) else f"{score.speed_error:.1%}"
    hour = max((flow.geh for flow in score.flows.values()), default=0.0)
    return (
        f"| {name} | {score.true} | {score.counted} | {score.volume_error:.1%} | {score.gross_error:.1%} | "
        f"{score.wrong_way} | {score.class_error:.1%} | {speed} | {score.measured / max(score.counted, 1):.0%} | "
        f"{hour:.2f} |"
    )


def flow_of(job: tuple[float, float, float, int, float]) -> Score:
    """Free flow at a detection rate, a share of misses and one of lost frames: so many seeds, so long each."""
    fps, miss_rate, drop_rate, seeds, duration_s = job
    return flow(seeds, fps, miss_rate, duration_s, drop_rate)


def curves(path: Path, seeds: int, duration_s: float, work: Work, step: Callable[[], object]) -> None:
    """Draw how the volume's error grows as detections get fewer, more are missed, and frames are dropped."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra

    panels = (
        (RATES, [(fps, 0.1, 0.0) for fps in RATES], "detections a second"),
        ([100 * miss for miss in MISSES], [(10.0, miss, 0.0) for miss in MISSES], "missed, %"),
        ([100 * drop for drop in DROPS], [(10.0, 0.1, drop) for drop in DROPS], "frames lost of 10 a second, %"),
    )
    results = iter(work(flow_of, [(*point, seeds, duration_s) for _, points, _ in panels for point in points]))
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
    for axis, (places, points, name) in zip(axes, panels, strict=True):
        scores = []
        for _ in points:
            scores.append(next(results))
            step()
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
is of the minutes' means, beside the mean of all who truly crossed in that minute, measured or not, where there are
three or more of both; *with a speed* is the share of the counted whose speed was told. Who was not seen whole for
long enough has none, and the `n` in `speed_kmh` says on how many its mean rests. Nothing is left out of the truth: what
is hidden while it crosses is part of it. Who waits on a line has crossed it when it leaves it on the other side. The
seeds are others than those the tracker was made with.

*GEH* is the handbooks' figure for two flows in **vehicles an hour**: the DMRB and Transport for London's guidelines ask
for less than 5 in 85 % of them, and that other lengths of time be scaled to the hour. *GEH of the hour* is that: all
seeds of a street together, scaled, the worse of its two directions. The *GEH of single minutes* is no handbook's
figure and much stricter: a minute that counts 9 of 10 has 2.5, one that counts 1 of 2 has 6.3, and one that counts 0 of
1, which may be a crossing at the turn of a minute that became certain in the next, has 10.95.
{sections}
{picture}"""
PICTURE: Final = """## Fewer detections, more misses, lost frames

![error against detection rate and missed detections](accuracy.png)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for accuracy.md and accuracy.png")
    parser.add_argument("--seeds", type=int, default=6, help="streets of each kind (default: %(default)s)")
    parser.add_argument("--duration-s", type=float, default=120.0, help="length of each street of the curves")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the streets (default: %(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=(*PASSES, CURVES), default=(*PASSES, CURVES), help="parts; the page has no others"
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    passes = [name for name in PASSES if name in options.only]
    points = (len(RATES) + len(MISSES) + len(DROPS)) * (CURVES in options.only)
    columns = (TextColumn("streets"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(options.jobs) as pool, Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("streets", total=options.seeds * len(SCENES) * len(passes) + points)
        work: Work = map if options.jobs == 1 else pool.map
        sections: list[str] = []
        for name in passes:
            sections.append(section(name, options.seeds, work, lambda: progress.advance(task)))
            _write(options.out, sections, picture="")  # what there is, should the rest be cut short
        if points:
            curves(options.out / "accuracy.png", 1, options.duration_s, work, lambda: progress.advance(task))
            _write(options.out, sections, picture=PICTURE)
    sys.stdout.write(f"wrote {options.out / 'accuracy.md'}\n")
    return 0


def _write(folder: Path, sections: Sequence[str], picture: str) -> None:
    page = PAGE.format(sections="".join(f"\n{part}\n" for part in sections), picture=picture)
    (folder / "accuracy.md").write_text(page.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
