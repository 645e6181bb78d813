"""The pictures of a live camera, with scripted streams and a clock wound by hand: which are handed out as live."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from agent.video.source import Phase
from tests.fakes.capture import ScriptedCapture, Shot, steady
from tests.fakes.clock import ManualClock
from tests.fakes.live_camera import QUICK, hang, phase_is, running
from tests.fakes.tcp import wait_until


def test_the_newest_picture_wins_and_the_others_count_as_dropped() -> None:
    clock = ManualClock()
    with hang() as never, running(lambda: ScriptedCapture(clock, [*steady(20), Shot(until=never)]), clock) as camera:
        assert wait_until(lambda: camera.state().frames == 20)
        assert wait_until(lambda: camera.state().dropped == 19)
        frame = camera.read()
        assert frame is not None
        assert (frame.number, int(frame.image[0, 0, 0])) == (20, 19)
        assert camera.read() is None
        assert camera.state().source_fps == pytest.approx(10)
        assert camera.state().phase is Phase.LIVE


def test_a_reader_that_waits_is_woken_by_a_picture_and_a_callback_tells_of_it() -> None:
    clock, told = ManualClock(), threading.Event()
    with hang() as go, hang() as never:
        shots = [Shot(pts_s=0.0), Shot(pts_s=0.1, until=go), Shot(until=never)]
        with running(lambda: ScriptedCapture(clock, shots), clock, on_frame=told.set) as camera:
            assert camera.read(0.01) is None
            threading.Timer(0.05, go.set).start()
            assert camera.read(5.0) is not None
            assert told.wait(5.0)


def test_a_camera_that_sends_nothing_is_frozen_while_the_read_still_blocks() -> None:
    clock = ManualClock()
    with hang() as never, running(lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]), clock) as camera:
        assert wait_until(lambda: camera.state().frames == 5)
        last = camera.read(1.0)
        assert last is not None
        assert wait_until(phase_is(camera, Phase.LIVE))
        clock.advance(2.9)
        assert camera.state().phase is Phase.LIVE
        clock.advance(0.2)
        state = camera.state()
        assert state.phase is Phase.FROZEN
        assert state.since == last.at
        assert "sends no new pictures" in state.reason
        assert state.source_fps == 0.0
        assert state.frame_age_s == pytest.approx(3.1)


def test_a_picture_that_nobody_took_in_time_is_not_handed_out_as_live() -> None:
    clock = ManualClock()
    with hang() as never, running(lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]), clock) as camera:
        assert wait_until(lambda: camera.state().frames == 5)
        assert wait_until(lambda: camera.state().frame_age_s is not None)
        clock.advance(1.5)
        assert camera.read() is None


def test_one_damaged_picture_is_no_closed_connection() -> None:
    clock = ManualClock()
    with hang() as never:
        shots = [*steady(5), Shot(0.1, 0.5, None), *steady(5, first=6), Shot(until=never)]
        with running(lambda: ScriptedCapture(clock, shots), clock) as camera:
            assert wait_until(lambda: camera.state().frames == 10)
            assert camera.state().reconnects == 0


def test_a_picture_that_cannot_be_converted_is_counted_as_damaged() -> None:
    clock = ManualClock()
    with hang() as never:
        shots = [*steady(3), Shot(0.1, 0.3, 3, convertible=False), Shot(until=never)]
        with running(lambda: ScriptedCapture(clock, shots), clock) as camera:
            assert wait_until(lambda: camera.state().damaged == 1)


def test_an_encoder_that_sends_one_picture_for_ever_is_frozen_until_it_moves_again() -> None:
    clock = ManualClock()
    same = [Shot(0.1, 0.1 * n, 7) for n in range(80)]
    with hang() as go, hang() as never:
        shots = [*same, Shot(0.1, 8.0, 8, until=go), Shot(until=never)]
        with running(lambda: ScriptedCapture(clock, shots), clock) as camera:
            assert wait_until(lambda: camera.state().frames == 80)
            assert wait_until(phase_is(camera, Phase.FROZEN))
            assert "same picture" in camera.state().reason
            assert clock.now().mono_s - camera.state().since.mono_s > 2
            go.set()
            assert wait_until(phase_is(camera, Phase.LIVE))


def test_pictures_beyond_the_wanted_rate_are_not_converted() -> None:
    clock = ManualClock()
    with hang() as never:
        shots = [*steady(41), Shot(until=never)]
        converted: list[ScriptedCapture] = []

        def opener() -> ScriptedCapture:
            converted.append(ScriptedCapture(clock, shots))
            return converted[-1]

        with running(opener, clock, replace(QUICK, max_fps=5.0, identical_s=0)) as camera:
            assert wait_until(lambda: camera.state().frames == 41)
            assert camera.state().source_fps == pytest.approx(10)
            assert wait_until(lambda: camera.state().dropped >= 39)
            assert converted[0].retrieved == pytest.approx(20, abs=1)


def test_a_camera_that_is_looked_at_seldom_is_still_seen_to_live() -> None:
    clock = ManualClock()
    with hang() as never:
        shots = [*steady(60), Shot(until=never)]
        seldom = replace(QUICK, max_fps=0.1, identical_s=0)
        with running(lambda: ScriptedCapture(clock, shots), clock, seldom) as camera:
            assert wait_until(lambda: camera.state().frames == 60)
            assert wait_until(phase_is(camera, Phase.LIVE))
            assert camera.read() is not None
