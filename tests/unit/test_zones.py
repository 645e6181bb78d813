from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.records import Record, ZoneBody
from agent.scene import Link, Scene, service
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, film, instant, path, straight

SQUARE = {"name": "square", "polygon": [(200, 150), (400, 150), (400, 350), (200, 350)]}
NORTH = {"name": "north", "polygon": [(200, 0), (400, 0), (400, 100), (200, 100)]}
EAST = {"name": "east", "polygon": [(500, 150), (640, 150), (640, 350), (500, 350)]}
GROUND = {
    "points": [
        {"image": (0, 0), "metres": (0, 0)},
        {"image": (640, 0), "metres": (64, 0)},
        {"image": (640, 480), "metres": (64, 48)},
        {"image": (0, 480), "metres": (0, 48)},
    ]
}


def scene(*zones: dict[str, Any], **more: Any) -> Scene:
    camera = Camera.model_validate({"name": "cam", "source": "x", "frame_size": SIZE, "zones": zones, **more})
    return Scene(camera, device="box", model=None)


def bodies(records: list[Record]) -> list[ZoneBody]:
    return [record.body for record in records if isinstance(record.body, ZoneBody)]


def run(watcher: Scene, frames: Sequence[Sequence[Body]], from_s: float = 0.0) -> list[ZoneBody]:
    records: list[Record] = []
    at = instant(from_s)
    for seen, at in film(frames, from_s=from_s):
        records += watcher.update(seen, at, SIZE)
    return bodies(records + watcher.stop(at))


def test_given_a_walk_through_then_entered_left_and_dwell() -> None:
    (zone,) = run(scene(SQUARE), path(1, straight((100, 250), (500, 250), 41)))
    assert (zone.entered, zone.left) == (1, 1)
    assert zone.dwell_s is not None
    assert zone.dwell_s.n == 1
    assert zone.dwell_s.mean == zone.dwell_s.max == pytest.approx(2.0, abs=0.2)
    assert zone.present is not None
    assert zone.present.max == 1
    assert zone.present.mean == pytest.approx(0.5, abs=0.06)
    assert zone.by_class is not None
    assert zone.by_class["car"] == zone.present.mean
    assert zone.origins is None
    assert zone.level_of_service is None


def test_given_somebody_stays_then_nobody_left_and_no_dwell_yet() -> None:
    watcher = scene(SQUARE)
    closed: list[Record] = []
    for seen, at in film(path(1, [(300.0, 250.0)] * 605)):
        closed += watcher.update(seen, at, SIZE)
    (zone,) = bodies(closed)
    assert (zone.entered, zone.left, zone.dwell_s) == (1, 0, None)
    assert zone.present is not None
    assert zone.present.mean == pytest.approx(1.0, abs=0.01)


def test_given_it_trembles_at_the_edge_then_it_came_once() -> None:
    rng = np.random.default_rng(3)
    feet = straight((100, 250), (205, 250), 20) + [(203 + float(x), 250.0) for x in rng.normal(0, 1.0, 200)]
    (zone,) = run(scene(SQUARE), path(1, feet))
    assert zone.entered == 1


def test_given_it_vanishes_inside_then_it_left_when_last_seen() -> None:
    (zone,) = run(scene(SQUARE), path(1, [(300.0, 250.0)] * 21) + [[]] * 60)
    assert (zone.entered, zone.left) == (1, 1)
    assert zone.dwell_s is not None
    assert zone.dwell_s.mean == pytest.approx(2.0, abs=0.01)
    assert zone.present is not None
    assert zone.present.mean == pytest.approx(2.0 / 8.0, abs=0.02)


def test_given_it_is_not_seen_for_a_moment_then_it_is_still_present() -> None:
    frames = [[Body(1, (300.0, 250.0), observed=not 20 < number < 50)] for number in range(101)]
    (zone,) = run(scene(SQUARE), frames)
    assert zone.present is not None
    assert zone.present.mean == pytest.approx(0.8, abs=0.03)
    assert (zone.entered, zone.left) == (1, 1)


def test_given_a_new_number_goes_on_for_an_old_one_then_the_stay_is_one() -> None:
    frames = path(1, [(300.0, 250.0)] * 20) + path(2, [(300.0, 250.0)] * 20)
    (zone,) = run(scene(SQUARE), frames)
    assert (zone.entered, zone.left) == (1, 1)
    assert zone.dwell_s is not None
    assert zone.dwell_s.mean == pytest.approx(3.9, abs=0.01)


def test_given_a_turn_from_north_to_east_then_it_is_counted_once_where_it_went() -> None:
    walk = (
        straight((300, 50), (300, 250), 20) + straight((310, 250), (600, 250), 30) + straight((590, 250), (450, 250), 9)
    )
    north, square, east = run(scene(NORTH, SQUARE, EAST), path(1, walk + straight((460, 250), (600, 250), 9)))
    assert north.origins == {}
    assert square.origins == {"north": 1}
    assert east.origins == {"north": 1}
    assert east.entered == 2


def test_given_a_class_filter_then_others_are_not_there() -> None:
    watcher = scene(SQUARE | {"classes": ["person"]})
    frames = path(1, straight((100, 250), (500, 250), 41))
    (zone,) = run(watcher, frames)
    assert (zone.entered, zone.left) == (0, 0)
    assert zone.by_class == {"person": 0.0}


def test_given_calibration_then_density_and_level_of_service() -> None:
    frames = [[Body(n, (250.0 + 40 * n, 250.0)) for n in range(3)] for _ in range(50)]
    (zone,) = run(scene(SQUARE, ground=GROUND), frames)
    assert zone.density_per_km == pytest.approx(3 / (np.hypot(20, 20) / 1000), rel=0.05)
    assert zone.density_per_m2 == 0.0
    assert zone.level_of_service == "F"


def test_given_more_lanes_then_the_level_is_better() -> None:
    frames = [[Body(1, (250.0, 250.0))] for _ in range(50)]
    (zone,) = run(scene(SQUARE | {"lanes": 4, "classes": ["car"]}, ground=GROUND), frames)
    assert zone.level_of_service == "B"
    assert zone.density_per_m2 is None


def test_given_people_only_then_their_space_is_judged() -> None:
    frames = [[Body(n, (210.0 + n, 250.0), kind=RoadUser.PERSON) for n in range(150)] for _ in range(20)]
    (zone,) = run(scene(SQUARE | {"classes": ["person"]}, ground=GROUND), frames)
    assert zone.density_per_km is None
    assert zone.density_per_m2 == pytest.approx(150 / 400, rel=0.06)
    assert zone.level_of_service == "C"


def test_given_a_zone_that_reaches_the_horizon_then_no_density() -> None:
    steep = {
        "points": [
            {"image": (280, 200), "metres": (0, 100)},
            {"image": (360, 200), "metres": (8, 100)},
            {"image": (640, 480), "metres": (8, 0)},
            {"image": (0, 480), "metres": (0, 0)},
        ]
    }
    high = {"name": "high", "polygon": [(0, 0), (640, 0), (640, 480), (0, 480)]}
    (zone,) = run(scene(high, ground=steep), path(1, [(300.0, 250.0)] * 20))
    assert zone.density_per_km is None
    assert zone.level_of_service is None


def test_given_an_interval_without_frames_then_nothing_is_said_but_that_it_passed() -> None:
    watcher = scene(SQUARE)
    records = [record for second in range(130) for record in watcher.tick(instant(second), Link("connecting"))]
    first, second = bodies(records)
    assert (first.present, first.entered, first.quality.valid) == (None, None, False)
    assert second.quality.reasons == ()


@pytest.mark.parametrize(("per_km", "level"), [(0, "A"), (7, "A"), (7.1, "B"), (22, "D"), (28, "E"), (28.1, "F")])
def test_level_of_vehicles(per_km: float, level: str) -> None:
    assert service.of_vehicles(per_km) == level


@pytest.mark.parametrize(("per_m2", "level"), [(0, "A"), (1 / 5.6, "A"), (0.2, "B"), (0.5, "D"), (1.3, "E"), (2, "F")])
def test_level_of_walkers(per_m2: float, level: str) -> None:
    assert service.of_walkers(per_m2) == level


def killed_and_back(before: Sequence[Sequence[Body]], after: Sequence[Sequence[Body]], *zones: dict[str, Any]) -> Any:
    """Seen until a kill, and seen again from 33 s on; the first interval of each zone."""
    watcher = scene(*zones)
    for seen, at in film(before):
        watcher.update(seen, at, SIZE)
    state = json.loads(watcher.snapshot())["rules"]["zones"]
    camera = Camera.model_validate({"name": "cam", "source": "x", "frame_size": SIZE, "zones": zones})
    again = Scene(camera, device="box", model=None, state=watcher.snapshot())
    assert json.loads(again.snapshot())["rules"]["zones"].keys() == state.keys()
    records: list[Record] = []
    for seen, at in film(after, from_s=33.0):
        records += again.update(seen, at, SIZE)
    return bodies(records)[: len(zones)]


def test_given_a_kill_in_the_middle_of_an_interval_then_its_numbers_are_of_both_halves() -> None:
    standing = [(300.0, 250.0)]
    (zone,) = killed_and_back(path(1, standing * 301), path(1, standing * 280), SQUARE)
    assert zone.quality.valid
    assert zone.present.mean == pytest.approx(1.0, abs=0.01)
    assert zone.present.max == 1
    assert zone.by_class["car"] == zone.present.mean
    assert (zone.entered, zone.left, zone.dwell_s) == (2, 1, None)


def test_given_a_kill_then_dwells_and_origins_of_before_are_told() -> None:
    walk = straight((300, 50), (300, 250), 20) + straight((300, 250), (300, 450), 20)
    standing = [(300.0, 250.0)]
    north, square = killed_and_back(path(1, walk) + [[]] * 260, path(2, standing * 280), NORTH, SQUARE)
    assert square.origins == {"north": 1}
    assert (north.entered, north.left) == (1, 1)
    assert (square.entered, square.left) == (2, 1)
    assert square.dwell_s.n == 1
    assert square.dwell_s.mean == square.dwell_s.max == pytest.approx(1.9, abs=0.3)


def test_given_nobody_came_then_a_zone_has_nothing_to_remember() -> None:
    watcher = scene(SQUARE)
    for seen, at in film([[]] * 20):
        watcher.update(seen, at, SIZE)
    assert json.loads(watcher.snapshot())["rules"]["zones"] == {}


def test_given_a_crowd_comes_and_goes_then_what_a_zone_remembers_stays_small() -> None:
    watcher = scene(SQUARE)
    frames = [[Body(number * 40 + one, (210.0 + one * 4, 250.0)) for one in range(40)] for number in range(30)]
    for seen, at in film(frames):
        watcher.update(seen, at, SIZE)
    assert len(json.dumps(json.loads(watcher.snapshot())["rules"]["zones"])) < 200
