"""The board on which a live camera's reader leaves the newest picture and how it fares."""

from __future__ import annotations

import numpy as np
import pytest

from agent.clock import Instant
from agent.values import Frame
from agent.video.board import Board
from agent.video.source import Phase
from tests.fakes.clock import ManualClock


def frame_at(clock: ManualClock, number: int = 1) -> Frame:
    return Frame("gate", number, np.zeros((2, 2, 3), np.uint8), clock.now())


def board(clock: ManualClock) -> Board:
    return Board(clock, stall_s=3.0, max_age_s=1.0, on_frame=lambda: None)


@pytest.mark.parametrize("phase", [Phase.LOST, Phase.FROZEN])
def test_a_picture_from_before_the_trouble_is_not_handed_out_in_it(phase: Phase) -> None:
    clock = ManualClock()
    told = board(clock)
    told.put(frame_at(clock))
    told.fail(phase, "gone")
    assert told.take(0.0) is None
    assert told.state().dropped == 1
    told.put(frame_at(clock))
    assert told.take(0.0) is not None


def test_a_camera_before_its_first_picture_is_connecting() -> None:
    state = board(ManualClock()).state()
    assert (state.phase, state.frame_age_s, state.width_px, state.source_fps) == (Phase.CONNECTING, None, None, None)


def test_a_camera_that_sends_a_picture_every_two_seconds_is_no_frozen_one() -> None:
    clock = ManualClock()
    slow = board(clock)
    for number in range(5):
        slow.arrived(clock.now().mono_s)
        slow.put(frame_at(clock, number))
        clock.advance(2.0)
    clock.advance(1.5)
    assert slow.state().phase is Phase.LIVE
    assert slow.take(0.0) is not None
    clock.advance(1.0)
    assert slow.state().phase is Phase.FROZEN


def test_coming_back_from_a_freeze_is_a_new_beginning() -> None:
    clock = ManualClock()
    told = board(clock)
    assert told.put(frame_at(clock))
    clock.advance(5.0)
    assert told.put(frame_at(clock))
    assert told.state().since == clock.now()
    assert not told.put(frame_at(clock))


def test_trouble_dates_from_the_last_good_picture_however_its_name_changes() -> None:
    clock = ManualClock()
    told = board(clock)
    told.put(frame_at(clock))
    last = clock.now()
    clock.advance(2.0)
    assert told.fail(Phase.FROZEN, "same picture")
    clock.advance(2.0)
    assert told.fail(Phase.LOST, "gone")
    assert not told.fail(Phase.LOST, "gone")
    assert told.state().since == last


def test_arrivals_in_one_instant_have_no_rate() -> None:
    clock = ManualClock()
    told = board(clock)
    told.arrived(1.0)
    told.arrived(1.0)
    assert told.state().source_fps is None


def test_an_instant_set_back_on_the_wall_clock_changes_nothing_inside() -> None:
    clock = ManualClock()
    told = board(clock)
    told.put(frame_at(clock))
    clock.step_utc(-86_400)
    clock.advance(0.5)
    assert told.state().phase is Phase.LIVE
    assert told.state().frame_age_s == pytest.approx(0.5)
    assert isinstance(told.state().since, Instant)
