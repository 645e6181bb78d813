"""How long a model takes on this box, and how much memory, measured in a process of its own.

A fresh process per measurement, so that peak memory is the model's and not that of what ran before. Times are of one
picture through the whole detector: preprocessing, model, decoding. Run as
`python -m agent.evaluate.latency MODEL THREADS RUNS [FOREIGN]`, it prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.errors import ModelError
from agent.vision.describe import ForeignModel
from agent.vision.detector import open_detector
from agent.vision.engine import EngineOptions

RUNS: Final = 60
_WARM_UP: Final = 8
_TIMEOUT_S: Final = 300
_PICTURE: Final = (720, 1280, 3)


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of one picture, milliseconds, and the peak of the process's resident memory, MB (10**6 bytes)."""

    threads: int
    median_ms: float
    p95_ms: float
    model_median_ms: float
    peak_memory_mb: float


def measure(model: Path, foreign: ForeignModel, threads: int, runs: int = RUNS) -> Latency:
    """Measure in a process of its own.

    Raises:
        ModelError: The model can't be run there.
    """
    command = [sys.executable, "-m", __name__, str(model), str(threads), str(runs), json.dumps(asdict(foreign))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{model}: measuring its speed took more than {_TIMEOUT_S} s; give fewer --runs") from error
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ModelError(f"{model}: measuring its speed failed: {why}; try `kentongan models inspect` on it")
    return Latency(**json.loads(done.stdout))


def main(words: list[str]) -> None:
    """The measuring process."""
    model, threads, runs, foreign = words
    said = json.loads(foreign)
    if isinstance(said["labels"], list):
        said["labels"] = tuple(said["labels"])
    detector = open_detector(Path(model), foreign=ForeignModel(**said), options=EngineOptions(threads=int(threads)))
    picture = np.random.default_rng(0).integers(0, 255, _PICTURE, np.uint8)
    whole, inner = [], []
    for turn in range(int(runs) + _WARM_UP):
        start = time.perf_counter()
        detector.detect([picture])
        if turn >= _WARM_UP:
            whole.append((time.perf_counter() - start) * 1000)
            inner.append(detector.cost.model.wall_s * 1000)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    latency = Latency(
        threads=int(threads),
        median_ms=round(float(np.median(whole)), 3),
        p95_ms=round(float(np.percentile(whole, 95)), 3),
        model_median_ms=round(float(np.median(inner)), 3),
        peak_memory_mb=round(peak_kib * 1024 / 1e6, 1),
    )
    sys.stdout.write(json.dumps(asdict(latency)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
