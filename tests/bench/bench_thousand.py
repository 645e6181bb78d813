"""Tracker and scene with a thousand road users alive: ``python tests/bench/bench_thousand.py``. Prints JSON.

The street of bench_tracker.py, two lines and a zone over it; CPU milliseconds of one thread, medians over thirty
frames after thirty of warming up. Numbers only; nothing is judged here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.clock import Instant
from agent.config.schema import Camera
from agent.scene import Scene
from agent.vision.tracker import Tracker
from tests.bench.bench_tracker import busy_frames

PICTURE_PX = (3840, 2160)
CAMERA = {
    "name": "camera",
    "source": "none",
    "lines": [
        {"name": "across", "points": [[0.02, 0.5], [0.98, 0.5]]},
        {"name": "upright", "points": [[0.5, 0.98], [0.5, 0.02]]},
    ],
    "zones": [{"name": "middle", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]}],
}


def measure(tracks: int = 1000) -> dict[str, float]:
    """Run sixty frames and take the medians of the last thirty."""
    tracker, scene = Tracker(picture_px=PICTURE_PX), Scene(Camera.model_validate(CAMERA), device="bench", model=None)
    spent = []
    alive = 0
    for at_s, detections in busy_frames(tracks, 60):
        marks = [time.thread_time()]
        found = tracker.update(detections, at_s)
        marks.append(time.thread_time())
        scene.update(found, Instant(at_s, at_s), PICTURE_PX)
        marks.append(time.thread_time())
        spent.append(np.diff(marks) * 1000)
        alive = len(found)
    tracking, seeing = np.median(spent[30:], axis=0)
    both = float(np.median(np.sum(spent[30:], axis=1)))
    return {"tracks": alive, "tracker_ms": round(tracking, 2), "scene_ms": round(seeing, 2), "both_ms": round(both, 2)}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
