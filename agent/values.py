"""The values that travel from a camera to the scene: frames, detections, tracks.

They are frozen and hold columns of arrays; nobody changes an array it was handed. None of them ever crosses to
the outbox or the network: what crosses is in :mod:`agent.records`, which can't hold an array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.clock import Instant

Image: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


class RoadUser(IntEnum):
    """The classes that are counted. A motorcycle with its riders is one motorcycle."""

    PERSON = 0
    BICYCLE = 1
    MOTORCYCLE = 2
    CAR = 3
    BUS = 4
    TRUCK = 5
    OTHER = 6

    @property
    def label(self) -> str:
        """The name on the wire and in configurations: ``motorcycle``."""
        return self.name.lower()


CLASS_NAMES: Final[tuple[str, ...]] = tuple(user.label for user in RoadUser)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and the moment it was captured.

    Attributes:
        camera: The camera's configured name.
        number: Rises by one per frame read from the source since it was opened, dropped frames included.
        image: uint8, shape (height, width, 3), BGR.
        at: When it was captured; for files, from the file's own timestamps.
    """

    camera: str
    number: int
    image: Image
    at: Instant


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a model saw in one frame, in columns of equal length n.

    Attributes:
        boxes: float32, shape (n, 4): left, top, right, bottom in pixels of the source image.
        scores: float32, shape (n,): confidence, 0 to 1.
        classes: int64, shape (n,): values of :class:`RoadUser`.
    """

    boxes: Floats
    scores: Floats
    classes: Ints

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """No detections at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def select(self, index: Bools | Ints) -> Detections:
        """The rows that a mask or an index array names, as a new value."""
        return Detections(self.boxes[index], self.scores[index], self.classes[index])


def _no_ids() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The confirmed tracks of one camera after one frame, in columns of equal length n.

    Attributes:
        ids: int64, shape (n,): unique for the life of the tracker, never reused, never shared.
        boxes: float32, shape (n, 4): left, top, right, bottom in source pixels (filtered, not raw).
        scores: float32, shape (n,): score of the last detection that fed the track.
        classes: int64, shape (n,): :class:`RoadUser` by vote over the track's life.
        velocities: float32, shape (n, 2): of the box's centre, pixels per second.
        observed: bool, shape (n,): a detection fed the track in this frame; False while it coasts.
        ended: int64, shape (k,): ids that ended with this frame and will never come again.
        first_boxes: float32, shape (n, 4): where each was detected first, before it was confirmed; ``None`` when
            nobody kept it.
        first_s: float64, shape (n,): when that was, in the seconds the tracker was told.
    """

    ids: Ints
    boxes: Floats
    scores: Floats
    classes: Ints
    velocities: Floats
    observed: Bools
    ended: Ints = field(default_factory=_no_ids)
    first_boxes: Floats | None = None
    first_s: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> Tracks:
        """No tracks at all."""
        return cls(
            ids=np.zeros(0, np.int64),
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            classes=np.zeros(0, np.int64),
            velocities=np.zeros((0, 2), np.float32),
            observed=np.zeros(0, np.bool_),
        )

    def ground_points(self) -> Floats:
        """Where each track stands: the middle of the box's lower edge, float32, shape (n, 2), source pixels."""
        x = (self.boxes[:, 0] + self.boxes[:, 2]) / 2
        return np.stack([x, self.boxes[:, 3]], axis=1)
