"""How long the tracker takes for a frame: ``python tests/bench/bench_tracker.py [tracks]``. Prints JSON.

A street of moving boxes, every one detected with noise in every frame, so that each frame predicts, matches,
corrects and shows that many tracks. Numbers only; nothing is judged here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.values import Detections
from agent.vision.tracker import Tracker


def busy_frames(tracks: int, frames: int, seed: int = 1) -> list[tuple[float, Detections]]:
    """Frames at 10 a second of this many boxes of 20 to 40 px that move over a 4K picture, one in ten missed."""
    rng = np.random.default_rng(seed)
    centres = rng.random((tracks, 2)) * [3840, 2160]
    velocities = rng.normal(0.0, 40.0, (tracks, 2))
    half = rng.uniform(10.0, 20.0, (tracks, 2))
    classes = rng.integers(0, 6, tracks)
    made = []
    for number in range(frames):
        at_s = number * 0.1
        seen = rng.random(tracks) < 0.9
        now = centres + velocities * at_s + rng.normal(0.0, 1.0, (tracks, 2))
        boxes = np.concatenate([now - half, now + half], axis=1)[seen].astype(np.float32)
        scores = rng.uniform(0.3, 0.95, int(seen.sum())).astype(np.float32)
        made.append((at_s, Detections(boxes, scores, classes[seen].astype(np.int64))))
    return made


def measure(tracks: int, frames: int = 120, warm: int = 20) -> dict[str, float]:
    """Milliseconds of CPU for one update with this many tracks alive: a busy machine changes them least."""
    tracker = Tracker()
    spent = []
    for at_s, detections in busy_frames(tracks, frames):
        begun = time.process_time()
        shown = tracker.update(detections, at_s)
        spent.append((time.process_time() - begun) * 1e3)
    steady = np.array(spent[warm:])
    return {
        "tracks": tracks,
        "shown": len(shown),
        "median_ms": round(float(np.median(steady)), 3),
        "p95_ms": round(float(np.percentile(steady, 95)), 3),
        "fastest_ms": round(float(steady.min()), 3),
    }


if __name__ == "__main__":
    counts = [int(word) for word in sys.argv[1:]] or [10, 100, 1000]
    sys.stdout.write(json.dumps([measure(count) for count in counts], indent=1) + "\n")
