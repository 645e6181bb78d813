"""Fair shares of one detector."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.vision.scheduler import FairShare


def drive(
    share: FairShare, cameras: Sequence[str], *, cost_s: float, until_s: float, start_s: float = 0.0, limit: int = 1
) -> dict[str, int]:
    """A detector that takes ``cost_s`` a run, with a fresh frame of every camera always waiting."""
    counts = dict.fromkeys(cameras, 0)
    now_s = start_s
    while now_s < until_s:
        chosen = share.next(cameras, now_s, limit)
        if not chosen:
            now_s += max(share.wait_s(cameras, now_s), 1e-4)
            continue
        now_s += cost_s
        for camera in chosen:
            share.done(camera, now_s)
            counts[camera] += 1
    return counts


def test_given_time_enough_when_driven_then_each_camera_gets_the_rate_it_asks_for() -> None:
    counts = drive(FairShare({"a": 10, "b": 4}), ["a", "b"], cost_s=0.01, until_s=20)

    assert counts["a"] == pytest.approx(200, abs=2)
    assert counts["b"] == pytest.approx(80, abs=2)


def test_given_too_little_time_when_driven_then_equal_cameras_get_equal_shares() -> None:
    counts = drive(FairShare(dict.fromkeys("abcd", 10)), list("abcd"), cost_s=0.1, until_s=20)

    assert max(counts.values()) - min(counts.values()) <= 2  # one more at the start, one less at the end
    assert sum(counts.values()) == pytest.approx(200, abs=2)


def test_given_too_little_time_when_driven_then_shares_follow_what_was_asked_and_none_starves() -> None:
    counts = drive(FairShare({"fast": 12, "slow": 3}), ["fast", "slow"], cost_s=0.2, until_s=60)

    assert counts["fast"] / counts["slow"] == pytest.approx(4, rel=0.15)


def test_given_a_batch_when_driven_then_several_cameras_are_served_in_one_run() -> None:
    share = FairShare(dict.fromkeys("abc", 10))

    assert share.next("abc", 0.0, limit=2) == ["a", "b"]
    assert share.next("abc", 0.01, limit=2) == ["c"]


def test_given_a_camera_that_was_away_when_it_returns_then_it_gets_no_burst() -> None:
    share = FairShare({"a": 10, "b": 10})
    drive(share, ["a"], cost_s=0.05, until_s=30)

    counts = drive(share, ["a", "b"], cost_s=0.1, start_s=30, until_s=40)

    assert abs(counts["a"] - counts["b"]) <= 2


def test_given_frames_a_little_too_often_when_driven_then_the_rate_is_met_on_average() -> None:
    share = FairShare({"a": 8})  # of a camera with 12.5 frames a second

    served = sum(bool(share.next(["a"], frame * 0.08)) for frame in range(250))

    assert served == pytest.approx(160, abs=2)


def test_given_no_camera_ready_when_asked_then_nothing_is_due() -> None:
    share = FairShare({"a": 10})

    assert share.next([], 0.0) == []
    assert share.wait_s([], 0.0) is None


def test_given_a_camera_just_served_when_asked_then_it_says_how_long_to_wait() -> None:
    share = FairShare({"a": 10})

    assert share.wait_s(["a"], 5.0) == 0
    share.next(["a"], 5.0)

    assert share.next(["a"], 5.01) == []
    assert share.wait_s(["a"], 5.01) == pytest.approx(0.09)


def test_given_detections_when_measured_then_the_rate_of_the_last_window_is_reported() -> None:
    share = FairShare({"a": 10, "b": 10}, window_s=5)
    drive(share, ["a"], cost_s=0.01, until_s=20)

    assert share.achieved_fps("a", 20.0) == pytest.approx(10, abs=0.5)
    assert share.achieved_fps("a", 22.5) == pytest.approx(5, abs=0.5)
    assert share.achieved_fps("a", 40.0) == 0
    assert share.achieved_fps("b", 20.0) is None


def test_given_a_camera_that_just_started_when_measured_then_no_rate_is_invented() -> None:
    share = FairShare({"a": 10})
    share.next(["a"], 100.0)

    assert share.achieved_fps("a", 100.5) is None
    assert share.achieved_fps("a", 101.5) == 0


def test_given_hours_of_work_when_measured_then_memory_stays_bounded() -> None:
    share = FairShare({"a": 10}, window_s=5)
    for step in range(10_000):
        share.done("a", step * 0.01)

    assert len(share._cameras["a"].done_s) <= 102


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_given_a_rate_that_is_none_when_made_then_the_camera_is_named(rate: float) -> None:
    with pytest.raises(ValueError, match="camera 'a' asks for"):
        FairShare({"a": rate})
