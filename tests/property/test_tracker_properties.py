"""What holds of every tracker whatever it is shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.values import Detections, Tracks
from agent.vision.tracker import Tracker, TrackerOptions

Frame = tuple[float, Detections]


@st.composite
def videos(draw: st.DrawFn) -> list[Frame]:
    """Some seconds of a few moving things, with misses, false detections and uneven times.

    Places are whole pixels, so that shifting them changes no rounding of the input.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    things = draw(st.integers(0, 6))
    start, speed = rng.integers(0, 800, (things, 2)), rng.integers(-150, 150, (things, 2))
    size, kind = rng.integers(10, 80, (things, 2)), rng.integers(0, 7, things)
    miss = draw(st.sampled_from([0.0, 0.2, 0.5]))
    false = draw(st.sampled_from([0.0, 0.5]))
    at_s, frames = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.sampled_from([0.0, 0.04, 0.1, 0.125, 0.5, 4.0]) if rng.random() < 0.2 else st.just(0.1))
        kept = np.flatnonzero(rng.random(things) >= miss)
        corner = np.rint(start + speed * at_s + rng.normal(0, 1, (things, 2)))[kept]
        boxes = np.concatenate([corner, corner + size[kept]], axis=1)
        extra = rng.integers(0, 800, (int(rng.poisson(false)), 2))
        boxes = np.concatenate([boxes, np.concatenate([extra, extra + 30], axis=1)])
        scores = rng.uniform(0.05, 1.0, len(boxes))
        kinds = np.concatenate([kind[kept], rng.integers(0, 7, len(extra))])
        frames.append((at_s, Detections(boxes.astype(np.float32), scores.astype(np.float32), kinds.astype(np.int64))))
    return frames


def run(frames: list[Frame], options: TrackerOptions | None = None) -> list[Tracks]:
    tracker = Tracker(options)
    return [*(tracker.update(detections, at_s) for at_s, detections in frames), tracker.finish()]


def same(one: Tracks, other: Tracks) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in Tracks.__slots__)


@given(videos())
@settings(max_examples=60, deadline=None)
def test_given_any_video_then_numbers_are_unique_end_once_and_never_return(frames: list[Frame]) -> None:
    alive: set[int] = set()
    over: set[int] = set()
    for shown in run(frames):
        numbers, ended = shown.ids.tolist(), shown.ended.tolist()
        assert len(set(numbers)) == len(numbers)
        assert numbers == sorted(numbers)
        assert all(number > 0 for number in numbers)
        assert not set(numbers) & over
        assert len(set(ended)) == len(ended)
        assert set(ended) <= alive
        assert alive - set(ended) <= set(numbers)
        over |= set(ended)
        alive = set(numbers)
    assert not alive


@given(videos())
@settings(max_examples=40, deadline=None)
def test_given_any_video_then_every_column_is_finite_and_of_the_promised_shape_and_type(frames: list[Frame]) -> None:
    for shown in run(frames):
        count = len(shown)
        assert shown.boxes.shape == (count, 4)
        assert shown.velocities.shape == (count, 2)
        assert (shown.boxes.dtype, shown.scores.dtype, shown.velocities.dtype) == (np.float32,) * 3
        assert (shown.ids.dtype, shown.classes.dtype, shown.ended.dtype) == (np.int64,) * 3
        assert shown.observed.dtype == np.bool_
        assert np.isfinite(shown.boxes).all()
        assert np.isfinite(shown.velocities).all()
        assert (shown.boxes[:, 2:] > shown.boxes[:, :2]).all()


@given(videos())
@settings(max_examples=40, deadline=None)
def test_given_the_same_video_twice_then_the_tracks_are_the_same_to_the_bit(frames: list[Frame]) -> None:
    assert all(same(one, other) for one, other in zip(run(frames), run(frames), strict=True))


@given(videos(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_given_detections_in_another_order_then_the_tracks_are_the_same_to_the_bit(
    frames: list[Frame], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mixed = [(at_s, detections.select(rng.permutation(len(detections)))) for at_s, detections in frames]
    assert all(same(one, other) for one, other in zip(run(frames), run(mixed), strict=True))


@given(videos(), st.integers(-500, 500), st.integers(-500, 500))
@settings(max_examples=60, deadline=None)
def test_given_the_whole_picture_is_shifted_then_the_tracks_are_only_shifted(
    frames: list[Frame], right: int, down: int
) -> None:
    shift = np.array([right, down, right, down], np.float32)
    moved = [(at_s, Detections(seen.boxes + shift, seen.scores, seen.classes)) for at_s, seen in frames]
    for one, other in zip(run(frames), run(moved), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.ended, other.ended)
        np.testing.assert_array_equal(one.classes, other.classes)
        np.testing.assert_allclose(one.boxes + shift, other.boxes, atol=0.01)


@given(videos(), st.floats(-1e6, 1e6))
@settings(max_examples=30, deadline=None)
def test_given_a_clock_that_starts_elsewhere_then_the_numbers_are_the_same(frames: list[Frame], start_s: float) -> None:
    # Eighths of a second and a whole start keep every difference of times exact.
    eighths = [(round(at_s * 8) / 8, seen) for at_s, seen in frames]
    later = [(at_s + round(start_s), seen) for at_s, seen in eighths]
    for one, other in zip(run(eighths), run(later), strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)


@given(videos(), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_given_any_video_then_the_tracker_never_holds_more_than_it_may(frames: list[Frame], most: int) -> None:
    tracker = Tracker(TrackerOptions(max_tracks=most))
    for at_s, detections in frames:
        tracker.update(detections, at_s)
        assert tracker.held <= most
