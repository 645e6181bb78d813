from __future__ import annotations

import itertools

import pytest

from agent.clock import Instant
from agent.scene.intervals import MOST_MISSED, Closed, Timetable
from tests.fakes.clock import START_UTC_S, ManualClock


def watch(table: Timetable, clock: ManualClock, seconds_s: float, fps: float = 10.0) -> list[Closed]:
    closed: list[Closed] = []
    for _ in range(round(seconds_s * fps)):
        clock.advance(1 / fps)
        closed += table.see(clock.now())
    return closed


def spans(closed: list[Closed]) -> list[tuple[float, float]]:
    return [(each.interval.start - START_UTC_S, each.interval.end - START_UTC_S) for each in closed]


def assert_lines_up(closed: list[Closed]) -> None:
    for before, after in itertools.pairwise(closed):
        assert before.interval.end == after.interval.start


def test_given_steady_frames_then_intervals_are_whole_valid_and_on_the_wall_clock() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 181)
    assert spans(closed) == [(0, 60), (60, 120), (120, 180)]
    assert [each.interval.partial for each in closed] == [True, False, False]
    assert closed[0].quality.reasons == ("starting",)
    assert [each.quality.valid for each in closed] == [True, True, True]
    assert closed[1].quality.watched == 1.0
    assert closed[1].quality.detect_fps == pytest.approx(10, abs=0.1)
    assert closed[1].quality.reasons == ()


def test_given_a_start_in_the_middle_then_the_first_interval_is_partial_and_not_valid() -> None:
    clock, table = ManualClock(START_UTC_S + 30), Timetable(60)
    (first,) = watch(table, clock, 31)
    assert spans([first]) == [(0, 60)]
    assert first.interval.partial
    assert not first.quality.valid
    assert first.quality.watched == pytest.approx(0.5, abs=0.01)


def test_given_five_frames_a_second_then_valid_but_flagged() -> None:
    clock, table = ManualClock(), Timetable(60)
    second = watch(table, clock, 121, fps=5)[1]
    assert second.quality.valid
    assert second.quality.reasons == ("low_rate",)


def test_given_two_frames_a_second_then_not_valid() -> None:
    clock, table = ManualClock(), Timetable(60)
    second = watch(table, clock, 121, fps=2)[1]
    assert not second.quality.valid
    assert second.quality.watched == 1.0


def test_given_frames_too_far_apart_then_nothing_was_watched() -> None:
    clock, table = ManualClock(), Timetable(60)
    second = watch(table, clock, 122, fps=0.5)[1]
    assert second.watched_s == 0
    assert second.quality.detect_fps is None
    assert not second.quality.valid


def test_given_a_gap_in_the_frames_then_its_time_is_not_watched() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 70)
    clock.advance(20)
    closed += watch(table, clock, 31)
    assert closed[1].quality.watched == pytest.approx(40 / 60, abs=0.01)
    assert not closed[1].quality.valid


def test_given_no_frames_then_ticks_close_intervals_a_moment_late_with_the_reason() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 59.9)
    closed: list[Closed] = []
    while not closed:
        clock.advance(1)
        table.note("camera_lost")
        closed = table.tick(clock.now())
    assert clock.now().utc_s - START_UTC_S == pytest.approx(62, abs=1)
    assert "camera_lost" in closed[0].quality.reasons
    assert closed[0].quality.watched == pytest.approx(59.8 / 60, abs=0.01)


def test_given_a_frame_after_the_end_then_the_last_gap_is_split_between_both_intervals() -> None:
    clock, table = ManualClock(START_UTC_S + 0.05), Timetable(60)
    closed = watch(table, clock, 121)
    assert closed[1].watched_s == pytest.approx(60, abs=1e-6)


def test_given_the_process_slept_then_missed_intervals_come_one_by_one() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 30)
    clock.advance(600)
    closed += watch(table, clock, 91)
    assert_lines_up(closed)
    missed = [each for each in closed if each.watched_s == 0]
    assert len(missed) == 9
    assert all(each.quality.reasons == ("overloaded",) and not each.quality.valid for each in missed)
    assert closed[-1].interval.partial is False or closed[-1].quality.watched < 1


def test_given_a_lost_camera_then_missed_intervals_say_so() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 30)
    table.note("camera_lost")
    clock.advance(300)
    closed = table.tick(clock.now())
    assert_lines_up(closed)
    assert all("camera_lost" in each.quality.reasons for each in closed)


def test_given_a_very_long_absence_then_it_is_one_long_interval() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 61)
    clock.advance((MOST_MISSED + 10) * 60.0)
    closed = table.see(clock.now())
    assert_lines_up(closed)
    assert len(closed) == 2
    assert closed[1].interval.end % 60 == 0


def test_given_the_clock_jumps_forward_then_what_it_jumped_over_is_marked() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 90)
    clock.step_utc(3600)
    closed += watch(table, clock, 121)
    assert_lines_up(closed)
    assert "clock_stepped" in closed[1].quality.reasons
    assert not closed[1].quality.valid
    assert sum(each.quality.reasons == ("clock_stepped",) and each.watched_s == 0 for each in closed) == 59


def test_given_the_clock_is_set_back_a_little_then_the_interval_goes_on_until_it_is_caught_up() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 61)
    clock.step_utc(-120)
    closed += watch(table, clock, 240)
    assert_lines_up(closed)
    assert spans(closed)[:2] == [(0, 60), (60, 120)]
    assert not closed[1].quality.valid
    assert closed[1].quality.watched == 1.0
    assert "clock_stepped" in closed[1].quality.reasons
    assert closed[2].quality.valid


def test_given_the_clock_is_set_back_a_day_then_a_new_series_begins() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 61)
    clock.step_utc(-86_400)
    closed = watch(table, clock, 121)
    assert spans(closed)[0] == (60, 120)
    assert_lines_up(closed[1:])
    assert closed[1].interval.start == START_UTC_S + 60 - 86_400
    assert "clock_stepped" in closed[1].quality.reasons


def test_given_the_clock_could_not_be_trusted_and_is_set_then_times_move_to_the_new_clock() -> None:
    clock, table = ManualClock(synced=False), Timetable(60)
    closed = watch(table, clock, 90)
    assert "clock_unset" in closed[0].quality.reasons
    clock.step_utc(1_000_000.0)
    clock.set_synced(synced=True)
    set_at_s = clock.now().utc_s
    closed = watch(table, clock, 61)
    assert closed[0].interval.end == pytest.approx(set_at_s, abs=0.11)
    assert closed[0].interval.start == pytest.approx(set_at_s - 30, abs=0.11)
    assert closed[0].interval.partial
    assert_lines_up(closed)
    assert closed[1].interval.end % 60 == 0


def test_given_a_small_correction_when_the_clock_becomes_trusted_then_nothing_is_cut() -> None:
    clock, table = ManualClock(synced=False), Timetable(60)
    watch(table, clock, 30)
    clock.set_synced(synced=True)
    assert spans(watch(table, clock, 31)) == [(0, 60)]


def test_given_a_stop_then_the_open_interval_is_cut_and_the_next_process_goes_on_there() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 90)
    cut = table.cut(clock.now())
    assert rounded(cut) == [(60, 90)]
    assert cut[0].interval.partial
    assert "stopping" in cut[0].quality.reasons
    clock.advance(151)
    again = Timetable(60, table.state())
    closed = again.see(clock.now())
    assert_lines_up(cut + closed)
    assert closed[0].interval.partial
    assert closed[0].quality.reasons == ("starting",)
    assert closed[-1].interval.end - START_UTC_S == 240


def test_given_a_stop_at_once_then_nothing_is_cut() -> None:
    clock, table = ManualClock(), Timetable(60)
    assert table.cut(clock.now()) == []


def test_given_a_crash_then_the_open_interval_goes_on_with_what_was_watched() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 30)
    again = Timetable(60, table.state())
    clock.advance(10)
    (closed,) = watch(again, clock, 20.1)
    assert spans([closed]) == [(0, 60)]
    assert closed.quality.watched == pytest.approx(50 / 60, abs=0.01)
    assert closed.interval.partial


def test_given_a_restart_with_the_clock_behind_then_it_is_waited_for() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 61)
    again = Timetable(60, table.state())
    clock.step_utc(-100)
    closed = watch(again, clock, 161)
    assert spans(closed)[0] == (60, 120)
    assert "clock_stepped" in closed[0].quality.reasons


def test_given_another_length_after_a_restart_then_the_first_interval_fills_up_to_its_boundary() -> None:
    clock, table = ManualClock(), Timetable(60)
    watch(table, clock, 61)
    again = Timetable(300, table.state())
    closed = watch(again, clock, 300)
    assert spans(closed) == [(60, 300)]


def test_given_no_time_yet_then_a_state_that_was_never_fed_is_like_none() -> None:
    again = Timetable(60, Timetable(60).state())
    assert again.see(Instant(0.0, START_UTC_S)) == []


def test_given_it_was_never_told_the_time_then_it_refuses_to_close() -> None:
    with pytest.raises(RuntimeError, match="told the time"):
        Timetable(60)._opened()


def rounded(closed: list[Closed], moved_s: float = 0.0) -> list[tuple[float, float]]:
    return [(round(start + moved_s, 1), round(end + moved_s, 1)) for start, end in spans(closed)]


def starts_late(behind_s: float) -> tuple[list[Closed], list[tuple[float, float]]]:
    """Watched for 20 s; 15 minutes later the machine starts on a clock that is behind, and set after 20 s.

    Returns what was told on a clock that was set, and all times once those of before are corrected, in their order.
    """
    clock, table = ManualClock(START_UTC_S), Timetable(60, machine="first")
    watch(table, clock, 20)
    closed = table.cut(clock.now())
    clock.advance(900)
    clock.step_utc(-behind_s)
    clock.set_synced(synced=False)
    table = Timetable(60, table.state(), machine="second")
    unset = watch(table, clock, 20)
    clock.step_utc(behind_s)
    clock.set_synced(synced=True)
    closed += watch(table, clock, 70)
    return closed, sorted(rounded(closed) + rounded(unset, behind_s))


@pytest.mark.parametrize("behind_s", [43 * 60.0, 100.0, 0.4, -3000.0])
def test_given_a_start_on_a_wrong_clock_then_the_time_away_is_told_once_it_is_set(behind_s: float) -> None:
    closed, times = starts_late(behind_s)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(times))
    away = [each for each in closed if each.watched_s == 0]
    assert rounded(away[:2]) == [(20, 60), (60, 120)]
    assert rounded(away[-1:]) in ([(900, 920.1)], [(900, 920)])
    assert [each.interval.partial for each in away] == [True, *[False] * 14, True]
    assert all(not each.quality.valid and each.quality.reasons == ("starting",) for each in away)


def test_given_a_clock_set_while_it_was_doubted_then_what_it_jumped_over_is_told() -> None:
    clock, table = ManualClock(), Timetable(60)
    closed = watch(table, clock, 90)
    clock.set_synced(synced=False)
    watch(table, clock, 10)
    clock.step_utc(100)
    clock.set_synced(synced=True)
    closed += sorted(watch(table, clock, 45), key=lambda each: each.interval.start)
    assert_lines_up(closed)
    assert spans(closed)[1:3] == [(60, 120), (120, 160)]
    assert {each.quality.reasons for each in closed[1:3]} == {("clock_stepped",)}


def test_given_what_was_told_lies_ahead_of_the_clock_once_set_then_it_is_waited_for() -> None:
    clock, table = ManualClock(), Timetable(60, machine="first")
    closed = watch(table, clock, 90)
    closed += table.cut(clock.now())
    clock.set_synced(synced=False)
    clock.step_utc(-70)
    table = Timetable(60, table.state(), machine="second")
    closed += watch(table, clock, 5)
    clock.set_synced(synced=True)
    closed += watch(table, clock, 100)
    assert_lines_up(closed)
    assert closed[-1].interval.end == START_UTC_S + 120
    assert "clock_stepped" in closed[-1].quality.reasons


def test_given_nobody_ever_set_the_clock_and_a_new_start_is_on_a_dead_one_then_nothing_is_said_of_the_old_series() -> (
    None
):
    clock, table = ManualClock(synced=False), Timetable(60, machine="first")
    watch(table, clock, 90)
    clock.step_utc(-86_400)
    table = Timetable(60, table.state(), machine="second")
    (first,) = watch(table, clock, 31)
    assert first.interval.end == START_UTC_S + 120 - 86_400


def test_given_nobody_set_the_clock_before_the_next_start_then_the_time_since_the_last_trusted_is_missed() -> None:
    clock, table = ManualClock(), Timetable(60, machine="first")
    watch(table, clock, 20)
    closed = table.cut(clock.now())
    clock.set_synced(synced=False)
    clock.step_utc(-1000)
    table = Timetable(60, table.state(), machine="second")
    watch(table, clock, 300)
    clock.step_utc(1000)
    clock.set_synced(synced=True)
    table = Timetable(60, table.state(), machine="third")
    closed += watch(table, clock, 60)
    assert_lines_up(closed)
    assert rounded(closed)[1] == (20, 60)


def test_given_a_power_cut_and_a_wrong_clock_then_what_was_watched_before_is_told_with_what_was_counted() -> None:
    clock, table = ManualClock(), Timetable(60, machine="first")
    watch(table, clock, 20)
    clock.set_synced(synced=False)
    clock.step_utc(-1000)
    table = Timetable(60, table.state(), machine="second")
    watch(table, clock, 10)
    again = Timetable(60, table.state(), machine="second")
    clock.step_utc(1100)
    clock.set_synced(synced=True)
    first, *_ = watch(again, clock, 0.1)
    assert first.watched_s == pytest.approx(29.8, abs=0.2)
    assert first.quality.watched == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("synced", [False, True])
def test_given_no_clock_was_ever_set_then_the_next_start_goes_on_where_the_last_one_ended(synced: bool) -> None:  # noqa: FBT001 - a parameter of the test
    clock, table = ManualClock(synced=False), Timetable(60, machine="first")
    closed = watch(table, clock, 90)
    clock.advance(100)
    clock.set_synced(synced=synced)
    table = Timetable(60, table.state(), machine="second")
    closed += watch(table, clock, 60)
    assert_lines_up(closed)
    assert spans(closed)[-1] == (180, 240)
