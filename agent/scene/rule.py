"""What a scene rule is, and what it is told: the plug point for everything that gives tracks a meaning.

A rule turns moments into bodies of records and can say what it must remember over a restart. It keeps its state per
track in columns, is told when a track is gone, and never looks at a clock, a file or a picture.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from agent.clock import Instant
from agent.config.schema import Camera
from agent.records import Body
from agent.scene.geometry import Array
from agent.scene.intervals import Closed
from agent.scene.roster import Sight
from agent.scene.values import AssetLook, Likeness, Link, SecondLook, View

State: TypeAlias = dict[str, Any]
"""JSON values only."""

EVENTS: Final = uuid.UUID("6f0b4f0e-5f5c-5a52-9c59-0d1f5a2b7e31")
"""Namespace of event ids, fixed for ever."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a rule is told each time.

    Attributes:
        at: Now.
        link: How the way to the camera is.
        view: Whether the picture can be trusted.
        sight: The tracks of a detected frame; ``None`` when time passed without one.
        closed: Intervals that ended before this moment, by their length in seconds, oldest first.
        fight: How much people look like fighting; ``None`` when that was not judged.
        closer: What a second look at crowded or far zones saw, when one was finished since the moment before.
        assets: How the protected regions look; empty when they were not looked at.
    """

    at: Instant
    link: Link
    view: View
    sight: Sight | None
    closed: Mapping[int, tuple[Closed, ...]]
    fight: Likeness | None = None
    closer: SecondLook | None = None
    assets: tuple[AssetLook, ...] = ()


class Rule(Protocol):
    """One kind of meaning."""

    def step(self, moment: Moment) -> list[Body]:
        """Take in one moment and say what it means, in an order that depends on nothing else."""
        ...

    def state(self) -> State:
        """What the next process needs to go on from here."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a rule works.

    Attributes:
        device: The box's name.
        camera: The camera's whole configuration.
        clip_model: Which model judges clips, by the sha256 of its file; empty where none does.
    """

    device: str
    camera: Camera
    clip_model: str = ""

    def pixels(self, given: ArrayLike, size: tuple[int, int]) -> Array:
        """Configured points, shape (..., 2), in pixels of pictures of a size (width, height)."""
        unit = self.camera.frame_size or (1, 1)
        scaled: Array = np.asarray(given, np.float64) / np.asarray(unit, np.float64) * np.asarray(size, np.float64)
        return scaled

    def event_id(self, kind: str, where: str | None, since_utc_s: float, number: int = 0) -> str:
        """The id of an event: the same for the same thing, in every replay and over every restart."""
        what = f"{self.device}|{self.camera.name}|{kind}|{where or ''}|{round(since_utc_s * 1000)}|{number}"
        return str(uuid.uuid5(EVENTS, what))
