"""What the updater of a slot is given: the slot as the configuration has it, the running pipeline, and its tools.

Values and protocols only; who makes them is :mod:`agent.update.build`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.clock import Clock
from agent.update.durable import Disk
from agent.update.eyes import OpenEyes, Subject
from agent.update.offer import Box
from agent.update.repository import Repository
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.vision.model_file import SIZE_LIMIT_BYTES, ModelFile


class ModelHost(Protocol):
    """The running pipeline, as far as it concerns an update."""

    def swap(self, slot: str, model: ModelFile) -> None:
        """Load these bytes, then let them take over between two frames.

        Raises:
            ModelError: They do not load; what was running runs on.
            UpdateError: The pipeline has no time for it now (``not_now``); what was running runs on.
        """
        ...


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """One slot as the configuration has it.

    Attributes:
        name: The model's name in the configuration.
        installed: The file that was installed with the box.
        budget_s: What its cameras leave for a picture: one over the sum of their detection rates.
    """

    name: str
    installed: Subject
    budget_s: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What an updater works with.

    Attributes:
        repository: Where releases come from.
        folder: Where slots and models lie.
        host: The running pipeline.
        trial: Tries candidates.
        open_eyes: Loads a candidate apart from the agent, for the shadow.
        box: What the rules know of this box.
        clock: The time.
        disk: How files are made durable.
        shadow: When a shadow ends.
        watch_s: How long a new model is watched.
        largest_bytes: The largest file that is downloaded.
    """

    repository: Repository
    folder: Path
    host: ModelHost
    trial: Trial
    open_eyes: OpenEyes
    box: Box
    clock: Clock
    disk: Disk
    shadow: ShadowRules = field(default_factory=ShadowRules)
    watch_s: float = 900.0
    largest_bytes: int = SIZE_LIMIT_BYTES
