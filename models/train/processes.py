"""The processes that share one run on a CPU: who writes, and what they must agree on."""

from __future__ import annotations

import torch


def world_size() -> int:
    """Processes that share this run."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def rank() -> int:
    """This process's number; process 0 writes the files."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def agreed(value: float) -> float:
    """Process 0's value, so that all leave a stage at the same step."""
    if world_size() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    torch.distributed.broadcast(shared, src=0)
    return float(shared)
