"""The box filter: uneven steps, hidden parts, perspective, and what happens while nothing is seen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from agent.vision.kalman import Array, Beliefs, begin, correct, measurement_noise, predict
from agent.vision.tracker_options import TrackerOptions

OPTIONS = TrackerOptions()
SEEN = np.zeros(1)


def box(x: float, y: float, width: float = 40.0, height: float = 40.0) -> Array:
    return np.array([[x, y, width, height]])


def look(beliefs: Beliefs, measured: Array) -> Beliefs:
    return correct(beliefs, measured, measurement_noise(beliefs.sizes(), OPTIONS))


def driven(times_s: list[float], speed_px_s: float) -> Beliefs:
    beliefs = begin(box(0.0, 100.0), OPTIONS)
    for before, now in itertools.pairwise(times_s):
        beliefs = look(predict(beliefs, now - before, SEEN, OPTIONS), box(speed_px_s * now, 100.0))
    return beliefs


def test_given_uneven_steps_when_a_box_moves_steadily_then_its_speed_in_pixels_a_second_is_found() -> None:
    beliefs = driven([0.0, 0.1, 0.15, 0.4, 0.45, 0.7, 0.72, 1.0, 1.3], 120.0)
    assert beliefs.rate[0, 0] == pytest.approx(120.0, rel=0.03)
    assert beliefs.rate[0, 1] == pytest.approx(0.0, abs=1.0)


def test_given_steady_size_when_one_step_is_cut_in_two_then_the_belief_is_the_same() -> None:
    beliefs = driven([0.0, 0.1, 0.2, 0.3], 80.0)
    once = predict(beliefs, 0.5, SEEN, OPTIONS)
    twice = predict(predict(beliefs, 0.2, SEEN, OPTIONS), 0.3, SEEN, OPTIONS)
    for column in ("place", "rate", "place_var", "covariance", "rate_var"):
        np.testing.assert_allclose(getattr(once, column), getattr(twice, column), rtol=1e-9, atol=1e-9)


def test_given_a_step_of_no_time_then_nothing_changes() -> None:
    beliefs = driven([0.0, 0.1, 0.2], 80.0)
    same = predict(beliefs, 0.0, SEEN, OPTIONS)
    np.testing.assert_array_equal(same.place, beliefs.place)
    np.testing.assert_array_equal(same.place_var, beliefs.place_var)


def test_given_nothing_is_seen_then_a_box_runs_no_further_than_steady_and_damping_allow() -> None:
    beliefs = driven([0.0, 0.1, 0.2, 0.3, 0.4], 200.0)
    speed, start = beliefs.rate[0, 0], beliefs.place[0, 0]
    unseen = 0.0
    for _ in range(600):
        beliefs = predict(beliefs, 0.1, np.array([unseen]), OPTIONS)
        unseen += 0.1
    assert beliefs.place[0, 0] - start == pytest.approx(speed * (OPTIONS.steady_s + OPTIONS.damping_s), rel=1e-6)
    assert beliefs.rate[0, 0] == pytest.approx(0.0, abs=1e-6)


def test_given_nothing_is_seen_then_doubt_about_the_place_only_grows() -> None:
    beliefs, doubts, unseen = driven([0.0, 0.1, 0.2], 50.0), [], 0.0
    for _ in range(30):
        doubts.append(float(beliefs.place_var[0, 0]))
        beliefs = predict(beliefs, 0.1, np.array([unseen]), OPTIONS)
        unseen += 0.1
    assert all(later > earlier for earlier, later in itertools.pairwise(doubts))


def test_given_the_lower_half_is_hidden_at_once_then_the_centre_moves_by_less_than_half_of_what_it_seems() -> None:
    beliefs = begin(box(100.0, 100.0, 40.0, 80.0), OPTIONS)
    for _ in range(10):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(100.0, 100.0, 40.0, 80.0))
    half = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(100.0, 80.0, 40.0, 40.0))
    assert abs(half.place[0, 1] - 100.0) < 10.0
    assert half.place[0, 3] > 70.0


def test_given_the_size_was_believed_wrongly_then_it_is_mended_within_a_second() -> None:
    beliefs = begin(box(100.0, 100.0, 40.0, 80.0), OPTIONS)
    for _ in range(10):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(100.0, 100.0, 40.0, 80.0))
    for _ in range(10):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(100.0, 100.0, 40.0, 40.0))
    assert beliefs.place[0, 3] == pytest.approx(40.0, abs=6.0)


def test_given_a_small_change_of_size_then_it_is_believed() -> None:
    beliefs = begin(box(100.0, 100.0), OPTIONS)
    for _ in range(20):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(100.0, 100.0, 42.0, 42.0))
    assert beliefs.place[0, 2] == pytest.approx(42.0, abs=0.2)


def approaching(at_s: float) -> Array:
    """A car that comes nearer at 10 m/s from 40 m, focal length 1000 px, camera 6 m up, horizon at y = 0."""
    z = 40.0 - 10.0 * at_s
    return box(640.0, 6000.0 / z - 750.0 / z, 1800.0 / z, 1500.0 / z)


def test_given_a_car_comes_nearer_then_perspective_is_foreseen_better_than_a_straight_line_would() -> None:
    beliefs = begin(approaching(0.0), OPTIONS)
    for step in range(1, 21):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), approaching(step * 0.1))
    foreseen = predict(beliefs, 0.8, SEEN, OPTIONS)
    straight = beliefs.place + 0.8 * beliefs.rate
    truth = approaching(2.8)
    assert abs(foreseen.place[0, 1] - truth[0, 1]) < 0.7 * abs(straight[0, 1] - truth[0, 1])
    assert foreseen.rate[0, 1] > beliefs.rate[0, 1]


def test_given_a_box_grows_on_one_side_only_then_no_perspective_is_assumed_and_hidden_it_keeps_its_shape() -> None:
    beliefs = begin(box(10.0, 100.0, 20.0, 40.0), OPTIONS)
    for step in range(1, 11):
        beliefs = look(predict(beliefs, 0.1, SEEN, OPTIONS), box(10.0 + 3.0 * step, 100.0, 20.0 + 6.0 * step, 40.0))
    hidden = predict(beliefs, 1.0, np.array([0.1]), OPTIONS)
    np.testing.assert_allclose(hidden.place[:, 2:], beliefs.place[:, 2:])


def test_given_a_box_shrinks_for_long_then_it_never_vanishes() -> None:
    beliefs = Beliefs(box(0.0, 0.0, 2.0, 2.0), np.array([[0.0, 0.0, -50.0, -50.0]]), *np.ones((3, 1, 4)))
    later = predict(beliefs, 1.0, SEEN, OPTIONS)
    assert (later.place[:, 2:] >= 1.0).all()
    assert (correct(later, box(0.0, 0.0, 0.01, 0.01), np.ones(1)).place[:, 2:] >= 1.0).all()


def test_given_beliefs_then_no_step_changes_what_it_was_handed() -> None:
    beliefs = driven([0.0, 0.1, 0.2], 50.0)
    before = [column.copy() for column in (beliefs.place, beliefs.rate, beliefs.place_var)]
    look(predict(beliefs, 0.3, np.array([2.0]), OPTIONS), box(50.0, 50.0))
    for column, copy in zip((beliefs.place, beliefs.rate, beliefs.place_var), before, strict=True):
        np.testing.assert_array_equal(column, copy)


def test_given_no_boxes_then_every_step_gives_no_boxes() -> None:
    nothing = predict(Beliefs.none(), 0.1, np.zeros(0), OPTIONS)
    assert len(nothing) == 0
    assert len(correct(nothing, np.zeros((0, 4)), np.zeros(0))) == 0


def test_given_a_tiny_box_then_its_noise_has_a_floor_in_pixels() -> None:
    noise = measurement_noise(np.array([2.0, 500.0]), OPTIONS)
    assert noise[0] == OPTIONS.place_floor_px
    assert noise[1] == pytest.approx(500.0 * OPTIONS.place_noise)
