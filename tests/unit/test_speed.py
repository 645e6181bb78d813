from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.records import CountBody
from agent.scene import Scene
from agent.scene.roster import Roster
from agent.scene.whole import seen_whole
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, film, instant, path, straight

#: Ten pixels to the metre everywhere: a camera that looks straight down.
GROUND = {
    "points": [{"image": (x, y), "metres": (x / 10, y / 10)} for x, y in ((0, 0), (640, 0), (640, 480), (0, 480))]
}
UPRIGHT = {"name": "main", "points": [(320, 20), (320, 460)]}


def counted(frames: Sequence[Sequence[Body]], every_s: float = 0.1, **line: Any) -> CountBody:
    lines = [{**UPRIGHT, **line}]
    camera = Camera.model_validate(
        {"name": "cam", "source": "clip.mp4", "frame_size": SIZE, "lines": lines, "ground": GROUND}
    )
    scene = Scene(camera, device="box", model=None)
    for seen, at in film(frames, every_s=every_s):
        scene.update(seen, at, SIZE)
    bodies = [record.body for record in scene.stop(instant(len(frames) * every_s))]
    (body,) = [body for body in bodies if isinstance(body, CountBody) and body.volume]
    return body


def mean_kmh(body: CountBody) -> float:
    assert body.speed_kmh is not None
    return body.speed_kmh.mean


def crossing_car(**more: float) -> list[list[Body]]:
    """Two metres in every tenth of a second, which is 72 km/h, over the middle of the picture."""
    return path(1, straight((120, 200), (520, 200), 21), **more)


def test_given_a_steady_car_then_its_speed_comes_from_capture_times() -> None:
    assert mean_kmh(counted(crossing_car())) == pytest.approx(72.0, abs=0.2)
    assert mean_kmh(counted(crossing_car(), every_s=0.2)) == pytest.approx(36.0, abs=0.2)


@pytest.mark.parametrize("after_s", [0, 6])
@pytest.mark.parametrize(
    ("first", "then", "volume"), [(RoadUser.CAR, RoadUser.TRUCK, 1), (RoadUser.TRUCK, RoadUser.CAR, 2)]
)
def test_given_the_vote_changes_after_its_speed_was_told_then_the_speed_is_of_those_who_are_counted(
    first: RoadUser, then: RoadUser, volume: int, after_s: int
) -> None:
    """A car at 72 km/h, and one at 36 that is voted over 2.4 s after the line; told at once or long after they left."""
    feet = straight((220, 100), (620, 100), 41)
    turning = [[Body(2, foot, kind=first if foot[0] < 560 else then)] for foot in feet]
    frames = [
        (crossing_car()[number] if number < 21 else []) + (turning[number] if number < 41 else [])
        for number in range(41 + 10 * after_s)
    ]
    body = counted(frames, classes=["car"])
    assert body.speed_kmh is not None
    assert (body.volume, body.speed_kmh.n) == (volume, volume)
    assert mean_kmh(body) == pytest.approx(54.0 if volume == 2 else 72.0, abs=0.2)


def test_given_it_brakes_evenly_then_its_speed_is_that_on_the_line() -> None:
    times = np.arange(0, 3.0, 0.1)
    feet = [(320 + 100 * (t - 1.5) - 12 * (t - 1.5) ** 2, 200.0) for t in times.tolist()]  # 36 km/h at 320 px
    assert mean_kmh(counted(path(1, feet))) == pytest.approx(36.0, rel=0.03)


def test_given_a_box_that_the_pictures_edge_cuts_then_what_is_cut_says_nothing() -> None:
    """A bus of half the picture's width: while its front has not come in, its middle moves at half its speed."""
    frames = []
    for middle in np.linspace(0, 640, 33).tolist():  # 20 px in a tenth of a second: 72 km/h
        left, right = max(middle - 150, 0.0), min(middle + 150, 640.0)
        frames.append([Body(1, ((left + right) / 2, 200.0), right - left, 90.0, RoadUser.BUS)])
    body = counted(frames)
    assert mean_kmh(body) == pytest.approx(72.0, rel=0.02)


def test_given_something_in_front_hides_a_side_of_it_then_what_is_cut_says_nothing() -> None:
    """A truck stands before the line's far end: the car's front vanishes behind it, its middle slows to a half."""
    frames = []
    for middle in np.linspace(120, 400, 29).tolist():  # 10 px in a tenth of a second: 36 km/h
        right = min(middle + 60, 380.0)
        truck = Body(2, (440.0, 230.0), 120.0, 160.0, RoadUser.TRUCK)
        frames.append([Body(1, ((middle - 60 + right) / 2, 200.0), right - middle + 60, 40.0), truck])
    assert mean_kmh(counted(frames)) == pytest.approx(36.0, rel=0.02)


def test_given_it_is_hidden_while_it_crosses_then_its_speed_is_that_of_the_way_between_where_it_was_whole() -> None:
    """A truck passes before the car, of which nothing but its middle shows for nearly two seconds."""
    frames = []
    for middle in np.linspace(120, 520, 41).tolist():  # 10 px in a tenth of a second: 36 km/h
        if abs(middle - 320) < 95:
            truck = Body(2, (320.0, 230.0), 300.0, 60.0, RoadUser.TRUCK)
            frames.append([Body(1, (320 + (middle - 320) / 2, 200.0)), truck])
        else:
            frames.append([Body(1, (middle, 200.0))])
    assert mean_kmh(counted(frames)) == pytest.approx(36.0, rel=0.02)


def test_given_it_comes_out_from_behind_after_the_line_then_its_first_sightings_are_not_all_that_counts() -> None:
    """What hid the car has left already when its rear still does not show: its middle moves at half its speed."""
    frames: list[list[Body]] = []
    for middle in np.linspace(120, 520, 41).tolist():  # 10 px in a tenth of a second: 36 km/h
        if 220 < middle < 325:
            frames.append([])
            continue
        rear = max(middle - 20, 325.0) if 320 < middle < 365 else middle - 20
        frames.append([Body(1, ((rear + middle + 20) / 2, 200.0), middle + 20 - rear)])
    assert mean_kmh(counted(frames)) == pytest.approx(36.0, rel=0.05)


def test_given_it_was_never_seen_whole_then_it_is_counted_without_a_speed() -> None:
    truck = [Body(2, (320.0, 230.0), 640.0, 60.0, RoadUser.TRUCK)]
    body = counted([car + truck for car in crossing_car()])
    assert body.volume == 1
    assert body.speed_kmh is None


def test_given_many_pictures_a_second_then_the_way_before_and_after_the_line_weigh_the_same() -> None:
    times = np.arange(0, 3.0, 0.04)
    feet = [(320 + 100 * (t - 1.5) - 12 * (t - 1.5) ** 2, 200.0) for t in times.tolist()]
    assert mean_kmh(counted(path(1, feet), every_s=0.04)) == pytest.approx(36.0, rel=0.03)


def whole(box: Body, other: Body) -> bool:
    roster = Roster()
    for seen, at in film([[box, other]]):
        roster.see(seen, at, SIZE)
    return bool(seen_whole(roster, 0, SIZE).any())


def test_given_a_neighbour_then_only_one_in_front_that_covers_an_edge_cuts_it() -> None:
    car = Body(1, (300.0, 200.0), 80.0, 40.0)
    assert not whole(car, Body(2, (300.0, 240.0), 90.0, 42.0)), "all of its lower edge"
    assert not whole(car, Body(2, (370.0, 230.0), 60.0, 90.0)), "all of its right side"
    assert whole(car, Body(2, (345.0, 210.0), 20.0, 25.0)), "a corner"
    assert whole(car, Body(2, (300.0, 230.0), 6.0, 90.0)), "a pole before its middle"
    assert whole(car, Body(2, (300.0, 190.0), 90.0, 42.0)), "what stands behind it"
    assert whole(car, Body(2, (500.0, 240.0), 90.0, 42.0)), "what is elsewhere"
