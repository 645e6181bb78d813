"""Turning movements end to end: a simulated junction, seen badly, through the real tracker and scene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import permutations
from typing import Final

import numpy as np

from agent.config.schema import Camera
from agent.records import ZoneBody
from agent.scene import Scene
from agent.values import RoadUser
from agent.vision.tracker import Tracker
from tests.fakes.simulator import DetectorErrors, Scenario
from tests.fakes.simulator.motion import Path, walk
from tests.fakes.simulator.scenes import cast

#: The arms of the junction on the road: left, near, right and far edge, metres.
ARMS: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "north": (-5.0, 38.0, 5.0, 52.0),
    "south": (-5.0, 10.5, 5.0, 18.0),
    "west": (-17.0, 23.0, -9.0, 33.0),
    "east": (9.0, 23.0, 17.0, 33.0),
}
#: Where each arm's traffic comes into the picture, or leaves it.
ENDS: Final[Mapping[str, tuple[float, float]]] = {
    "north": (0.0, 75.0),
    "south": (0.0, 4.0),
    "west": (-27.0, 28.0),
    "east": (27.0, 28.0),
}
CENTRE: Final = np.array([0.0, 28.0])
PACE_MS: Final = 8.0
EVERY_S: Final = 6.0
Turn = tuple[str, str]
ALL_TURNS: Final = list(permutations(ARMS, 2))


def turn(origin: str, destination: str, start_s: float) -> Path:
    """Along one arm, in a curve through the junction, and along another."""
    share = np.linspace(0.0, 1.0, 25)[:, np.newaxis]
    first, last = np.array(ENDS[origin]), np.array(ENDS[destination])
    into, out = (CENTRE + 9.0 * (end - CENTRE) / np.hypot(*(end - CENTRE)) for end in (first, last))
    curve = (1 - share) ** 2 * into + 2 * share * (1 - share) * CENTRE + share**2 * out
    way = np.concatenate([first[np.newaxis], curve, last[np.newaxis]])
    gone_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    return walk([(start_s + m / PACE_MS, x, y) for m, (x, y) in zip(gone_m.tolist(), way.tolist(), strict=True)])


def junction(turns: list[Turn], seed: int) -> Scenario:
    kinds = (RoadUser.CAR, RoadUser.MOTORCYCLE, RoadUser.CAR)
    roles = [(kinds[n % 3], turn(*each, 1.0 + EVERY_S * n)) for n, each in enumerate(turns)]
    errors = DetectorErrors(miss_rate=0.1, false_rate=0.02)
    return Scenario("junction", seed, EVERY_S * len(turns) + 12.0, cast(*roles), errors=errors)


def counted(street: Scenario) -> Counter[Turn]:
    """The matrix of origins and destinations that the zones' records tell."""
    size = (street.camera.width_px, street.camera.height_px)
    zones = [
        {"name": arm, "polygon": street.camera.ground_to_image(np.array([(a, b), (c, b), (c, d), (a, d)])).tolist()}
        for arm, (a, b, c, d) in ARMS.items()
    ]
    camera = Camera.model_validate({"name": "junction", "source": "simulator", "frame_size": size, "zones": zones})
    scene, tracker, records = Scene(camera, device="simulator", model=None), Tracker(picture_px=size), []
    for at, detections in street.frames():
        records += scene.update(tracker.update(detections, at.mono_s), at, size)
    records += scene.stop(at)
    matrix: Counter[Turn] = Counter()
    for record in records:
        if isinstance(record.body, ZoneBody):
            for origin, number in (record.body.origins or {}).items():
                matrix[origin, record.body.zone] += number
    return matrix


def test_given_a_junction_whose_traffic_turns_every_way_then_nearly_all_turns_are_told_rightly() -> None:
    turns: list[Turn] = [(str(one), str(other)) for one, other in np.random.default_rng(4).permutation(ALL_TURNS)]
    told = counted(junction(turns, seed=1000))
    assert (told & Counter(turns)).total() >= len(turns) - 1
    assert told.total() <= len(turns)
    assert not {turn for turn in told if turn[0] == turn[1]}
