"""Where the time goes: wall and CPU seconds by stage, for the benchmark and for health.

Cheap enough to stay on: two clock reads on either side of a stage. Never prints and never decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

STAGES: Final = ("decode", "preprocess", "model", "postprocess", "track", "scene", "outbox", "send")


@dataclass(slots=True)
class Spent:
    """Time one stage took altogether: seconds by the clock on the wall and on the processor, and how often."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    times: int = 0


@dataclass(slots=True)
class StageTimes:
    """Accumulates what each stage took. One thread writes a stage; anyone may read."""

    spent: dict[str, Spent] = field(default_factory=lambda: {stage: Spent() for stage in STAGES})

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Charge the body of a with-statement to a stage, CPU time of the calling thread."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - wall, time.thread_time() - cpu)

    def add(self, stage: str, wall_s: float, cpu_s: float, times: int = 1) -> None:
        """Charge time that was measured elsewhere."""
        spent = self.spent[stage]
        spent.wall_s += wall_s
        spent.cpu_s += cpu_s
        spent.times += times
