from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import ConfigError
from agent.records import CountBody, ModelRef, Record, dump
from agent.scene import Link, Scene, View
from tests.fakes.walkers import SIZE, film, instant, path, straight

CAMERA: dict[str, Any] = {
    "name": "cam",
    "source": "x",
    "frame_size": SIZE,
    "lines": [{"name": "main", "points": [(100, 240), (540, 240)]}],
    "zones": [{"name": "road", "polygon": [(100, 100), (540, 100), (540, 440)], "rules": {"queue": {}}}],
}
MODEL = ModelRef(name="street", version="1", sha256="0" * 64)


def scene(state: str | None = None, **more: Any) -> Scene:
    return Scene(Camera.model_validate(CAMERA | more), device="box", model=MODEL, state=state)


def drive(watcher: Scene, track: int, from_s: float, view: View | None = None) -> list[Record]:
    records: list[Record] = []
    for seen, at in film(path(track, straight((300, 100), (300, 400), 30)), from_s=from_s):
        records += watcher.update(seen, at, SIZE, view)
    return records


def counts(records: list[Record]) -> list[CountBody]:
    return [record.body for record in records if isinstance(record.body, CountBody)]


def test_given_the_same_input_then_the_same_records_byte_for_byte() -> None:
    def once() -> str:
        watcher = scene()
        records = drive(watcher, 1, 0.0) + watcher.tick(instant(70), Link("live")) + watcher.stop(instant(80))
        return json.dumps([dump(record) for record in records]) + watcher.snapshot()

    assert once() == once()


def test_given_a_record_then_it_says_whose_and_how_far_to_trust_its_time() -> None:
    record = scene().tick(instant(0), Link("lost"))[0]
    assert (record.camera, record.model, record.kind) == ("cam", MODEL, "event")
    assert record.time == instant(0).utc_s
    assert record.mono_s == instant(0).mono_s
    assert record.clock.synced


def test_given_a_crash_in_the_middle_of_an_interval_then_what_was_counted_is_kept() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    again = scene(watcher.snapshot())
    records = drive(again, 1, 10.0)
    records += [record for second in range(14, 64) for record in again.tick(instant(second), Link("live"))]
    a_to_b = counts(records)[0]
    assert a_to_b.volume == 2
    assert a_to_b.cumulative == 2
    assert a_to_b.interval.partial


OTHER = [{"name": "other", "points": [(100, 300), (540, 300)]}]


def test_given_a_line_is_away_for_a_while_when_it_comes_back_then_its_cumulative_goes_on() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    watcher.stop(instant(5))
    for at_s in (10.0, 20.0):
        watcher = scene(watcher.snapshot(), lines=OTHER)
        drive(watcher, 1, at_s)
        away = counts(watcher.stop(instant(at_s + 5)))
    assert [(body.line, body.cumulative) for body in away] == [("other", 2), ("other", 0)]
    again = scene(watcher.snapshot())
    drive(again, 1, 30.0)
    assert [(body.line, body.cumulative) for body in counts(again.stop(instant(35)))] == [("main", 2), ("main", 0)]


def test_given_more_lines_than_are_kept_then_those_gone_for_longest_are_forgotten() -> None:
    state = None
    for number in range(70):
        watcher = scene(state, lines=[{"name": f"n{number}", "points": [(100, 240), (540, 240)]}])
        drive(watcher, 1, 10.0 * number)
        watcher.stop(instant(10.0 * number + 5))
        state = watcher.snapshot()
    assert state is not None
    assert len(json.loads(state)["rules"]["lines"]) == 65, "64 that are away, and the one that is drawn"

    def total(name: str) -> int | None:
        body = counts(scene(state, lines=[{"name": name, "points": [(100, 240), (540, 240)]}]).stop(instant(710)))[0]
        return body.cumulative

    assert (total("n0"), total("n4"), total("n5"), total("n68"), total("n69")) == (0, 0, 1, 1, 1)


def test_given_a_stop_and_a_start_then_cumulative_goes_on_and_nothing_is_counted_twice() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    first = counts(watcher.stop(instant(5)))
    again = scene(watcher.snapshot())
    drive(again, 1, 20.0)
    second = counts(again.stop(instant(25)))
    assert [(body.volume, body.cumulative) for body in (*first, *second)] == [(1, 1), (0, 0), (1, 2), (0, 0)]
    assert first[0].interval.end == second[0].interval.start


def test_given_another_start_of_the_machine_on_a_wrong_clock_then_the_time_away_is_told_once_it_is_set() -> None:
    camera = Camera.model_validate(CAMERA)
    watcher = Scene(camera, device="box", model=MODEL, machine="first")
    records = [*drive(watcher, 1, 0.0), *watcher.stop(instant(5))]
    again = Scene(camera, device="box", model=MODEL, state=watcher.snapshot(), machine="second")
    wrong = Instant(mono_s=30.0, utc_s=instant(905).utc_s - 2580, synced=False)
    assert again.tick(wrong, Link("live")) == []
    records += again.tick(Instant(mono_s=50.0, utc_s=instant(925).utc_s), Link("live"))
    times = sorted((body.interval.start, body.interval.end) for body in counts(records) if body.direction == "a_to_b")
    assert all(before[1] == after[0] for before, after in itertools.pairwise(times))
    assert (times[0][0], times[-1][1]) == (instant(0).utc_s, instant(925).utc_s)


@pytest.mark.parametrize("state", ["", "no json", "[]", '{"version": 99}', '{"version": 1, "rules": 3}'])
def test_given_a_state_that_makes_no_sense_then_it_counts_as_none(state: str) -> None:
    assert scene(state).snapshot() == scene().snapshot()


def test_given_a_view_that_has_moved_then_nothing_is_counted_until_it_is_over() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    moved = drive(watcher, 2, 10.0, View(("moved",), blind=True))
    drive(watcher, 3, 20.0, View())
    (count, _) = counts(moved + watcher.stop(instant(24)))
    assert count.volume == 2
    assert "moved" in count.quality.reasons
    assert not count.quality.valid


def test_given_a_dark_view_then_counts_go_on_but_are_not_valid() -> None:
    watcher = scene()
    watcher.tick(instant(0), Link("live"), View(("dark",)))
    drive(watcher, 1, 0.1)
    (count, _) = counts(watcher.stop(instant(4)))
    assert (count.volume, count.quality.valid) == (1, False)
    assert "dark" in count.quality.reasons


def test_given_a_lost_link_then_every_interval_of_the_loss_says_so() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    records = [
        record
        for second in range(4, 200)
        for record in watcher.tick(instant(second), Link("frozen" if second < 70 else "connecting"))
    ]
    reasons = [body.quality.reasons for body in counts(records) if body.direction == "a_to_b"]
    assert "camera_frozen" in reasons[0]
    assert reasons[1] == ("camera_lost", "camera_frozen")
    assert reasons[2] == ("camera_lost",)


def test_given_the_link_names_a_reason_of_the_contract_then_it_is_in_the_interval() -> None:
    watcher = scene()
    watcher.tick(instant(0), Link("live", "overloaded"))
    watcher.tick(instant(1), Link("live", "something for people"))
    (count, _) = counts(watcher.stop(instant(5)))
    assert count.quality.reasons == ("starting", "stopping", "overloaded")


def test_given_ground_points_on_a_line_then_refused() -> None:
    flat = {"points": [{"image": (n * 100, 300), "metres": (n, 0)} for n in range(4)]}
    with pytest.raises(ConfigError, match="on one line"):
        scene(ground=flat)


def test_given_calibration_then_speed_headway_and_gap_come_from_capture_times() -> None:
    ground = {
        "points": [
            {"image": point, "metres": (point[0] / 10, point[1] / 10)}
            for point in ((0, 0), (640, 0), (640, 480), (0, 480))
        ]
    }
    watcher = scene(ground=ground)
    for track, from_s in ((1, 0.0), (2, 3.0)):
        drive(watcher, track, from_s)
    (count, _) = counts(watcher.stop(instant(7)))
    metres_s = 30 / 2.9
    assert count.speed_kmh is not None
    assert count.speed_kmh.mean == pytest.approx(metres_s * 3.6, rel=0.01)
    assert count.speed_kmh.n == 2
    assert count.headway_s == pytest.approx(3.0, abs=0.01)
    assert count.gap_s == pytest.approx(3.0 - 4.5 / metres_s, abs=0.02)


def test_given_a_crossing_seen_too_shortly_then_it_has_no_speed() -> None:
    ground = {"points": [{"image": p, "metres": p} for p in ((0, 0), (640, 0), (640, 480), (0, 480))]}
    watcher = scene(ground=ground)
    for seen, at in film(path(1, straight((300, 200), (300, 280), 4)), every_s=0.05):
        watcher.update(seen, at, SIZE)
    (count, _) = counts(watcher.stop(instant(1)))
    assert (count.volume, count.speed_kmh, count.headway_s) == (1, None, None)


def test_crossed_tells_the_counts_so_far() -> None:
    watcher = scene()
    drive(watcher, 1, 0.0)
    watcher.stop(instant(3))
    assert watcher.crossed() == {("main", "a_to_b"): 1, ("main", "b_to_a"): 0}


def test_given_a_line_for_persons_only_then_a_car_over_it_is_not_shown_either() -> None:
    persons = {"name": "walk", "points": [(100, 240), (540, 240)], "classes": ["person"]}
    watcher = scene(lines=[*CAMERA["lines"], persons])
    drive(watcher, 1, 0.0)
    shown = watcher.crossed()
    assert (shown["main", "a_to_b"], shown["walk", "a_to_b"]) == (1, 0)
    watcher.stop(instant(3))
    assert watcher.crossed() == shown
