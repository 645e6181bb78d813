"""One training run: its network, its averaged weights, where it stands, its checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import ModelEMA

from models.train.dataset import CLASSES
from models.train.processes import world_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor
    from torch.optim import Optimizer

    from models.train.plan import Plan


def build_model(yaml_file: Path, seed: int) -> DetectionModel:
    """Make the network with random weights; the same seed gives the same weights."""
    torch.manual_seed(seed)
    model = DetectionModel(str(yaml_file), verbose=False)
    model.args = get_cfg()  # the loss reads its gains here
    model.names = dict(enumerate(CLASSES))
    return model


def build_optimizer(model: DetectionModel, plan: Plan) -> Optimizer:
    """AdamW, with decay on matrices and filters only."""
    filters = [p for p in model.parameters() if p.requires_grad and p.ndim in (2, 4)]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim not in (2, 4)]
    groups = [
        {"params": filters, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(plan.momentum, 0.999))


def reached(folder: Path) -> dict[str, int]:
    """How far a run has come, by the checkpoint it goes on from; empty before there is one. Its log may be ahead."""
    path = folder / "last.pt"
    if not path.exists():
        return {}
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {"images": int(state["images"]), "trained_s": round(state["trained_s"])}


class Run:
    """One training run: its weights, its averaged weights, where it stands, and its folder."""

    def __init__(self, folder: Path, plan: Plan, device: str) -> None:
        self.folder, self.plan, self.device = folder, plan, torch.device(device)
        self.model = build_model(folder / "street.yaml", plan.seed)
        self.model = self.model.to(self.device, memory_format=torch.channels_last)
        self.optimizer = build_optimizer(self.model, plan)
        self.average = ModelEMA(self.model, decay=plan.average, tau=plan.average_ramp)
        self.step = self.images = 0
        self.trained_s = 0.0

    def begin_with(self, set_weights: Callable[[DetectionModel], object]) -> None:
        """Take other weights than random ones, on this run's device and in the averaged network as well."""
        model = self.model.cpu()
        set_weights(model)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.average.ema.load_state_dict(self.model.state_dict())

    def save(self, name: str = "last.pt") -> None:
        """Write a checkpoint; an interruption while writing leaves the old one whole."""
        whole = {
            "step": self.step,
            "images": self.images,
            "trained_s": self.trained_s,
            "average_updates": self.average.updates,
            "average": self.average.ema.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        kept = whole if name == "last.pt" else {k: whole[k] for k in ("step", "images", "trained_s", "average")}
        partial = self.folder / (name + ".partial")
        torch.save(kept, partial)
        partial.replace(self.folder / name)

    def resume(self) -> bool:
        """Go on from `last.pt` when there is one; tell whether there was."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.ema.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        planned = [(group["weight_decay"], group["betas"]) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, (decay, betas) in zip(self.optimizer.param_groups, planned, strict=True):
            group["weight_decay"], group["betas"] = decay, betas  # of a plan that was changed, not of the checkpoint
        self.step, self.images, self.trained_s = state["step"], state["images"], state["trained_s"]
        return True

    def train_step(self, batch: dict[str, Tensor], progress: float) -> float:
        """One batch: forward, loss, backward, optimizer, averaging; returns the loss per picture of this process."""
        plan = self.plan
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate_at(progress, self.step)
        batch = {key: value.to(self.device, non_blocking=True) for key, value in batch.items()}
        batch["img"] = batch["img"].to(memory_format=torch.channels_last).float() / 255
        self.model.train()
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            output = self.model.predict(batch["img"])
        output = {k: [f.float() for f in v] if isinstance(v, list) else v.float() for k, v in output.items()}
        loss = self.model.loss(batch, output)[0].sum()
        loss.backward()
        self.average_gradients()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.model)
        self.step += 1
        self.images += len(batch["img"]) * world_size()
        return float(loss.detach()) / len(batch["img"])

    def average_gradients(self) -> None:
        """Take the mean of the gradients over all processes of this run."""
        if world_size() == 1:
            return
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        torch.distributed.all_reduce(flat)
        parts = torch.split(flat / world_size(), [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
