from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agent.config.schema import Camera
from agent.records import EventBody, Record
from agent.scene import Link, Scene
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, film, instant, path, straight

ROAD = [(100, 100), (540, 100), (540, 440), (100, 440)]
GROUND = {
    "points": [
        {"image": (0, 0), "metres": (0, 0)},
        {"image": (640, 0), "metres": (64, 0)},
        {"image": (640, 480), "metres": (64, 48)},
        {"image": (0, 480), "metres": (0, 48)},
    ]
}


def scene(rules: dict[str, Any], *, state: str | None = None, **more: Any) -> Scene:
    zone = {"name": "road", "polygon": ROAD, "rules": rules}
    camera = Camera.model_validate({"name": "cam", "source": "x", "frame_size": SIZE, "zones": [zone], **more})
    return Scene(camera, device="box", model=None, state=state)


def events(records: list[Record]) -> list[EventBody]:
    bodies = (record.body for record in records)
    return [body for body in bodies if isinstance(body, EventBody) and body.kind != "camera_tampered"]


def run(watcher: Scene, frames: Sequence[Sequence[Body]], from_s: float = 0.0, every_s: float = 0.2) -> list[EventBody]:
    records: list[Record] = []
    for seen, at in film(frames, from_s=from_s, every_s=every_s):
        records += watcher.update(seen, at, SIZE)
    return events(records)


def phases(found: list[EventBody]) -> list[str]:
    return [event.phase for event in found]


def row(frames: int, speed_px: float = 0.0, count: int = 5, gap_px: float = 60.0) -> list[list[Body]]:
    return [
        [Body(n, (150.0 + gap_px * n, 300.0 + speed_px * 0.2 * (step % 40))) for n in range(count)]
        for step in range(frames)
    ]


def test_given_a_camera_is_lost_and_comes_back_then_one_event_with_one_id() -> None:
    watcher = scene({})
    found: list[EventBody] = []
    links = ["connecting"] * 3 + ["live"] * 3 + ["frozen"] * 5 + ["lost"] * 5 + ["connecting"] * 5 + ["live"] * 3
    for second, state in enumerate(links):
        found += events(watcher.tick(instant(second), Link(state, "no data" if state == "lost" else "")))  # type: ignore[arg-type]
    assert [(event.phase, event.details["state"]) for event in found] == [
        ("start", "frozen"),
        ("update", "lost"),
        ("end", "live"),
    ]
    assert len({event.event for event in found}) == 1
    assert found[1].details["reason"] == "no data"
    assert found[2].details["lasted_s"] == 15
    assert found[2].since == instant(6).utc_s


def test_given_a_restart_while_a_camera_is_lost_then_the_event_goes_on_and_ends() -> None:
    watcher = scene({})
    (start,) = events(watcher.tick(instant(0), Link("lost")))
    again = scene({}, state=watcher.snapshot())
    found = events(again.tick(instant(5), Link("lost")) + again.tick(instant(9), Link("live")))
    assert phases(found) == ["end"]
    assert found[0].event == start.event


def test_given_many_slow_vehicles_then_congestion_from_its_beginning_to_its_end() -> None:
    watcher = scene({"congestion": {"enter_s": 10, "leave_s": 5}})
    found = run(watcher, row(100))
    assert phases(found) == ["start"]
    assert found[0].details == {"level": "jam", "vehicles": 5}
    assert found[0].severity == "alarm"
    assert found[0].since == pytest.approx(instant(0).utc_s, abs=1.0)
    ended = run(watcher, [[]] * 60, from_s=20)
    assert phases(ended) == ["end"]
    assert ended[0].event == found[0].event


def test_given_congestion_gets_worse_then_it_is_updated_not_started_again() -> None:
    watcher = scene({"congestion": {"enter_s": 5, "leave_s": 5}}, ground=GROUND)
    slow = [[Body(n, (150.0 + 60 * n, 150.0 + 4 * step)) for n in range(5)] for step in range(50)]
    standing = [[Body(n, (150.0 + 60 * n, 346.0)) for n in range(5)] for _ in range(100)]
    found = run(watcher, slow + standing)
    assert phases(found) == ["start", "update"]
    assert [event.details["level"] for event in found] == ["slow", "jam"]
    assert found[0].details["speed_kmh"] == pytest.approx(7.2, abs=0.5)


def test_given_few_or_fast_vehicles_then_no_congestion() -> None:
    assert run(scene({"congestion": {"enter_s": 5}}), row(60, count=4)) == []
    fast = [[Body(n, (150.0 + 60 * n, 110.0 + (step * 20) % 320)) for n in range(5)] for step in range(60)]
    assert run(scene({"congestion": {"enter_s": 5}}), fast) == []


def test_given_standing_vehicles_then_a_queue_with_its_length() -> None:
    watcher = scene({"queue": {}}, ground=GROUND)
    found = run(watcher, row(60, count=4))
    assert phases(found) == ["start"]
    assert found[0].details == {"vehicles": 4, "length_m": 22}
    assert found[0].severity == "info"


def test_given_a_wide_gap_then_the_queue_ends_before_it() -> None:
    frames = [[*bodies, Body(9, (150.0 + 2 * 40 + 200, 300.0))] for bodies in row(60, count=3, gap_px=40)]
    (start,) = run(scene({"queue": {}}, ground=GROUND), frames)
    assert start.details == {"vehicles": 3, "length_m": 12}


def test_given_no_calibration_then_a_queue_has_no_metres_and_no_vehicles_no_queue() -> None:
    watcher = scene({"queue": {"vehicles": 1}})
    assert run(watcher, [[]] * 40) == []
    assert run(watcher, row(60, count=1), from_s=8)[0].details == {"vehicles": 1}


def test_given_standing_vehicles_beyond_the_horizon_then_they_are_no_queue() -> None:
    low = {
        "points": [
            {"image": (280, 350), "metres": (0, 100)},
            {"image": (360, 350), "metres": (8, 100)},
            {"image": (640, 480), "metres": (8, 0)},
            {"image": (0, 480), "metres": (0, 0)},
        ]
    }
    frames = [[Body(1, (300.0, 120.0))] for _ in range(60)]
    assert run(scene({"queue": {"vehicles": 1}}, ground=low), frames) == []


def test_given_the_queue_grows_then_it_is_updated_no_faster_than_asked() -> None:
    watcher = scene({"queue": {"update_s": 10}})
    frames = [bodies[: 3 + step // 25] for step, bodies in enumerate(row(200, count=7))]
    found = run(watcher, frames)
    assert phases(found) == ["start", "update", "update"]
    assert [event.details["vehicles"] for event in found][-1] == 7
    assert len({event.event for event in found}) == 1


def test_given_a_vehicle_stops_too_long_then_an_event_until_it_drives_on() -> None:
    watcher = scene({"stopped_vehicle": {"after_s": 20}})
    feet = [(300.0, 300.0)] * 150 + straight((300, 300), (300, 420), 8)
    found = run(watcher, path(1, feet))
    assert phases(found) == ["start", "end"]
    assert found[0].details["class"] == "car"
    assert found[0].event == found[1].event


def test_given_a_pedestrian_or_a_short_stop_then_no_event() -> None:
    assert run(scene({"stopped_vehicle": {"after_s": 20}}), path(1, [(300.0, 300.0)] * 200, kind=RoadUser.PERSON)) == []
    assert run(scene({"stopped_vehicle": {"after_s": 20}}), path(1, [(300.0, 300.0)] * 90)) == []


def test_given_a_red_light_then_its_time_is_allowed_and_a_queue_does_not_count() -> None:
    alone = path(1, [(300.0, 300.0)] * 200)
    assert run(scene({"stopped_vehicle": {"after_s": 20, "red_light_s": 30}}), alone) == []
    assert run(scene({"stopped_vehicle": {"after_s": 20}}), row(300, count=4)) == []


def test_given_others_pass_by_then_the_stopped_one_is_no_queue() -> None:
    frames = [
        [Body(1, (300.0, 300.0)), *(Body(10 + n, (150.0 + 40 * n, 110.0 + (step * 20) % 320)) for n in range(2))]
        for step in range(150)
    ]
    assert phases(run(scene({"stopped_vehicle": {"after_s": 20}}), frames)) == ["start"]


def test_given_it_is_hidden_and_seen_again_under_another_number_then_the_event_goes_on() -> None:
    watcher = scene({"stopped_vehicle": {"after_s": 20, "leave_s": 30}})
    found = run(watcher, path(1, [(300.0, 300.0)] * 120) + [[]] * 50 + path(2, [(302.0, 301.0)] * 300))
    assert phases(found) == ["start"]


def test_given_it_is_gone_for_long_then_the_event_ends() -> None:
    watcher = scene({"stopped_vehicle": {"after_s": 20, "leave_s": 10}})
    found = run(watcher, path(1, [(300.0, 300.0)] * 120) + [[]] * 80)
    assert phases(found) == ["start", "end"]


def test_given_a_restart_then_the_stopped_vehicle_is_still_the_same() -> None:
    watcher = scene({"stopped_vehicle": {"after_s": 20}})
    (start,) = run(watcher, path(1, [(300.0, 300.0)] * 120))
    again = scene({"stopped_vehicle": {"after_s": 20}}, state=watcher.snapshot())
    found = run(again, path(1, [(300.0, 300.0)] * 200 + straight((300, 300), (300, 420), 8)), from_s=60)
    assert phases(found) == ["end"]
    assert found[0].event == start.event


def test_given_two_vehicles_stop_at_once_then_two_ids() -> None:
    standing = [Body(1, (200.0, 200.0)), Body(2, (400.0, 200.0))]
    frames = [
        [*standing, *(Body(3 + n, (x, 110.0 + (step * 20) % 320)) for n, x in enumerate((130.0, 300.0, 500.0)))]
        for step in range(150)
    ]
    found = run(scene({"stopped_vehicle": {"after_s": 20}}), frames)
    assert phases(found) == ["start", "start"]
    assert len({event.event for event in found}) == 2


WRONG = {"wrong_way": {"along": [(300, 100), (300, 400)]}}


def test_given_a_vehicle_drives_against_its_lane_then_one_alarm_that_ends_when_it_is_gone() -> None:
    found = run(scene(WRONG), path(1, straight((300, 430), (300, 110), 30)) + [[]] * 30)
    assert phases(found) == ["start", "end"]
    assert found[0].severity == "alarm"


def test_given_it_turns_round_then_the_event_ends() -> None:
    watcher = scene(WRONG)
    feet = straight((300, 430), (300, 200), 20) + straight((300, 210), (300, 430), 20)
    assert phases(run(watcher, path(1, feet))) == ["start", "end"]


def test_given_it_drives_as_it_may_or_crosses_or_walks_then_no_event() -> None:
    assert run(scene(WRONG), path(1, straight((300, 110), (300, 430), 30))) == []
    assert run(scene(WRONG), path(1, straight((110, 300), (530, 300), 30))) == []
    assert run(scene(WRONG), path(1, straight((300, 430), (300, 110), 30), kind=RoadUser.PERSON)) == []


def test_given_a_restart_while_one_drives_the_wrong_way_then_its_event_ends() -> None:
    watcher = scene(WRONG)
    (start,) = run(watcher, path(1, straight((300, 430), (300, 200), 20)))
    again = scene(WRONG, state=watcher.snapshot())
    assert again.snapshot() != scene(WRONG).snapshot()
    found = events(again.tick(instant(10), Link("live")))
    assert [(event.phase, event.event) for event in found] == [("end", start.event)]


@pytest.mark.parametrize("now", [{}, {"queue": {}}])
def test_given_a_rule_is_taken_out_then_its_open_event_is_ended(now: dict[str, Any]) -> None:
    watcher = scene({"congestion": {"enter_s": 5}})
    (start,) = run(watcher, row(60))
    found = events(scene(now, state=watcher.snapshot()).tick(instant(60), Link("live")))
    assert [(event.phase, event.event) for event in found] == [("end", start.event)]
    assert found[0].details["why"] == "no longer watched"


def test_given_the_zone_is_taken_out_then_its_open_event_is_ended() -> None:
    watcher = scene({"congestion": {"enter_s": 5}})
    (start,) = run(watcher, row(60))
    camera = Camera.model_validate({"name": "cam", "source": "x"})
    (end,) = events(Scene(camera, device="box", model=None, state=watcher.snapshot()).tick(instant(60), Link("live")))
    assert (end.phase, end.event) == ("end", start.event)


def test_given_a_restart_in_congestion_then_no_second_start() -> None:
    watcher = scene({"congestion": {"enter_s": 5}})
    (start,) = run(watcher, row(60))
    again = scene({"congestion": {"enter_s": 5, "leave_s": 5}}, state=watcher.snapshot())
    found = run(again, row(100) + [[]] * 60, from_s=30)
    assert phases(found) == ["end"]
    assert found[0].event == start.event
