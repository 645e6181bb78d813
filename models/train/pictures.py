"""Training pictures in an endless, seeded order, and how they become the batches the network takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from models.train.augment import compose
from models.train.dataset import repeat_weights
from models.train.paste import cutouts
from models.train.processes import rank, world_size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.utils.data import DataLoader

    from models.train.dataset import Sample
    from models.train.plan import Plan, Stage
    from models.train.run import Run

    Item = tuple[NDArray[np.uint8], NDArray[np.float32]]

ENDLESS = 1 << 40
GOLDEN_STEP = 0.6180339887498949  # steps of the golden ratio, modulo one, cover all stills evenly


class Pictures:
    """An endless, seeded list of training pictures: item `i` is always the same picture.

    Every still is the first of a picture about once in `len(stills)` pictures, rare classes more often.
    """

    def __init__(self, samples: list[Sample], plan: Plan, stage: Stage) -> None:
        self._samples, self._plan, self._stage = samples, plan, stage
        weights = repeat_weights(samples)
        self._pedestrians = cutouts(samples)
        self._cumulative = np.cumsum(weights / weights.sum())

    def __len__(self) -> int:
        return ENDLESS

    def _draw(self, at: float) -> Sample:
        return self._samples[min(int(np.searchsorted(self._cumulative, at)), len(self._samples) - 1)]

    def __getitem__(self, i: int) -> Item:
        rng = np.random.default_rng((self._plan.seed, i))
        first = self._draw((i * GOLDEN_STEP) % 1.0)
        stage = self._stage
        size = (stage.width, stage.height)
        pedestrians = self._pedestrians if rng.random() < stage.pasted else []
        return compose(
            first,
            lambda: self._draw(rng.random()),
            size,
            rng,
            mosaic=stage.mosaic,
            spoil_rate=stage.spoil,
            pedestrians=pedestrians,
        )


def collate(items: list[Item]) -> dict[str, Tensor]:
    """Stack pictures into the batch ultralytics' loss takes: RGB 0..1, boxes as relative centre and size."""
    pixels = np.stack([picture[..., ::-1] for picture, _ in items])
    height, width = pixels.shape[1:3]
    boxes = np.concatenate([boxes for _, boxes in items])
    corners = boxes[:, 1:] / np.array([width, height, width, height], np.float32)
    centred = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    owner = np.repeat(np.arange(len(items)), [len(boxes) for _, boxes in items])
    return {
        "img": torch.from_numpy(pixels).permute(0, 3, 1, 2),
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.from_numpy(boxes[:, :1]),
        "bboxes": torch.from_numpy(centred),
    }


def batches(samples: list[Sample], run: Run, stage: Stage, workers: int) -> DataLoader[Item]:
    """Batches of a stage from where the run stands, made by `workers` processes; each rank takes its share."""
    return torch.utils.data.DataLoader(
        Pictures(samples, run.plan, stage),
        batch_size=run.plan.batch // world_size(),
        sampler=range(run.images + rank(), ENDLESS, world_size()),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=run.device.type == "cuda",
        prefetch_factor=4 if workers else None,
        worker_init_fn=lambda _: cv2.setNumThreads(0),
    )
