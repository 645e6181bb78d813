"""Everything that decides what a training run becomes, recorded with the run: sizes, rates, schedule, seed.

Pure numbers: no torch, no files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run at one picture size.

    Attributes:
        until: Share of the run at which it ends, 0..1.
        width, height: Picture size, px, multiples of 32.
        mosaic: Chance of four stills on one picture.
        spoil: Scales the chances of bad light and quality.
        pasted: Chance that pedestrians are pasted into a picture.
    """

    until: float
    width: int
    height: int
    mosaic: float
    spoil: float = 1.0
    pasted: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the result, recorded with the run. The loss is that of ultralytics."""

    seed: int = 20250
    batch: int = 32
    learning_rate: float = 0.002
    final_share: float = 0.01  # of the learning rate, at the end of the cosine
    momentum: float = 0.9
    weight_decay: float = 0.02
    warmup_steps: int = 300
    clip_norm: float = 10.0
    average: float = 0.9985  # decay of the averaged weights, per step
    average_ramp: int = 500
    stages: tuple[Stage, ...] = (
        Stage(0.40, 320, 192, 0.6),
        Stage(0.65, 384, 224, 0.5),
        Stage(0.78, 448, 256, 0.5),
        Stage(0.97, 512, 288, 0.5),
        Stage(1.00, 512, 288, 0.5, pasted=0.4),
    )

    def learning_rate_at(self, progress: float, step: int) -> float:
        """Cosine from `learning_rate` to its `final_share` over the run (progress 0..1), rising linearly at first."""
        falling = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        share = self.final_share + (1 - self.final_share) * falling
        return self.learning_rate * share * min(1.0, (step + 1) / self.warmup_steps)
