"""A live camera whose reader hangs, has died, or can't be started: the box goes on, and ends when it is told to."""

from __future__ import annotations

import threading
import time

import pytest

from agent.video.capture import CaptureOptions
from agent.video.live import ALL_HANG, MAX_STUCK_THREADS, NO_THREAD, REPLACE_PAUSE_S, STUCK_S, LiveCamera
from agent.video.source import Phase
from tests.fakes.capture import Openings, ScriptedCapture, Shot, steady
from tests.fakes.clock import ManualClock
from tests.fakes.live_camera import fail_with, hang, running
from tests.fakes.tcp import wait_until

HANG_S = CaptureOptions().read_timeout_s + STUCK_S


def test_closing_takes_less_than_a_second_while_native_code_is_stuck() -> None:
    clock = ManualClock()
    capture = ScriptedCapture(clock, [*steady(3)])
    with hang() as never:
        capture = ScriptedCapture(clock, [*steady(3), Shot(until=never)])
        with running(lambda: capture, clock) as camera:
            assert wait_until(lambda: camera.state().frames == 3)
            began_s = time.monotonic()
            camera.close()
            assert time.monotonic() - began_s < 1.0
            assert camera.state().phase is Phase.ENDED
            assert camera.read(5.0) is None
    assert capture.closed.wait(5.0)


def test_a_reader_that_hangs_for_good_is_replaced_but_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    captures: list[ScriptedCapture] = []
    with hang() as never:

        def opener() -> ScriptedCapture:
            captures.append(ScriptedCapture(clock, [Shot(until=never)]))
            return captures[-1]

        with running(opener, clock) as camera:
            for count in range(1, MAX_STUCK_THREADS + 3):
                wanted = min(count, MAX_STUCK_THREADS + 1)
                assert wait_until(lambda wanted=wanted: len(captures) == wanted and captures[-1].hangs.is_set())
                clock.advance(HANG_S + 1)
                camera.read()
            assert len(captures) == MAX_STUCK_THREADS + 1
            assert camera.state().frames == 0
            assert camera.state().phase is Phase.LOST
            assert camera.state().reason == ALL_HANG
            assert len([record for record in caplog.records if ALL_HANG in record.getMessage()]) == 1
    assert all(capture.closed.wait(5.0) for capture in captures)


# What ends the thread is the very thing that is tried.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_whose_thread_is_gone_is_replaced_but_not_at_every_look() -> None:
    clock = ManualClock()
    with hang() as never:
        # SystemExit ends a thread without a word, as a fault outside its own guard would.
        opener = Openings(fail_with(SystemExit()), lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]))
        with running(opener, clock) as camera:
            assert wait_until(lambda: not camera._worker.thread.is_alive())
            for _ in range(50):
                camera.read()
            assert opener.tries == 1
            clock.advance(REPLACE_PAUSE_S)
            assert wait_until(lambda: camera.read() is not None)
            assert camera.state().phase is Phase.LIVE


def test_a_box_without_threads_to_spare_says_so_and_starts_the_reader_when_there_are() -> None:
    clock = ManualClock()
    with hang() as never:
        before = threading.stack_size(1 << 46)  # more than there is: no thread can be started
        try:
            camera = LiveCamera("gate", lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]), clock)
        finally:
            threading.stack_size(before)
        try:
            assert (camera.state().phase, camera.state().reason) == (Phase.LOST, NO_THREAD)
            clock.advance(REPLACE_PAUSE_S)
            assert wait_until(lambda: camera.read() is not None)
        finally:
            camera.close()
