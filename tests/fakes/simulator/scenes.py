"""Ready streets: each function builds one scenario from a seed.

The road runs away from the camera between x = -7 and 7 m; traffic on the right half goes away, on the left half it
comes nearer. ``LINE_LEFT_M`` to ``LINE_RIGHT_M`` is a line across the whole of it, 20 m away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from agent.values import RoadUser
from tests.fakes.simulator.motion import SIZES_M, Actor, Entry, Lane, Path, drive, walk
from tests.fakes.simulator.observe import DetectorErrors, FrameTiming
from tests.fakes.simulator.scenario import PixelLine, Scenario

LINE_LEFT_M: Final = (-8.5, 20.0)
LINE_RIGHT_M: Final = (8.5, 20.0)
FAR_M: Final = 70.0
NEAR_M: Final = 3.0
#: Shares of a mixed Asian city street.
MIX: Final[dict[RoadUser, float]] = {
    RoadUser.CAR: 0.45,
    RoadUser.MOTORCYCLE: 0.35,
    RoadUser.TRUCK: 0.1,
    RoadUser.BUS: 0.05,
    RoadUser.OTHER: 0.05,
}


def main_line(scenario: Scenario) -> PixelLine:
    """The line across the road; ``a_to_b`` comes towards the camera."""
    return scenario.line_across("main", LINE_LEFT_M, LINE_RIGHT_M)


def lane_away(x_m: float, *, stop_m: float | None = None, red_s: float = 0.0) -> Lane:
    """A lane from the camera to the far end; it may have a stop line this far along."""
    return Lane((x_m, NEAR_M), (x_m, FAR_M), stop_m, red_s)


def lane_near(x_m: float, *, stop_m: float | None = None, red_s: float = 0.0) -> Lane:
    """A lane from the far end to the camera."""
    return Lane((x_m, FAR_M), (x_m, NEAR_M), stop_m, red_s)


def cast(*roles: tuple[RoadUser, Path]) -> tuple[Actor, ...]:
    """Actors numbered in the order given."""
    return tuple(Actor(number, kind, path, SIZES_M[kind]) for number, (kind, path) in enumerate(roles))


def with_errors(scenario: Scenario, errors: DetectorErrors) -> Scenario:
    """The same street seen by another detector."""
    return replace(scenario, errors=errors)


def with_timing(scenario: Scenario, timing: FrameTiming) -> Scenario:
    """The same street seen at other moments."""
    return replace(scenario, timing=timing)


def _traffic(
    rng: np.random.Generator, lane: Lane, duration_s: float, per_hour: float, wish_kmh: float
) -> list[tuple[RoadUser, Path]]:
    """Drivers who come at random into one lane."""
    kinds = list(MIX)
    at_s, entries = 0.0, []
    while True:
        at_s += float(rng.exponential(3600.0 / per_hour))
        if at_s > duration_s:
            break
        kind = kinds[int(rng.choice(len(kinds), p=list(MIX.values())))]
        entries.append(Entry(kind, at_s, float(rng.normal(wish_kmh, 0.12 * wish_kmh))))
    return list(zip([entry.kind for entry in entries], drive(lane, entries, SIZES_M), strict=True))


def _until_empty(roles: list[tuple[RoadUser, Path]], least_s: float) -> float:
    """When the last has left: a street that ends with somebody on the line has no exact truth."""
    return max([least_s, *(float(path.times_s[-1]) + 1.0 for _, path in roles)])


def free_flow(seed: int, duration_s: float = 120.0, per_hour: float = 700.0, wish_kmh: float = 50.0) -> Scenario:
    """Two lanes each way, moving freely; fast lanes beside slow ones, so some overtake."""
    rng = np.random.default_rng([seed, 0])
    lanes = [(lane_near(-5.0), 0.8), (lane_near(-1.8), 1.15), (lane_away(1.8), 1.15), (lane_away(5.0), 0.8)]
    roles = [role for lane, pace in lanes for role in _traffic(rng, lane, duration_s, per_hour, wish_kmh * pace)]
    return Scenario("free_flow", seed, _until_empty(roles, duration_s), cast(*roles))


def queue_at_signal(seed: int, duration_s: float = 180.0, per_hour: float = 500.0) -> Scenario:
    """A signal just behind the line: queues stand on it, creep, and go; the other half flows."""
    rng = np.random.default_rng([seed, 0])
    lanes = [lane_near(x, stop_m=FAR_M - 16.0, red_s=30.0) for x in (-5.0, -1.8)] + [lane_away(1.8)]
    roles = [role for lane in lanes for role in _traffic(rng, lane, duration_s, per_hour, 40.0)]
    return Scenario("queue_at_signal", seed, _until_empty(roles, duration_s), cast(*roles))


def filtering_motorcycles(seed: int, duration_s: float = 180.0) -> Scenario:
    """Riders pass at walking to cycling pace between two lanes that queue at a signal."""
    rng = np.random.default_rng([seed, 0])
    roles: list[tuple[RoadUser, Path]] = []
    for x in (-5.2, -1.6):
        roles += _traffic(rng, lane_near(x, stop_m=FAR_M - 16.0, red_s=40.0), duration_s, 500.0, 40.0)
    riders, at_s = [], 5.0
    while at_s < duration_s - 20.0:
        riders.append(Entry(RoadUser.MOTORCYCLE, at_s, float(rng.uniform(9.0, 22.0))))
        at_s += float(rng.uniform(3.0, 9.0))
    roles += [(RoadUser.MOTORCYCLE, path) for path in drive(lane_near(-3.4), riders, SIZES_M)]
    return Scenario("filtering_motorcycles", seed, _until_empty(roles, duration_s), cast(*roles))


def bus_occlusion(seed: int) -> Scenario:
    """A bus drives between the camera and slower cars and riders, who vanish behind it and come out again."""
    rng = np.random.default_rng([seed, 0])
    roles: list[tuple[RoadUser, Path]] = []
    for index in range(6):
        start, pace = 2.0 + 14.0 * index, float(rng.uniform(6.0, 8.0))
        roles.append((RoadUser.BUS, walk([(start, -16.0, 14.0), (start + 32.0 / pace, 16.0, 14.0)])))
        for y, kind in ((20.5, RoadUser.CAR), (18.0, RoadUser.MOTORCYCLE)):
            slow = pace * float(rng.uniform(-0.9, -0.5))
            roles.append((kind, walk([(start, 16.0, y), (start + 36.0 / -slow, -20.0, y)])))
    return Scenario("bus_occlusion", seed, 90.0, cast(*roles))


def side_line(scenario: Scenario) -> PixelLine:
    """A line down the middle of the picture for streets that run across it; ``a_to_b`` is to the right."""
    return scenario.line_across("side", (0.0, 8.0), (0.0, 32.0))


def overtaking(seed: int) -> Scenario:
    """Cars swing round slower trucks while both cross the line."""
    rng = np.random.default_rng([seed, 0])
    roles: list[tuple[RoadUser, Path]] = []
    for index in range(8):
        start = 3.0 + 9.0 * index
        slow, fast = float(rng.uniform(5.0, 6.5)), float(rng.uniform(10.0, 13.0))
        delay = (FAR_M - 32.0) * (1 / slow - 1 / fast)
        reach = start + delay
        roles.append((RoadUser.TRUCK, walk([(start, -3.0, FAR_M), (start + (FAR_M - NEAR_M) / slow, -3.0, NEAR_M)])))
        turn, back = reach + (FAR_M - 40.0) / fast, reach + (FAR_M - 12.0) / fast
        path = walk(
            [
                (reach, -3.0, FAR_M),
                (turn, -3.0, 40.0),
                (turn + 8.0 / fast, 0.2, 32.0),
                (back, 0.2, 12.0),
                (reach + (FAR_M - NEAR_M) / fast, -3.0, NEAR_M),
            ],
            heading_rad=-math.pi / 2,
        )
        roles.append((RoadUser.CAR, path))
    return Scenario("overtaking", seed, 100.0, cast(*roles))


def parked_near_line(seed: int) -> Scenario:
    """Vehicles stand half a metre either side of the line for five minutes while others pass: only those count."""
    rng = np.random.default_rng([seed, 0])
    standing = [(-7.0, 20.5 + 2.25), (6.6, 19.5 + 2.25)]
    roles: list[tuple[RoadUser, Path]] = [
        (RoadUser.CAR, walk([(0.0, x, y), (300.0, x, y)], heading_rad=math.pi / 2)) for x, y in standing
    ]
    roles += _traffic(rng, lane_near(-2.5), 280.0, 300.0, 40.0)
    return Scenario("parked_near_line", seed, 300.0, cast(*roles))


def turning_back(seed: int) -> Scenario:
    """Some stop 3 m before the line and go back (nothing); some cross by 4 m and come back (one each way)."""
    rng = np.random.default_rng([seed, 0])
    roles: list[tuple[RoadUser, Path]] = []
    for index in range(10):
        start, x = 2.0 + 8.0 * index, float(rng.uniform(-5.0, 5.0))
        turn_y = 24.0 if index % 2 else 15.0
        kind = (RoadUser.MOTORCYCLE, RoadUser.PERSON)[index % 2]
        pace = 5.0 if kind is RoadUser.MOTORCYCLE else 2.0
        y = 35.0 if kind is RoadUser.MOTORCYCLE else 30.0
        reach = start + (y - turn_y) / pace
        points = [(start, x, y), (reach, x, turn_y), (reach + 1.5, x, turn_y), (2 * reach + 1.5 - start, x, y)]
        roles.append((kind, walk(points)))
    return Scenario("turning_back", seed, 110.0, cast(*roles))


def waits_on_line(seed: int, wait_s: float = 600.0) -> Scenario:
    """A car stops with its ground point on the line, waits ten minutes, and drives on: one crossing."""
    front_y = 20.0 + 4.5 / 2
    points = [(1.0, -2.0, 60.0), (6.0, -2.0, front_y), (6.0 + wait_s, -2.0, front_y), (10.0 + wait_s, -2.0, NEAR_M)]
    return Scenario("waits_on_line", seed, wait_s + 15.0, cast((RoadUser.CAR, walk(points))))


def pedestrians_together(seed: int) -> Scenario:
    """Pairs and groups walk over the road side by side and meet others half way."""
    rng = np.random.default_rng([seed, 0])
    roles: list[tuple[RoadUser, Path]] = []
    for index in range(8):
        start = 1.0 + 10.0 * index
        for row in range(2 + index % 3):
            pace, y = float(rng.uniform(1.2, 1.5)), 14.0 + 1.0 * row + float(rng.normal(0.0, 0.1))
            roles.append((RoadUser.PERSON, walk([(start, -9.0, y), (start + 18.0 / pace, 9.0, y)])))
            roles.append((RoadUser.PERSON, walk([(start, 9.0, y + 0.5), (start + 18.0 / pace, -9.0, y + 0.5)])))
    return Scenario("pedestrians_together", seed, 105.0, cast(*roles))


#: Every street with the line it is counted on: a report or a test walks through this table.
SCENES: Final[tuple[tuple[Callable[[int], Scenario], Callable[[Scenario], PixelLine]], ...]] = (
    (free_flow, main_line),
    (queue_at_signal, main_line),
    (filtering_motorcycles, main_line),
    (overtaking, main_line),
    (parked_near_line, main_line),
    (turning_back, main_line),
    (waits_on_line, main_line),
    (bus_occlusion, side_line),
    (pedestrians_together, side_line),
)
