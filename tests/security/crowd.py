"""People in a zone of vtest.avi against people counted there by eye."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from agent.scene import geometry
from agent.scene.crowd import HIDDEN_S
from agent.values import RoadUser
from agent.vision.tracker import Tracker
from tests.security import charts
from tests.security.bench import VIDEO, VTEST, Bench
from tests.security.section import Figure, Picture, Section

SMOOTH: Final = 4
"""A count is the median of so many frames before, this one, and as many after: 0.9 s."""


def measure(bench: Bench) -> Section:
    """Mean absolute error over the moments that were counted by eye."""
    truth = next(
        video
        for video in json.loads((VIDEO / "counts.json").read_text())["videos"]
        if video["file"].endswith("vtest.avi")
    )
    counts = _counts(bench, truth)
    frames = [int(moment["frame"]) for moment in truth["zone_counts"]]
    true = [int(moment["count"]) for moment in truth["zone_counts"]]
    smooth = [float(np.median(counts[max(0, at - SMOOTH) : at + SMOOTH + 1])) for at in range(len(counts))]
    said = [round(smooth[at]) for at in frames]
    error = float(np.mean(np.abs(np.subtract(said, true))))
    rows = ((str(frame), str(by_eye), str(agent)) for frame, by_eye, agent in zip(frames, true, said, strict=True))
    charts.curves(
        bench.out / "crowd.png",
        "People in the zone of vtest.avi",
        ("seconds", "people"),
        {"counted by eye": ([at / 10 for at in frames], true), "agent": (list(np.arange(len(smooth)) / 10), smooth)},
    )
    return Section(
        "People in a zone",
        (Figure("people in a zone of vtest.avi, mean absolute error", error, 1.5, 0.8, small_is_good=True),),
        text=f"{len(true)} moments counted by eye; tracks on the zone's ground, but those hidden "
        "for over a second, which the agent leaves out as well; median over 0.9 s.",
        details=(("frame", "by eye", "agent"), *rows),
        pictures=(Picture("crowd.png", "People in the zone over time"),),
        data={"frames": frames, "true": true, "said": said},
    )


def _counts(bench: Bench, truth: dict[str, Any]) -> list[int]:
    outline = np.array(truth["zone"]) * truth["size"]
    tracker = Tracker()
    tracker.fit(tuple(truth["size"]))
    counts, seen_s = [], dict[int, float]()
    for number, seen in enumerate(bench.seen(VTEST)):
        tracks = tracker.update(seen, number / 10)
        seen_s |= dict.fromkeys(tracks.ids[tracks.observed].tolist(), number / 10)
        recent = np.array([number / 10 - seen_s.get(each, 0.0) <= HIDDEN_S for each in tracks.ids.tolist()], np.bool_)
        there = geometry.inside(tracks.ground_points().astype(np.float64), outline)
        counts.append(int((there & recent & (tracks.classes == RoadUser.PERSON)).sum()))
    return counts
