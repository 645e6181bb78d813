"""Tracks made by hand: boxes put where a test wants them, frame by frame.

A walker is a box of one size whose foot (middle of the lower edge) moves along given points. Promises that the same
call gives the same tracks; knows no tracker and no detector.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agent.clock import Instant
from agent.values import RoadUser, Tracks
from tests.fakes.clock import START_MONO_S, START_UTC_S

SIZE = (640, 480)


@dataclass(frozen=True, slots=True)
class Body:
    """One track in one frame."""

    track: int
    foot: tuple[float, float]
    width: float = 40.0
    height: float = 30.0
    kind: RoadUser = RoadUser.CAR
    observed: bool = True
    velocity: tuple[float, float] = (0.0, 0.0)


def instant(after_s: float, *, synced: bool = True) -> Instant:
    """The moment so many seconds after the tests' first, which is a whole hour."""
    return Instant(mono_s=START_MONO_S + after_s, utc_s=START_UTC_S + after_s, synced=synced)


def tracks(bodies: Sequence[Body], ended: Iterable[int] = ()) -> Tracks:
    """One frame of tracks."""
    boxes = [[b.foot[0] - b.width / 2, b.foot[1] - b.height, b.foot[0] + b.width / 2, b.foot[1]] for b in bodies]
    return Tracks(
        ids=np.array([b.track for b in bodies], np.int64),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(bodies), 0.8, np.float32),
        classes=np.array([b.kind for b in bodies], np.int64),
        velocities=np.array([b.velocity for b in bodies], np.float32).reshape(-1, 2),
        observed=np.array([b.observed for b in bodies], np.bool_),
        ended=np.array(list(ended), np.int64),
    )


def path(
    track: int, feet: Iterable[tuple[float, float]], *, width: float = 40.0, height: float = 30.0, **more: object
) -> list[list[Body]]:
    """Frames of one walker at each of the feet."""
    return [[Body(track, foot, width, height, **more)] for foot in feet]  # type: ignore[arg-type]


def straight(start: tuple[float, float], end: tuple[float, float], frames: int) -> list[tuple[float, float]]:
    """Feet evenly spaced from start to end, both included."""
    x, y = np.linspace(start[0], end[0], frames), np.linspace(start[1], end[1], frames)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def film(
    frames: Sequence[Sequence[Body]], *, from_s: float = 0.0, every_s: float = 0.1
) -> Iterator[tuple[Tracks, Instant]]:
    """Tracks and instants of frames at an even rate; ids end in the first frame in which they are missing."""
    alive: set[int] = set()
    for number, bodies in enumerate(frames):
        now = {body.track for body in bodies}
        yield tracks(bodies, sorted(alive - now)), instant(from_s + number * every_s)
        alive = now
