"""How simulated road users move: exact paths in metres and seconds.

A path is sampled and linear between its samples; that polyline *is* the truth, so nothing is approximate. Queues
come from the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000, Phys. Rev. E 62, 1805).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.values import RoadUser
from tests.fakes.simulator.camera import Array

#: Length, width, height in metres; a two-wheeler with its rider.
SIZES_M: Final[dict[RoadUser, tuple[float, float, float]]] = {
    RoadUser.PERSON: (0.5, 0.6, 1.7),
    RoadUser.BICYCLE: (1.8, 0.6, 1.7),
    RoadUser.MOTORCYCLE: (2.0, 0.8, 1.6),
    RoadUser.CAR: (4.5, 1.8, 1.5),
    RoadUser.BUS: (11.0, 2.5, 3.2),
    RoadUser.TRUCK: (8.0, 2.5, 3.2),
    RoadUser.OTHER: (2.8, 1.4, 1.8),
}
STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Where something is from its first to its last moment.

    Attributes:
        times_s: Rising, shape (k,).
        xy_m: Middle of the footprint, shape (k, 2).
        heading_rad: Shape (k,); a thing that stands keeps the heading it had.
    """

    times_s: Array
    xy_m: Array
    heading_rad: Array

    def place(self, times_s: Array) -> tuple[Array, Array]:
        """Positions, shape (m, 2), and headings, shape (m,), at times within the path."""
        x = np.interp(times_s, self.times_s, self.xy_m[:, 0])
        y = np.interp(times_s, self.times_s, self.xy_m[:, 1])
        heading = np.interp(times_s, self.times_s, np.unwrap(self.heading_rad))
        return np.stack([x, y], axis=1), heading

    def speed_kmh(self, at_s: float) -> float:
        """Speed over the tenth of a second around a moment."""
        around = np.clip(np.array([at_s - 0.05, at_s + 0.05]), self.times_s[0], self.times_s[-1])
        (start, end), _ = self.place(around)
        return float(np.linalg.norm(end - start) / max(around[1] - around[0], 1e-9) * 3.6)


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One road user with its whole life.

    Attributes:
        number: Its place in the scenario, from 0.
        kind: What it is.
        path: Where it goes.
        size_m: Length, width, height.
    """

    number: int
    kind: RoadUser
    path: Path
    size_m: tuple[float, float, float]


def walk(points: Sequence[tuple[float, float, float]], heading_rad: float | None = None) -> Path:
    """A path through (time_s, x_m, y_m) points; equal positions in a row are a wait.

    ``heading_rad`` is for things that never move or that reverse without turning round.
    """
    table = np.array(points, np.float64)
    times, xy = table[:, 0], table[:, 1:]
    steps = np.diff(xy, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    if heading_rad is not None:
        return Path(times, xy, np.full(len(times), heading_rad))
    still = np.hypot(steps[:, 0], steps[:, 1]) < 1e-9
    for index in np.flatnonzero(still):
        heading[index] = heading[index - 1] if index else math.pi / 2
    # Each corner is doubled a millisecond apart, so that a turn is a turn and not a slow pirouette.
    doubled_t = np.concatenate([times[:1], np.repeat(times[1:-1], 2), times[-1:]])
    doubled_t[2:-1:2] += 1e-3
    doubled_xy = np.concatenate([xy[:1], np.repeat(xy[1:-1], 2, axis=0), xy[-1:]])
    return Path(doubled_t, doubled_xy, np.repeat(heading, 2))


@dataclass(frozen=True, slots=True)
class Lane:
    """A straight lane and where its traffic stops.

    Attributes:
        start_m: (x, y) where vehicles appear.
        end_m: (x, y) where they vanish.
        stop_m: Distance from the start of the stop line; None without a signal.
        red_s: The signal is red this long in every cycle, from the cycle's start.
        cycle_s: Length of the cycle.
    """

    start_m: tuple[float, float]
    end_m: tuple[float, float]
    stop_m: float | None = None
    red_s: float = 0.0
    cycle_s: float = 60.0

    def red(self, at_s: float) -> bool:
        """Whether the signal shows red."""
        return self.stop_m is not None and at_s % self.cycle_s < self.red_s


@dataclass(frozen=True, slots=True)
class Entry:
    """A driver who wants to enter a lane.

    Attributes:
        kind: What they drive.
        at_s: When they come; later if the lane is full.
        wish_kmh: The speed they would drive alone.
    """

    kind: RoadUser
    at_s: float
    wish_kmh: float


def drive(lane: Lane, entries: Sequence[Entry], sizes_m: dict[RoadUser, tuple[float, float, float]]) -> list[Path]:
    """Paths of drivers who follow each other in one lane without overtaking, in the order of ``entries``."""
    start, end = np.array(lane.start_m), np.array(lane.end_m)
    reach = float(np.linalg.norm(end - start))
    along = (end - start) / reach
    heading = math.atan2(along[1], along[0])
    paths: list[Path] = []
    ahead: tuple[int, list[float], list[float], float] | None = None
    for entry in entries:
        length = sizes_m[entry.kind][0]
        first, places, speeds = _follow(lane, entry, length, reach, ahead)
        ahead = (first, places, speeds, length)
        times: Array = (first + np.arange(len(places), dtype=np.float64)) * STEP_S
        xy: Array = start + np.outer(places, along)
        paths.append(Path(times, xy, np.full(len(places), heading)))
    return paths


def _follow(
    lane: Lane,
    entry: Entry,
    length: float,
    reach: float,
    ahead: tuple[int, list[float], list[float], float] | None,
) -> tuple[int, list[float], list[float]]:
    """First step, places and speeds of one driver behind the driver ahead."""
    step = math.ceil(entry.at_s / STEP_S)
    wish = entry.wish_kmh / 3.6
    speed = wish
    while True:  # ends: the driver ahead leaves the lane sooner or later, because every red ends
        gap, approach = _gap(ahead, step, 0.0, length, speed)
        if gap > 2.0 + 1.2 * speed or gap == math.inf:
            break
        if gap > 4.0:
            speed = min(speed, max(speed - approach, 0.0))
            break
        step += 1
    first, place = step, 0.0
    places, speeds = [place], [speed]
    while place < reach:
        gap, approach = _gap(ahead, step, place, length, speed)
        if lane.stop_m is not None and lane.red(step * STEP_S):
            to_stop = lane.stop_m - place - length / 2
            if speed * speed / (2 * 4.0) < to_stop < gap:  # who can't stop any more drives on
                gap, approach = to_stop, speed
        wanted = 2.0 + max(0.0, speed * 1.2 + speed * approach / (2 * math.sqrt(1.5 * 2.0)))
        change = 1.5 * (1.0 - (speed / wish) ** 4 - (wanted / max(gap, 0.1)) ** 2)
        speed = max(0.0, speed + max(change, -8.0) * STEP_S)
        place += speed * STEP_S
        step += 1
        places.append(place)
        speeds.append(speed)
    return first, places, speeds


def _gap(
    ahead: tuple[int, list[float], list[float], float] | None, step: int, place: float, length: float, speed: float
) -> tuple[float, float]:
    """Metres of road to the driver ahead, and how fast they shrink."""
    if ahead is None or step - ahead[0] >= len(ahead[1]):
        return math.inf, 0.0
    first, places, speeds, their_length = ahead
    index = max(step - first, 0)
    return places[index] - place - (length + their_length) / 2, speed - speeds[index]
