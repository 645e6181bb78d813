"""A small network over maps of movement, from random weights, and how it is trained without learning clips by heart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agent.vision.motion import MAPS
from models.train.aggression.clips import VIEWS, Clip

WIDTHS: Final = (16, 32, 48)
STRIDES: Final = ((1, 2, 2), (2, 2, 2), (2, 2, 2))
BATCH: Final = 16
RATE: Final = 4e-3
SQUARE_ROOTS: Final = (False, False, True, True, True)
"""Maps that hold square roots: where movement doubles they grow by the root of two."""


class Network(nn.Module):
    """Three convolutions in space and time, then what is there on average and where there is most of it."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width, stride in zip((MAPS, *WIDTHS), WIDTHS, STRIDES, strict=False):
            layers += [nn.Conv3d(before, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Dropout3d(0.2))
        self.dropout, self.out = nn.Dropout(0.4), nn.Linear(2 * WIDTHS[-1], 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits, shape (n,), of maps, shape (n, 5, 15, 24, 24)."""
        found = self.features(maps)
        seen = torch.cat([found.mean((2, 3, 4)), found.mean(2).amax((2, 3))], 1)
        return self.out(self.dropout(seen))[:, 0]


def fit(clips: Sequence[Clip], epochs: int, seed: int) -> Network:
    """Train from random weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    steps = epochs * len(clips) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
    waiting: list[int] = []
    for _ in range(steps):
        if len(waiting) < BATCH:
            waiting = rng.permutation(len(clips)).tolist()
        some = [clips[waiting.pop()] for _ in range(BATCH)]
        wanted = torch.tensor([0.95 if clip.fight else 0.05 for clip in some])
        loss = nn.functional.binary_cross_entropy_with_logits(network(_draw(some, rng)), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def logits(network: Network, clip: Clip, view: str) -> NDArray[np.float32]:
    """Of each window of a clip in a view; of the whole picture where nobody was close to anybody."""
    with torch.no_grad():
        return network(torch.tensor(np.stack(clip.windows[view] or clip.windows["whole"]))).numpy()  # type: ignore[no-any-return]


def _draw(clips: Sequence[Clip], rng: np.random.Generator) -> Tensor:
    """A window of each, in either view, spoilt."""
    drawn = []
    for clip in clips:
        windows = clip.windows[VIEWS[rng.integers(2)]] or clip.windows["whole"]
        drawn.append(_spoil(torch.tensor(windows[rng.integers(len(windows))]), rng))
    return torch.stack(drawn)


def _spoil(maps: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrored or not, another part of it, a little faster or slower, partly hidden, with a picture left out."""
    side = maps.shape[-1]
    if rng.random() < 0.5:
        maps = maps.flip(3) * torch.tensor([-1.0, 1, 1, 1, 1])[:, None, None, None]
    wide = int(side * rng.uniform(0.6, 1.0))
    high = int(np.clip(wide * rng.uniform(0.85, 1.15), 8, side))
    x, y = rng.integers(0, side - wide + 1), rng.integers(0, side - high + 1)
    part = maps[:, :, y : y + high, x : x + wide].transpose(0, 1)
    maps = nn.functional.interpolate(part, size=(side, side), mode="bilinear").transpose(0, 1).clone()
    maps = maps * _grown(float(np.exp(rng.normal(0, 0.2))))
    if rng.random() < 0.5:
        x, y = rng.integers(0, side - 6, 2)
        maps[:, :, y : y + 6, x : x + 6] = 0
    if rng.random() < 0.2:
        step = int(rng.integers(0, maps.shape[1] - 1))
        maps[:, step] = 0
        maps[:, step + 1] *= _grown(2.0)[:, 0]
    return maps


def _grown(times: float) -> Tensor:
    """Factors by map when movement grows so many times; change of the picture stays."""
    factors: NDArray[Any] = np.where(SQUARE_ROOTS, np.sqrt(times), times)
    factors[-1] = 1
    return torch.tensor(factors, dtype=torch.float32)[:, None, None, None]
