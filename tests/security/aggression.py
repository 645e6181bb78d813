"""Ordinary footage taken for a fight: how likely the clip model finds it, moment by moment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent.ops.assets import AGGRESSION_MODEL, shipped
from agent.vision.aggression import AggressionModel
from agent.vision.scuffle import ScuffleWatch
from agent.vision.tracker import Tracker
from tests.security import charts
from tests.security.bench import Bench, frames
from tests.security.section import Picture, Section

STEP_S: Final = 0.1


def measure(bench: Bench) -> Section:
    """The likeness over time of every ordinary clip."""
    likeness = {path.name: _likeness(bench, path) for path in bench.clips}
    charts.curves(
        bench.out / "aggression.png",
        "Likeness of ordinary footage to a fight",
        ("seconds", "likeness"),
        {clip: ([k * STEP_S for k in range(len(values))], values) for clip, values in likeness.items()},
        level=0.8,
    )
    head = ("clip", "seconds", "seconds judged", "likeness at most")
    rows = (
        (clip, f"{len(v) * STEP_S:.0f}", f"{sum(each > 0 for each in v) * STEP_S:.0f}", f"{max(v):.2f}")
        for clip, v in likeness.items()
    )
    return Section(
        "Aggression",
        (),
        details=(head, *rows),
        pictures=(Picture("aggression.png", "Likeness of ordinary footage to a fight"),),
        data={"likeness": likeness},
    )


def _likeness(bench: Bench, path: Path) -> list[float]:
    tracker, watch, values = Tracker(), ScuffleWatch(AggressionModel(shipped(AGGRESSION_MODEL))), []
    for (at_s, picture), seen in zip(frames(path, STEP_S), bench.seen(path, STEP_S), strict=True):
        tracker.fit((picture.shape[1], picture.shape[0]))
        found = watch.look(picture, tracker.update(seen, at_s), at_s)
        values.append(found[0].likeness if found else 0.0)
    return values
