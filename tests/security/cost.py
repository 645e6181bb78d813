"""What watching for crowds and vandalism costs on top of counting, when nothing happens.

The same frames go through two pipelines in turn, one that counts only and one that watches for everything; the
medians per frame are compared. Both include detection, measured once for both.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.pipeline import CameraPipeline
from agent.records import ModelRef
from agent.values import Frame, Image
from tests.security import charts
from tests.security.bench import Bench, frames
from tests.security.section import Figure, Picture, Section

STEP_S: Final = 0.1
COUNTS: Final[dict[str, Any]] = {
    "name": "camera",
    "source": "clip",
    "tamper": {"enabled": False},
    "lines": [{"name": "across", "points": [[0.02, 0.5], [0.98, 0.5]]}],
}
WATCHES: Final[dict[str, Any]] = COUNTS | {
    "tamper": {},
    "aggression": {},
    "protected": [
        {"name": "wall", "what": "wall", "polygon": [[0.05, 0.05], [0.25, 0.05], [0.25, 0.2], [0.05, 0.2]]},
        {"name": "floor", "what": "floor", "polygon": [[0.6, 0.6], [0.8, 0.6], [0.8, 0.8], [0.6, 0.8]]},
    ],
    "zones": [
        {
            "name": "zone",
            "polygon": [[0.05, 0.3], [0.95, 0.3], [0.95, 0.95], [0.05, 0.95]],
            "rules": {"crowd": {}, "surge": {}, "loitering": {}},
        }
    ],
}
"""Everything that is there, on one zone. A new sign joins here."""


def measure(bench: Bench) -> Section:
    """Ratio of the medians on every ordinary clip; the worst is the figure."""
    rows = {path.name: _measure_clip(bench, [p for _, p in frames(path, STEP_S)]) for path in bench.clips}
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
        text="Mean over frames of detector and pipeline, median over rounds, both pipelines in turn in one run. "
        "The figure is of overpass-3-lanes.mp4, where nobody walks; vtest.avi is a campus full of people.",
        details=(head, *details),
        pictures=(Picture("cost.png", "Time per frame"),),
        data={"clips": rows},
    )


def _measure_clip(bench: Bench, pictures: list[Image]) -> dict[str, float]:
    """Mean milliseconds a frame, of looks once a second and all, as the median over rounds."""
    rounds = 2 if bench.quick else 5
    spent: dict[str, list[float]] = {"counting": [], "watching": []}
    seen = [bench.detector.detect([picture])[0] for picture in pictures[:100]]
    detect_s = []
    for picture in pictures[:20]:
        began_s = time.perf_counter()
        bench.detector.detect([picture])
        detect_s.append(time.perf_counter() - began_s)
    model_ms = float(np.median(detect_s)) * 1000
    for _ in range(rounds):
        for name, wish in (("counting", COUNTS), ("watching", WATCHES)):
            pipeline = CameraPipeline(
                Camera.model_validate(wish), device="bench", model=ModelRef(name="m", version="1", sha256="0" * 64)
            )
            began_s = time.perf_counter()
            for number, (picture, found) in enumerate(zip(pictures[:100], seen, strict=True)):
                at = Instant(mono_s=number * STEP_S, utc_s=1.7e9 + number * STEP_S)
                pipeline.see(Frame("camera", number, picture, at), found)
            spent[name].append((time.perf_counter() - began_s) * 1000 / len(seen))
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    return {
        "counting_ms": model_ms + medians["counting"],
        "watching_ms": model_ms + medians["watching"],
        "model_ms": model_ms,
    }
