"""What watching for crowds and vandalism costs on top of counting, when nothing happens.

The same frames go through two pipelines in turn: one that only counts, on a line and in a zone, and one that also
watches for everything. The medians per frame are compared. Both include detection, measured once for both. Second looks
at far crowds are made only while no camera is due, and are not in it.
"""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import ModelRef
from agent.values import Frame
from tests.security import charts
from tests.security.bench import Bench, frames
from tests.security.section import Figure, Picture, Section

STEP_S: Final = 0.1
WARM: Final = 330
"""In the first half minute the view and the regions are learnt; that is not what goes on when nothing happens."""
PART: Final = 30
"""Frames that are timed together: three seconds, in which everything that is done now and then is done."""
ZONE: Final[dict[str, Any]] = {"name": "zone", "polygon": [[0.05, 0.3], [0.95, 0.3], [0.95, 0.95], [0.05, 0.95]]}
COUNTS: Final[dict[str, Any]] = {
    "name": "camera",
    "source": "clip",
    "tamper": {"enabled": False},
    "lines": [{"name": "across", "points": [[0.02, 0.5], [0.98, 0.5]]}],
    "zones": [ZONE],
}
WATCHES: Final[dict[str, Any]] = COUNTS | {
    "tamper": {},
    "aggression": {},
    "protected": [
        {"name": "wall", "what": "wall", "polygon": [[0.05, 0.05], [0.25, 0.05], [0.25, 0.2], [0.05, 0.2]]},
        {"name": "floor", "what": "floor", "polygon": [[0.6, 0.6], [0.8, 0.6], [0.8, 0.8], [0.6, 0.8]]},
    ],
    "zones": [ZONE | {"rules": {"crowd": {}, "surge": {}, "loitering": {}}}],
}
"""Everything that is there, on the same line and zone. A new sign joins here."""


def measure(bench: Bench) -> Section:
    """Ratio of the medians on every ordinary clip; the worst is the figure."""
    work = {f"{path.name} {bench.quick}": functools.partial(_measure_clip, bench, path) for path in bench.clips}
    told = bench.pieces("cost").each("cost", work)
    rows = {path.name: told[f"{path.name} {bench.quick}"] for path in bench.clips}
    more = {clip: row["watching_ms"] / row["counting_ms"] - 1 for clip, row in rows.items()}
    ordinary = more.get("overpass-3-lanes.mp4", max(more.values()))
    charts.bars(
        bench.out / "cost.png",
        "Time per frame, ms, median",
        list(rows),
        {name: [row[f"{name}_ms"] for row in rows.values()] for name in ("counting", "watching")},
    )
    head = ("clip", "counting, ms", "with everything, ms", "more")
    details = (
        (clip, f"{row['counting_ms']:.2f}", f"{row['watching_ms']:.2f}", f"{more[clip]:.1%}")
        for clip, row in rows.items()
    )
    return Section(
        "Cost",
        (Figure("cost when nothing happens, over counting alone", ordinary, 0.05, 0.05, "{:.1%}", small_is_good=True),),
        text="Processor time of one thread: detector and pipeline, decoding left out; means of three seconds, the "
        "median of 20; both pipelines in turn in one run, each clip to and fro, after half a minute to learn. "
        "The figure is of overpass-3-lanes.mp4, where nobody walks; vtest.avi is a campus full of people.",
        details=(head, *details),
        pictures=(Picture("cost.png", "Time per frame"),),
        data={"clips": rows},
    )


def _measure_clip(bench: Bench, path: Path) -> dict[str, float]:
    """Milliseconds of processor time a frame: means of a few seconds, looks now and then included, and their median."""
    shots = list(zip((picture for _, picture in frames(path, STEP_S)), bench.seen(path, STEP_S), strict=True))
    swing = itertools.cycle([*range(len(shots)), *range(len(shots) - 2, 0, -1)])
    order = list(itertools.islice(swing, WARM + PART * (4 if bench.quick else 20)))
    detect_s = []
    for picture, _ in shots[:40]:
        began_s = time.thread_time()
        bench.detector.detect([picture])
        detect_s.append(time.thread_time() - began_s)
    model_ms = float(np.median(detect_s)) * 1000
    pipelines = {"counting": _pipeline(COUNTS), "watching": _pipeline(WATCHES)}
    spent: dict[str, list[float]] = {name: [] for name in pipelines}
    parts = [range(WARM), *(range(at, at + PART) for at in range(WARM, len(order), PART))]
    for number, part in enumerate(parts):
        for name in sorted(spent, reverse=number % 2 == 1):  # whoever comes first finds a colder cache
            began_s = time.thread_time()
            for at in part:
                picture, found = shots[order[at]]
                now = Instant(mono_s=at * STEP_S, utc_s=1.7e9 + at * STEP_S)
                pipelines[name].see(Frame("camera", at, picture, now), found)
            if number:  # the first part is for learning
                spent[name].append((time.thread_time() - began_s) * 1000 / len(part))
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    return {
        "counting_ms": model_ms + medians["counting"],
        "watching_ms": model_ms + medians["watching"],
        "model_ms": model_ms,
    }


def _pipeline(wish: dict[str, Any]) -> CameraPipeline:
    model = ModelRef(name="m", version="1", sha256="0" * 64)
    return CameraPipeline(Camera.model_validate(wish), device="bench", model=model)
