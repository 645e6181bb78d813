"""The pure parts: back-off, timeline, freshness, pace and stillness."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.video.backoff import Backoff
from agent.video.freshness import CATCH_UP_S, SETTLE_S, Freshness, Verdict
from agent.video.pace import Pace
from agent.video.stillness import Stillness
from agent.video.timeline import Timeline, usable_fps

FRESH, STALE, HOPELESS = Verdict.FRESH, Verdict.STALE, Verdict.HOPELESS


def test_the_first_retry_is_quick_and_each_next_one_slower_up_to_the_cap() -> None:
    delays = [Backoff().delay_s(failures, 1.0) for failures in range(1, 9)]
    assert delays[0] == 0.25
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays[4:] == [2.5] * 4


@given(failures=st.integers(1, 100_000), chance=st.floats(0, 1))
def test_no_delay_is_longer_than_the_cap_or_shorter_than_half_the_first(failures: int, chance: float) -> None:
    assert 0.125 <= Backoff().delay_s(failures, chance) <= 2.5


def test_a_timeline_takes_the_file_s_own_times() -> None:
    timeline = Timeline(25)
    assert [timeline.place(raw) for raw in (0.0, 0.1, 0.35)] == [0.0, 0.1, 0.35]
    assert timeline.end_s == pytest.approx(0.39)


def test_a_file_without_times_is_spaced_by_its_rate() -> None:
    timeline = Timeline(10)
    assert timeline.end_s == 0.0
    assert [timeline.place(0.0) for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_time_that_repeats_or_is_no_number_moves_on_by_one_period() -> None:
    timeline = Timeline(10)
    times = [timeline.place(raw) for raw in (math.nan, 0.5, 0.5, math.inf, 0.9)]
    assert times == pytest.approx([0.0, 0.5, 0.6, 0.7, 0.9])


def test_times_that_begin_anew_in_the_middle_go_on_where_they_were() -> None:
    timeline = Timeline(10)
    assert [timeline.place(raw) for raw in (5.0, 5.1, 0.1, 0.2, 0.5)] == pytest.approx([5.0, 5.1, 5.2, 5.3, 5.6])


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50), st.floats(allow_nan=True))
def test_times_always_rise(raws: list[float], fps: float) -> None:
    timeline = Timeline(fps)
    times = [timeline.place(raw) for raw in raws if not math.isfinite(raw) or abs(raw) < 1e9]
    assert all(early < late for early, late in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("fps", "usable"), [(12.5, 12.5), (0, 25), (-1, 25), (math.nan, 25), (90_000, 25), (1e-300, 25)]
)
def test_an_absurd_rate_becomes_25(fps: float, usable: float) -> None:
    assert usable_fps(fps) == usable


def verdicts(freshness: Freshness, *arrivals: tuple[float, float]) -> list[Verdict]:
    return [freshness.judge(arrival_s, pts_s).verdict for arrival_s, pts_s in arrivals]


def settled() -> Freshness:
    """A stream at ten pictures a second that is at its live edge at second 100, pts 10."""
    freshness = Freshness()
    verdicts(freshness, (99.9, 9.9), (100.0, 10.0))
    return freshness


def test_the_burst_after_opening_is_stale_and_the_first_picture_that_was_waited_for_is_fresh() -> None:
    burst = [(50 + 0.001 * number, 0.1 * number) for number in range(20)]
    assert verdicts(Freshness(), *burst, (50.12, 2.0)) == [STALE] * 20 + [FRESH]


def test_a_burst_that_never_ends_is_believed_after_a_while() -> None:
    freshness = Freshness()
    many = [freshness.judge(0.05 * number, 0.1 * number).verdict for number in range(100)]
    assert many.index(FRESH) == pytest.approx(SETTLE_S / 0.05, abs=1)


def test_a_steady_stream_is_fresh_and_its_lag_is_that_of_the_network() -> None:
    freshness = settled()
    assert freshness.judge(100.13, 10.1).lag_s == pytest.approx(0.03, abs=1e-3)
    assert freshness.judge(100.2, 10.2).verdict is FRESH


def test_pictures_that_waited_through_a_freeze_are_stale_until_the_stream_has_caught_up() -> None:
    freshness = settled()
    after = [(102.5 + 0.001 * number, 10.1 + 0.1 * number) for number in range(24)]
    found = verdicts(freshness, *after)
    assert found[:14] == [STALE] * 14
    assert found[-8:] == [FRESH] * 8


def test_a_stream_that_stays_behind_after_a_freeze_is_hopeless() -> None:
    freshness = settled()
    after = [(105 + 0.1 * number, 10.1 + 0.1 * number) for number in range(40)]
    found = verdicts(freshness, *after)
    assert FRESH not in found
    assert found.index(HOPELESS) == pytest.approx(CATCH_UP_S / 0.1, abs=1)


def test_a_sender_whose_clock_runs_at_the_wrong_rate_stays_fresh() -> None:
    freshness = settled()
    assert set(verdicts(freshness, *[(100 + 0.1 * n, 10 + 0.04 * n) for n in range(1, 300)])) == {FRESH}


def test_a_sender_whose_clock_drifts_for_a_week_stays_fresh() -> None:
    freshness = settled()
    found = [freshness.judge(100 + 0.9 * n, 10 + 0.9 * n * (1 - 1e-4)) for n in range(1, 50_000)]
    assert {judgement.verdict for judgement in found} == {FRESH}
    assert max(judgement.lag_s for judgement in found) < 0.01


@pytest.mark.parametrize("pts_s", [0.0, 500.0])
def test_a_clock_that_the_sender_sets_anew_starts_everything_over(pts_s: float) -> None:
    freshness = settled()
    assert verdicts(freshness, (100.1, pts_s), (100.101, pts_s + 0.1), (100.2, pts_s + 0.2)) == [STALE, STALE, FRESH]


def test_without_timestamps_what_comes_after_a_silence_in_one_go_is_stale() -> None:
    freshness = Freshness()
    assert verdicts(freshness, (0.0, 0), (0.001, 0), (0.1, 0), (0.2, 0)) == [STALE, STALE, FRESH, FRESH]
    assert verdicts(freshness, (3.0, 0), (3.001, 0), (3.1, 0)) == [STALE, STALE, FRESH]


def test_a_slow_camera_without_timestamps_is_fresh_all_the_time() -> None:
    freshness = Freshness()
    assert verdicts(freshness, *[(2.0 * n, 0) for n in range(6)]) == [STALE] + [FRESH] * 5


def grey(shade: int) -> np.ndarray:
    return np.full((48, 64, 3), shade, np.uint8)


def test_pictures_that_stay_the_same_for_longer_than_allowed_are_still() -> None:
    stillness = Stillness(5.0)
    assert [stillness.update(grey(1), at) for at in (0.0, 2.5, 5.0, 5.1, 9.0)] == [False, False, False, True, True]
    assert not stillness.update(grey(2), 9.1)


def test_one_changed_pixel_outside_the_sample_is_a_new_picture() -> None:
    stillness = Stillness(1.0)
    moved = grey(1)
    moved[7, 7, 1] = 2
    assert [stillness.update(grey(1), 0.0), stillness.update(moved, 2.0)] == [False, False]


def test_a_new_size_is_a_new_picture_and_zero_seconds_switch_the_watch_off() -> None:
    stillness = Stillness(1.0)
    stillness.update(grey(1), 0.0)
    assert not stillness.update(np.full((24, 64, 3), 1, np.uint8), 2.0)
    off = Stillness(0)
    assert [off.update(grey(1), at) for at in (0.0, 100.0)] == [False, False]


def taken(max_fps: float | None, arrivals_s: list[float]) -> list[float]:
    pace = Pace(max_fps)
    return [arrival_s for arrival_s in arrivals_s if pace.wants(arrival_s)]


def every(period_s: float, span_s: float = 10.0, jitter_s: float = 0.0) -> list[float]:
    return [n * period_s + jitter_s * (n % 3 - 1) for n in range(round(span_s / period_s))]


@pytest.mark.parametrize("fps", [11, 12.5, 15, 20, 25, 30, 60])
def test_a_camera_that_is_too_fast_gives_just_the_wanted_rate(fps: float) -> None:
    used = taken(10, every(1 / fps))
    assert len(used) == pytest.approx(100, abs=1)
    assert max(late - early for early, late in itertools.pairwise(used)) <= 0.1 + 1 / fps + 1e-9


def test_a_camera_at_the_wanted_rate_or_slower_loses_nothing_to_jitter() -> None:
    assert len(taken(10, every(0.1, jitter_s=0.01))) == 100
    assert len(taken(10, every(0.2, jitter_s=0.01))) == 50
    assert len(taken(None, every(0.01))) == 1000


def test_a_gap_is_followed_by_no_burst() -> None:
    used = taken(10, [*every(0.04, 2.0), *(30 + late_s for late_s in every(0.04, 2.0))])
    assert len([at_s for at_s in used if 30 <= at_s < 31]) <= 11


def test_however_seldom_pictures_are_wanted_there_are_two_a_second() -> None:
    assert len(taken(0.01, every(0.04))) == pytest.approx(20, abs=1)
