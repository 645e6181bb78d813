"""What went wrong in other counters, and must not here: each test names the issue in which somebody met it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.config.schema import Camera
from agent.scene import Scene
from agent.values import Detections, RoadUser, Tracks
from agent.vision.tracker import Tracker
from tests.fakes.walkers import SIZE, Body, film, instant, path, straight

LINE = {"name": "main", "points": [(100, 240), (540, 240)], "interval_s": 10}
Box = tuple[float, float, float, float]


def scene(line: dict[str, Any] | None = None) -> Scene:
    lines = [line or LINE]
    camera = Camera.model_validate({"name": "cam", "source": "clip.mp4", "frame_size": SIZE, "lines": lines})
    return Scene(camera, device="box", model=None)


def crossed(watcher: Scene) -> tuple[int, int]:
    total = watcher.crossed()
    return total["main", "a_to_b"], total["main", "b_to_a"]


def watched(frames: list[list[Body]], line: dict[str, Any] | None = None) -> tuple[int, int]:
    """What is counted of tracks made by hand, until everybody is gone."""
    watcher = scene(line)
    for seen, at in film([*frames, *[[]] * 80]):
        watcher.update(seen, at, SIZE)
    return crossed(watcher)


def detected(boxes: Iterable[Box], score: float = 0.8) -> Detections:
    table = np.array(list(boxes), np.float32).reshape(-1, 4)
    return Detections(table, np.full(len(table), score, np.float32), np.full(len(table), RoadUser.CAR, np.int64))


def tracked(frames: Iterable[Detections]) -> tuple[list[Tracks], tuple[int, int]]:
    """What the tracker shows of detections at ten frames a second, and what is counted of that."""
    tracker, watcher, shown = Tracker(picture_px=SIZE), scene(), []
    for number, seen in enumerate(frames):
        at = instant(number / 10)
        shown.append(tracker.update(seen, at.mono_s))
        watcher.update(shown[-1], at, SIZE)
    return shown, crossed(watcher)


def standing(x: float, foot: float) -> Box:
    return (x - 30, foot - 40, x + 30, foot)


# --- roboflow/supervision #2598 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("flickers", [1, 3])
@pytest.mark.parametrize(("home", "beyond"), [(220.0, 270.0), (270.0, 220.0)])
def test_given_a_box_that_flickers_over_the_line_for_one_frame_then_its_return_is_no_crossing(
    flickers: int, home: float, beyond: float
) -> None:
    """Supervision #2598: A A A B A A A counted one into A, the side never left, and three flickers three."""
    feet = [(300.0, home)] * 4 + ([(300.0, beyond)] + [(300.0, home)] * 4) * flickers
    assert watched(path(1, feet)) == (0, 0)


# --- roboflow/supervision #2578 -----------------------------------------------------------------------------------


def test_given_two_unconfirmed_things_on_either_side_of_the_line_in_turn_then_nothing_crosses() -> None:
    """Supervision #2578: all unconfirmed tracks had the id -1, so one phantom went to and fro: 97 instead of 7."""
    above, below = standing(300, 180), standing(300, 320)
    shown, counts = tracked(detected([above if number % 2 else below]) for number in range(12))
    assert counts == (0, 0)
    ids = {number: tracks.boxes[tracks.ids == number] for tracks in shown for number in tracks.ids.tolist()}
    assert all(number > 0 for number in ids)


def test_given_many_unconfirmed_tracks_then_none_is_shown_and_no_number_is_shared() -> None:
    """Supervision #2578, too: on a busy frame many distinct objects carried the same -1 at once."""
    busy = [standing(x, foot) for x in range(50, 620, 90) for foot in (100, 180)]
    shown, _ = tracked([detected(busy)] * 3)
    assert [len(tracks) for tracks in shown] == [0, 0, 14]
    assert sorted(shown[-1].ids.tolist()) == list(range(1, 15))


# --- opendatacam/opendatacam #204 ---------------------------------------------------------------------------------


def queue_at_the_line(seconds: float = 40.0) -> list[tuple[float, float]]:
    """Where the feet of a car are that stops with its lower edge trembling over the line, waits, and drives on."""
    rng = np.random.default_rng(204)
    waiting = [(float(300 + x), float(240 + y)) for x, y in rng.normal(0, 1.2, (round(seconds * 10), 2))]
    return straight((300, 120), (300, 238), 20) + waiting + straight((300, 242), (300, 400), 25)


def test_given_two_cars_that_wait_on_the_line_and_drive_on_then_two() -> None:
    """Opendatacam #204: two cars at a stop line, their boxes trembling over it, were counted 15 times."""
    frames = [[Body(1, (x, y), 60, 40), Body(2, (x - 110, y), 60, 40)] for x, y in queue_at_the_line()]
    assert watched(frames) == (2, 0)


def test_given_two_cars_that_wait_on_the_line_under_ever_new_numbers_then_two() -> None:
    """Opendatacam #204: the ids changed there "due to a poor network recognition", and each new one was counted.

    Here a new number goes on for the old one where it is seen.
    """
    frames = []
    for number, (x, y) in enumerate(queue_at_the_line()):
        first, second = Body(1 + number // 9, (x, y), 60, 40), Body(1000 + number // 13, (x - 110, y), 60, 40)
        frames.append([first, second])
    assert watched(frames) == (2, 0)


def test_given_two_cars_that_wait_on_the_line_and_are_hardly_recognized_then_never_more_than_two() -> None:
    """Opendatacam #204, from detections: half are missed, in runs, so that tracks break off and begin again."""
    rng = np.random.default_rng(15)
    seen = [True, True]
    frames = []
    for x, y in queue_at_the_line():
        seen = [was if rng.random() < 0.8 else bool(rng.random() < 0.5) for was in seen]
        boxes = [standing(x, y), standing(x - 110, y + float(rng.normal(0, 1.0)))]
        frames.append(detected([box for box, there in zip(boxes, seen, strict=True) if there], score=0.45))
    _, (forth, back) = tracked([*frames, *[detected([])] * 80])
    assert forth <= 2
    assert back == 0


# --- roboflow/supervision #1838 -----------------------------------------------------------------------------------


def test_given_a_vehicle_whose_box_lies_on_both_sides_of_the_line_for_as_long_as_it_is_seen_then_one() -> None:
    """Supervision #1838: nothing was ever counted, without a word: all four corners had to be on one side at a time.

    Lines that can't count are refused by name: tests/unit/test_check_geometry.py and test_check.py; of lines that
    could and did not, a replay says who passed: tests/unit/test_bystanders.py.
    """
    upright = {"name": "main", "points": [(320, 470), (320, 10)], "interval_s": 10}
    bus = path(1, straight((250, 400), (390, 400), 30), width=460, height=300)
    assert watched(bus, upright) == (1, 0)


def test_given_a_line_shorter_than_the_box_that_crosses_it_then_one() -> None:
    """Supervision #1838: a box counted only while all of it lay between the line's ends."""
    short = {"name": "main", "points": [(270, 240), (330, 240)], "interval_s": 10}
    assert watched(path(1, straight((300, 120), (300, 400), 30), width=200, height=100), short) == (1, 0)


# --- ultralytics/ultralytics #15849 -------------------------------------------------------------------------------


def footprint(*roots: object) -> int:
    """Bytes of everything that can be reached from some objects, arrays included; classes and modules are not."""
    seen: set[int] = set()
    waiting, total = list(roots), 0
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | type(sys)) or callable(thing):
            continue
        seen.add(id(thing))
        held: NDArray[Any] | None = thing if isinstance(thing, np.ndarray) else None
        total += sys.getsizeof(thing) if held is None or held.base is None else held.nbytes
        waiting += gc.get_referents(thing)
    return total


def passers_by(count: int, first: int) -> list[list[Body]]:
    """So many cars, one after the other under ever new numbers, three in the picture at any time."""
    each = straight((300, 200), (300, 290), 6)
    walks = [path(first + number, each) for number in range(count)]
    frames: list[list[Body]] = [[] for _ in range(2 * count + 6)]
    for number, walk in enumerate(walks):
        for step, bodies in enumerate(walk):
            frames[2 * number + step] += bodies
    return frames


def test_given_hundreds_of_numbers_then_the_scene_is_as_large_as_after_three_hundred() -> None:
    """Ultralytics #15849: memory rose until none was left; state was kept of every id ever seen, not of those alive."""
    watcher, sizes, moment = scene(), [], 0.0
    for hundred in range(6):
        for seen, at in film(passers_by(100, first=1 + 1000 * hundred), from_s=moment):
            watcher.update(seen, at, SIZE)
            moment = at.mono_s - instant(0).mono_s + 0.1
        sizes.append(footprint(watcher))
    assert crossed(watcher) == (600, 0)
    assert sizes[-1] < 1.02 * sizes[2]  # by then the crossings that are remembered for a moment fill their queue
    assert len(watcher.snapshot()) < 5000


def test_given_hundreds_of_things_seen_then_the_tracker_is_as_large_as_after_fifty() -> None:
    """Ultralytics #15849, in the tracker: it kept all tracks that it had removed."""
    tracker, sizes, over = Tracker(picture_px=(1000, 400)), [], set[int]()
    for step in range(1280):
        lanes = [standing(40.0 + (step * 30) % 960, 80.0 + 90 * lane) for lane in range(3)]
        over |= set(tracker.update(detected(lanes), step / 10).ended.tolist())
        if step % 160 == 159:
            sizes.append(footprint(tracker))
    assert len(over) > 110
    assert max(sizes[1:]) < 1.2 * sizes[0]
