"""A run's log and checkpoints, written when due, by the first process alone."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np

from models.train.processes import rank

if TYPE_CHECKING:
    from models.train.plan import Stage
    from models.train.run import Run

LINE_S, SAVE_S, SNAPSHOT_S = 60, 300, 1200


class Diary:
    """Process 0's log (a line a minute) and checkpoints (every five minutes, a snapshot every twenty)."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._last_line = self._last_save = self._last_snapshot = time.monotonic()
        self._images_before = run.images
        self._losses: list[float] = []

    def after_step(self, loss: float, progress: float, stage: Stage) -> None:
        """Write what is due."""
        self._losses.append(loss)
        run, now = self._run, time.monotonic()
        if rank() != 0 or now - self._last_line < LINE_S:
            return
        rate = (run.images - self._images_before) / (now - self._last_line)
        report(run, progress, stage, float(np.mean(self._losses)), rate)
        self._last_line, self._losses, self._images_before = now, [], run.images
        if now - self._last_save > SAVE_S:
            run.save()
            self._last_save = now
        if now - self._last_snapshot > SNAPSHOT_S:
            run.save(f"ema-{run.images:08d}.pt")
            self._last_snapshot = now

    def save(self, snapshot: str) -> None:
        """Write the checkpoint and a snapshot of the averaged weights now."""
        if rank() == 0:
            self._run.save()
            self._run.save(snapshot)


def report(run: Run, progress: float, stage: Stage, loss: float, images_per_s: float) -> None:
    """Print one line of state and append it to the run's log."""
    line = {
        "time": time.strftime("%H:%M:%S", time.gmtime()),
        "progress": round(progress, 4),
        "images": run.images,
        "size": f"{stage.width}x{stage.height}",
        "loss": round(loss, 4),
        "images_per_s": round(images_per_s, 1),
        "trained_s": round(run.trained_s),
    }
    print(json.dumps(line), flush=True)
    with (run.folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
