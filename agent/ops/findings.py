"""What a check found: an error can't work, a warning will work badly; each with a place and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.config.fault import Path


class Level(StrEnum):
    """How bad a finding is: an error can't work, a warning will work badly."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check found.

    Attributes:
        level: Error or warning.
        path: Where in the configuration; empty for all of it.
        wrong: What is wrong.
        hint: What to do.
    """

    level: Level
    path: Path
    wrong: str
    hint: str

    def text(self) -> str:
        """What is wrong and what to do, as one sentence."""
        return f"{self.wrong} \N{EN DASH} {self.hint}"
