from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.records import CountBody, Record
from agent.scene import Link, Scene
from agent.scene.lines import footprints_over
from agent.values import RoadUser, Tracks
from tests.fakes.walkers import SIZE, Body, film, instant, path, straight, tracks

LINE = {"name": "main", "points": [(100, 240), (540, 240)]}


def scene(*lines: dict[str, Any], **more: Any) -> Scene:
    camera = Camera.model_validate(
        {"name": "cam", "source": "clip.mp4", "frame_size": SIZE, "lines": lines or [LINE], **more}
    )
    return Scene(camera, device="box", model=None)


def run(watcher: Scene, frames: Sequence[Sequence[Body]], **more: Any) -> list[Record]:
    records: list[Record] = []
    at = instant(0)
    for seen, at in film(frames, **more):
        records += watcher.update(seen, at, SIZE)
    return records + watcher.stop(at)


def volumes(records: list[Record], line: str = "main") -> tuple[int, int]:
    counts = {"a_to_b": 0, "b_to_a": 0}
    for record in records:
        if isinstance(record.body, CountBody) and record.body.line == line:
            counts[record.body.direction] += record.body.volume or 0
    return counts["a_to_b"], counts["b_to_a"]


def together(*walks: list[list[Body]]) -> list[list[Body]]:
    longest = max(len(walk) for walk in walks)
    return [[body for walk in walks if frame < len(walk) for body in walk[frame]] for frame in range(longest)]


def test_given_a_car_drives_over_the_line_then_one_crossing_in_its_direction() -> None:
    assert volumes(run(scene(), path(1, straight((300, 100), (300, 400), 30)))) == (1, 0)
    assert volumes(run(scene(), path(1, straight((300, 400), (300, 100), 30)))) == (0, 1)


def test_given_it_passes_beside_the_line_then_nothing() -> None:
    assert volumes(run(scene(), path(1, straight((50, 100), (50, 400), 30)))) == (0, 0)


def test_given_it_goes_round_the_end_and_back_over_the_line_then_only_the_way_over_counts() -> None:
    round_the_end = straight((150, 100), (50, 240), 15) + straight((50, 250), (150, 400), 15)
    assert volumes(run(scene(), path(1, round_the_end + straight((150, 390), (150, 100), 30)))) == (0, 1)


def test_given_the_last_frame_of_a_track_flickers_over_the_line_then_nothing() -> None:
    feet = [(300.0, 220.0)] * 20 + [(300.0, 270.0)]
    assert volumes(run(scene(), path(1, feet) + [[]] * 50)) == (0, 0)


def test_given_a_parked_car_trembles_at_the_line_for_five_minutes_then_nothing() -> None:
    rng = np.random.default_rng(5)
    feet = [(300 + float(x), 239 + float(y)) for x, y in rng.normal(0, 1.2, (1500, 2))]
    assert volumes(run(scene(), path(1, feet))) == (0, 0)


def test_given_it_waits_on_the_line_for_ten_minutes_then_one_crossing() -> None:
    rng = np.random.default_rng(6)
    waiting = [(300.0, 240 + float(y)) for y in rng.normal(0, 1.0, 1800)]
    feet = straight((300, 150), (300, 238), 15) + waiting + straight((300, 242), (300, 330), 15)
    assert volumes(run(scene(), path(1, feet), every_s=1 / 3)) == (1, 0)


def test_given_the_picture_sways_while_it_waits_on_the_line_then_one_crossing_when_it_drives_on() -> None:
    gust = [*([(300.0, 244.6)] * 5), *([(300.0, 240.0)] * 45), *([(300.0, 235.4)] * 5), *([(300.0, 240.0)] * 45)]
    wait = [*([(300.0, 240.0)] * 30), *gust * 5]  # 1.7 bands either way, for half a second
    feet = [*straight((300, 100), (300, 239), 20), *wait, *straight((300, 241), (300, 400), 20)]
    assert volumes(run(scene(), path(1, feet))) == (1, 0)


def test_given_a_truck_creeps_over_the_line_and_stops_right_behind_it_then_it_counts_at_once() -> None:
    creeps = straight((300, 160), (300, 266), 90)  # in nine seconds, to 1.6 bands behind
    frames = path(1, [*creeps, *([(300.0, 266.0)] * 10)], width=200.0, height=210.0)
    assert volumes(run(scene(), frames)) == (1, 0)


def test_given_it_backs_over_the_line_after_a_wait_then_one_each_way() -> None:
    wait = [(300.0, 243.0)] * 100
    feet = [*straight((300, 100), (300, 243), 20), *wait, *straight((300, 243), (300, 300), 10)]
    assert volumes(run(scene(), path(1, feet + feet[::-1]))) == (1, 1)


def test_given_a_queue_of_two_stops_and_goes_on_the_line_then_two() -> None:
    creeping: list[tuple[float, float]] = []
    for step in range(12):
        creeping += [(300.0, 216.0 + 4 * step)] * 15
    first = path(1, straight((300, 100), (300, 216), 20) + creeping + straight((300, 265), (300, 400), 20))
    second = path(2, [(200.0, foot[1]) for (foot,) in [[b.foot for b in frame] for frame in first]])
    assert volumes(run(scene(), together(first, second))) == (2, 0)


def test_given_it_turns_back_before_the_line_is_behind_it_then_nothing() -> None:
    feet = straight((300, 100), (300, 240), 20) + straight((300, 240), (300, 100), 20)
    assert volumes(run(scene(), path(1, feet))) == (0, 0)


def test_given_it_crosses_and_comes_back_then_one_each_way() -> None:
    feet = straight((300, 100), (300, 320), 25) + straight((300, 320), (300, 100), 25)
    assert volumes(run(scene(), path(1, feet))) == (1, 1)


def test_given_two_cross_side_by_side_then_two() -> None:
    frames = together(path(1, straight((280, 100), (280, 400), 30)), path(2, straight((330, 100), (330, 400), 30)))
    assert volumes(run(scene(), frames)) == (2, 0)


def test_given_a_rider_filters_between_standing_cars_then_only_the_rider_counts() -> None:
    standing = [path(number, [(x, 236.0)] * 60, width=80, height=60) for number, x in ((1, 200.0), (2, 320.0))]
    rider = path(3, straight((260, 100), (260, 400), 60), width=20, height=30, kind=RoadUser.MOTORCYCLE)
    assert volumes(run(scene(), together(*standing, rider))) == (1, 0)


def test_given_the_lower_half_of_a_parked_car_is_covered_for_a_while_then_nothing() -> None:
    whole = path(1, [(300.0, 255.0)] * 20, width=80, height=60)
    half = path(1, [(300.0, 225.0)] * 20, width=80, height=30)
    assert volumes(run(scene(), whole + half + whole)) == (0, 0)


def test_given_a_parked_car_is_stretched_by_a_neighbour_for_a_while_then_nothing() -> None:
    whole = path(1, [(300.0, 225.0)] * 20, width=80, height=60)
    stretched = path(1, [(300.0, 255.0)] * 20, width=80, height=120)
    assert volumes(run(scene(), whole + stretched + whole)) == (0, 0)


def test_given_a_car_comes_straight_at_a_low_camera_then_one() -> None:
    frames = [[Body(1, (300.0, 150.0 + 5 * step), width=40 + 4 * step, height=30 + 6 * step)] for step in range(50)]
    assert volumes(run(scene(), frames)) == (1, 0)


def test_given_it_is_hidden_while_it_crosses_then_one_timed_between() -> None:
    feet = straight((300, 100), (300, 400), 31)
    frames = [[Body(1, foot, observed=not 200 < foot[1] < 300)] for foot in feet]
    assert volumes(run(scene(), frames)) == (1, 0)


def test_given_its_number_changes_in_the_middle_of_the_crossing_then_one() -> None:
    feet = straight((300, 100), (300, 400), 31)
    frames = [[Body(1 if foot[1] < 236 else 2, foot, velocity=(0.0, 100.0))] for foot in feet]
    assert volumes(run(scene(), frames + [[]] * 40)) == (1, 0)


def test_given_its_number_changes_before_and_after_the_line_then_one() -> None:
    feet = straight((300, 100), (300, 400), 31)
    frames = [[Body(1 + (foot[1] > 180) + (foot[1] > 300), foot, velocity=(0.0, 100.0))] for foot in feet]
    assert volumes(run(scene(), frames + [[]] * 40)) == (1, 0)


def test_given_a_new_number_appears_beyond_while_the_old_one_waits_hidden_then_one() -> None:
    feet = straight((300, 100), (300, 400), 31)
    frames = []
    for step, foot in enumerate(feet):
        old = Body(1, (foot[0], min(foot[1], 235.0)), observed=foot[1] < 230, velocity=(0.0, 100.0))
        new = [Body(2, foot, velocity=(0.0, 100.0))] if foot[1] > 245 else []
        frames.append(([old] if step < 25 else []) + new)
    assert volumes(run(scene(), frames + [[]] * 40)) == (1, 0)


def test_given_it_vanishes_in_steady_motion_right_at_the_line_then_one() -> None:
    feet = straight((300, 100), (300, 235), 20)
    assert volumes(run(scene(), path(1, feet) + [[]] * 50)) == (1, 0)


def test_given_it_vanishes_far_before_the_line_or_beside_it_then_nothing() -> None:
    assert volumes(run(scene(), path(1, straight((300, 50), (300, 150), 20)) + [[]] * 50)) == (0, 0)
    assert volumes(run(scene(), path(1, straight((50, 100), (50, 235), 20)) + [[]] * 50)) == (0, 0)


def test_given_it_leaves_the_picture_before_the_line_then_nothing() -> None:
    beside = {"name": "main", "points": [(630, 100), (630, 400)]}
    frames = path(1, [(min(x, 618.0), y) for x, y in straight((400, 250), (625, 250), 20)], width=44)
    assert volumes(run(scene(beside), frames + [[]] * 50)) == (0, 0)


def test_given_it_is_first_seen_right_before_the_line_and_drives_on_then_one() -> None:
    assert volumes(run(scene(), path(1, straight((300, 238), (300, 400), 20)))) == (1, 0)


def test_given_it_is_first_seen_behind_the_line_however_near_then_nothing() -> None:
    assert volumes(run(scene(), path(1, straight((300, 250), (300, 400), 20)))) == (0, 0)


def test_given_it_is_first_seen_behind_the_line_and_moves_towards_it_then_only_the_way_over_counts() -> None:
    assert volumes(run(scene(), path(1, straight((300, 260), (300, 120), 20)))) == (0, 1)


def test_given_its_number_changes_right_before_the_line_and_nobody_notices_then_still_one() -> None:
    first, second = straight((300, 100), (300, 230), 14), straight((318, 232), (318, 400), 17)
    frames = path(1, first) + path(2, second, width=90, height=70)
    assert volumes(run(scene(), frames + [[]] * 40)) == (1, 0)


def test_given_two_go_side_by_side_and_one_is_hidden_from_right_before_the_line_then_two() -> None:
    shown, hidden = straight((300, 100), (300, 400), 31), straight((325, 100), (325, 233), 14)
    frames = together(path(1, shown), path(2, hidden))
    assert volumes(run(scene(), frames + [[]] * 40)) == (2, 0)


def first_seen(foot: tuple[float, float], feet: list[tuple[float, float]]) -> tuple[int, int]:
    """What is counted of a track that was detected first at one place, 0.2 s before it was confirmed at the next."""
    watcher, at = scene(), instant(0)
    records = watcher.update(Tracks.empty(), at, SIZE)
    for seen, at in film(path(1, feet, velocity=(0.0, 100.0)), from_s=0.2):
        left, bottom = foot[0] - 20, foot[1]
        first = np.repeat(np.array([[left, bottom - 30, left + 40, bottom]], np.float32), len(seen), axis=0)
        born = replace(seen, first_boxes=first, first_s=np.full(len(seen), instant(0).mono_s))
        records += watcher.update(born, at, SIZE)
    return volumes(records + watcher.stop(at))


def test_given_it_was_detected_first_before_the_line_and_confirmed_behind_it_then_one() -> None:
    assert first_seen((300.0, 225.0), straight((300, 249), (300, 340), 20)) == (1, 0)
    assert first_seen((300.0, 245.0), straight((300, 259), (300, 340), 20)) == (0, 0)


def drawn_anew(feet: list[tuple[float, float]], after: int) -> tuple[int, int]:
    """What is counted of one track when its scene gives way to the next after some of its frames."""
    watcher, records = scene(), []
    for number, (seen, at) in enumerate(film(path(1, feet))):
        if number == after:
            records += watcher.stop(at)
            watcher = Scene(watcher._camera, device="box", model=None, state=watcher.snapshot())
        left, bottom = feet[0][0] - 20, feet[0][1]
        first = np.repeat(np.array([[left, bottom - 30, left + 40, bottom]], np.float32), len(seen), axis=0)
        begun = replace(seen, first_boxes=first, first_s=np.full(len(seen), instant(0).mono_s))
        records += watcher.update(begun, at, SIZE)
    return volumes(records + watcher.stop(at))


@pytest.mark.parametrize("after", [5, 13, 15, 16, 17, 22])  # its foot is on the line between frames 13 and 14
def test_given_lines_are_drawn_anew_while_it_drives_over_one_then_it_is_counted_once(after: int) -> None:
    assert drawn_anew(straight((300, 100), (300, 400), 30), after) == (1, 0)


def a_rider_behind_a_bus(
    *, kind: RoadUser = RoadUser.MOTORCYCLE, back: tuple[float, float] = (300.0, 345.0), moving: float = 150.0
) -> tuple[int, int]:
    """What is counted of somebody who vanishes well before the line, going at 60 px/s, and of who appears behind it."""
    rider = RoadUser.MOTORCYCLE
    before = path(1, straight((300, 60), (300, 120), 11), kind=rider, velocity=(0.0, 60.0))
    after = path(2, straight(back, (back[0], back[1] + moving), 11), kind=kind, velocity=(0.0, moving))
    return volumes(run(scene(), before + [[]] * 20 + after + [[]] * 40))


def test_given_a_rider_goes_two_seconds_behind_a_bus_and_comes_out_beyond_the_line_then_one() -> None:
    assert a_rider_behind_a_bus() == (1, 0)


def test_given_who_comes_out_is_of_another_kind_or_goes_another_way_or_came_too_fast_then_nothing() -> None:
    assert a_rider_behind_a_bus(kind=RoadUser.CAR) == (0, 0)
    assert a_rider_behind_a_bus(back=(500.0, 345.0)) == (0, 0)
    assert a_rider_behind_a_bus(moving=20.0) == (0, 0)


def test_given_two_come_out_where_one_went_in_then_one() -> None:
    before = path(1, straight((300, 60), (300, 120), 11), velocity=(0.0, 60.0))
    ways = enumerate((straight((295, 345), (295, 445), 8), straight((340, 345), (340, 445), 8)))
    after = [path(2 + number, way, velocity=(0.0, 150.0)) for number, way in ways]
    assert volumes(run(scene(), before + [[]] * 20 + together(*after) + [[]] * 40)) == (1, 0)


def test_given_it_stands_exactly_on_the_line_when_first_seen_then_nothing_yet() -> None:
    assert volumes(run(scene(), path(1, [(300.0, 240.0)] * 10))) == (0, 0)


def test_given_false_tracks_that_live_for_a_moment_then_nothing() -> None:
    frames = [[Body(number, (300.0, 200.0 + 40 * (number % 3)))] for number in range(60)]
    assert volumes(run(scene(), frames)) == (0, 0)


def test_given_a_class_filter_then_others_are_no_part_of_it() -> None:
    only = LINE | {"classes": ["car"]}
    frames = together(
        path(1, straight((280, 100), (280, 400), 30)),
        path(2, straight((330, 100), (330, 400), 30), kind=RoadUser.PERSON),
    )
    records = run(scene(only), frames)
    assert volumes(records) == (1, 0)
    assert {name for r in records for name in r.body.by_class or ()} == {"car"}  # type: ignore[union-attr]


def test_given_the_vote_changes_after_the_crossing_then_the_last_vote_counts() -> None:
    feet = straight((300, 100), (300, 400), 30)
    frames = [[Body(1, foot, kind=RoadUser.TRUCK if foot[1] > 350 else RoadUser.CAR)] for foot in feet]
    (count, _) = (record.body for record in run(scene(), frames + [[]] * 60))
    assert isinstance(count, CountBody)
    assert count.by_class is not None
    assert (count.by_class["truck"], count.by_class["car"]) == (1, 0)


def test_given_several_lines_then_each_counts_on_its_own() -> None:
    second = {"name": "second", "points": [(100, 320), (540, 320)], "interval_s": 10}
    records = run(scene(LINE, second), path(1, straight((300, 100), (300, 300), 30)))
    assert volumes(records, "main") == (1, 0)
    assert volumes(records, "second") == (0, 0)


def test_given_relative_points_then_they_follow_the_picture() -> None:
    camera = Camera.model_validate(
        {"name": "cam", "source": "x", "lines": [{"name": "main", "points": [(0.1, 0.5), (0.9, 0.5)]}]}
    )
    assert volumes(run(Scene(camera, device="box", model=None), path(1, straight((300, 100), (300, 400), 30)))) == (
        1,
        0,
    )


def test_given_the_picture_changes_its_size_then_counting_goes_on() -> None:
    watcher = scene()
    records: list[Record] = []
    for seen, at in film(path(1, straight((300, 100), (300, 400), 30))):
        records += watcher.update(seen, at, SIZE)
    for seen, at in film(path(2, straight((600, 200), (600, 800), 30)), from_s=3):
        records += watcher.update(seen, at, (1280, 960))
    assert volumes(records + watcher.stop(instant(7))) == (2, 0)


def test_given_crossings_then_pcu_headway_and_occupancy_are_those_of_the_line() -> None:
    frames = together(
        path(1, straight((280, 100), (280, 400), 61)),
        [[] for _ in range(30)] + path(2, straight((330, 100), (330, 400), 61), kind=RoadUser.MOTORCYCLE),
    )
    count, other = (record.body for record in run(scene(), frames))
    assert isinstance(count, CountBody)
    assert isinstance(other, CountBody)
    assert count.pcu == 1.25
    assert count.headway_s == pytest.approx(3.0, abs=0.05)
    assert count.occupancy is not None
    assert 0.02 < count.occupancy < 0.15
    assert other.occupancy == 0.0
    assert other.headway_s is None
    assert count.speed_kmh is None
    assert count.gap_s is None


def test_given_a_camera_loss_between_two_crossings_then_no_headway_spans_it() -> None:
    watcher = scene()
    for seen, at in film(path(1, straight((300, 100), (300, 400), 30))):
        watcher.update(seen, at, SIZE)
    records: list[Record] = []
    for seen, at in film(path(2, straight((300, 100), (300, 400), 30)), from_s=20):
        records += watcher.update(seen, at, SIZE)
    records += watcher.stop(instant(23))
    assert [record.body.headway_s for record in records] == [None, None]  # type: ignore[union-attr]


def test_given_an_interval_without_frames_then_volume_is_absent_and_cumulative_stays() -> None:
    watcher = scene()
    for seen, at in film(path(1, straight((300, 100), (300, 400), 30))):
        watcher.update(seen, at, SIZE)
    records = [record for second in range(4, 130) for record in watcher.tick(instant(second), Link("lost", "no route"))]
    counts = [record.body for record in records if isinstance(record.body, CountBody)]
    assert [body.cumulative for body in counts] == [1, 0, 1, 0]
    assert counts[2].volume is None
    assert counts[2].by_class is None
    assert counts[2].quality.valid is False
    assert "camera_lost" in counts[2].quality.reasons


def test_given_thousands_have_passed_then_memory_holds_only_who_is_in_view() -> None:
    watcher = scene()
    for number in range(2000):
        body = Body(number, (300.0, 100.0))
        watcher.update(tracks([body], [number - 1]), instant(number * 0.5), SIZE)
    assert watcher._roster._capacity <= 64
    assert len(watcher._roster._slot_of) <= 10


def test_given_nobody_then_frames_are_counted_as_watched_all_the_same() -> None:
    watcher = scene()
    records: list[Record] = []
    for frame in range(601):
        records += watcher.update(Tracks.empty(), instant(frame / 10), SIZE)
    assert [record.body.volume for record in records] == [0, 0]  # type: ignore[union-attr]
    assert records[0].body.quality.watched == 1.0  # type: ignore[union-attr]


def test_footprints_over_tells_a_slanted_line_from_its_bounding_box() -> None:
    boxes = np.array(
        [[0.0, 0.0, 10.0, 10.0], [80.0, 0.0, 90.0, 20.0], [45.0, 40.0, 55.0, 52.0], [200.0, 0.0, 210.0, 9.0]]
    )
    lines = np.array([[[0.0, 0.0], [100.0, 100.0]]])
    assert footprints_over(boxes, lines)[:, 0].tolist() == [True, False, True, False]


def test_given_it_drives_out_of_the_picture_before_a_line_at_its_edge_then_nothing() -> None:
    edge = {"name": "edge", "points": [(630, 100), (630, 400)]}
    leaving = straight((300, 250), (619, 250), 30)
    assert volumes(run(scene(edge), path(1, leaving) + [[]] * 50), "edge") == (0, 0)


def test_given_two_vanish_at_two_places_right_before_the_line_then_both_count() -> None:
    walks = [path(track, straight((x, 100), (x, 236), frames)) for track, x, frames in ((1, 200, 30), (2, 440, 34))]
    assert volumes(run(scene(), [*together(*walks), *[[]] * 50])) == (2, 0)
