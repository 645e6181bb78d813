"""What a trial and a shadow need of a candidate: something that looks at a picture, and can be closed.

The real one is a process of its own (:mod:`agent.update.child`), so that a candidate that crashes, hangs or eats the
memory takes nothing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.values import Detections, Image
from agent.vision.describe import ForeignModel


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What was seen in one picture, and what it took.

    Attributes:
        found: The detections.
        took_s: Seconds for the picture from pixels to detections.
    """

    found: Detections
    took_s: float


@dataclass(frozen=True, slots=True)
class Subject:
    """One model file on this box.

    Attributes:
        path: Where it lies.
        sha256: The bytes it must have; ``None`` for the file that was installed with the box.
        foreign: What the configuration says about a file that does not describe itself.
    """

    path: Path
    sha256: str | None
    foreign: ForeignModel | None = None


class Eyes(Protocol):
    """A loaded model."""

    def look(self, image: Image) -> Glance:
        """Look at one picture: uint8, shape (height, width, 3), BGR.

        Raises:
            UpdateError: It crashed, hung, ate the memory, or its output makes no sense.
        """
        ...

    def close(self) -> None:
        """Let it go; never raises."""
        ...


class OpenEyes(Protocol):
    """Loads a model."""

    def __call__(self, subject: Subject) -> Eyes:
        """Load one.

        Raises:
            UpdateError: It is refused, or does not load within its limits.
        """
        ...
