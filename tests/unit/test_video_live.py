"""The live camera and its board, with scripted streams and a clock wound by hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from agent.clock import Instant
from agent.errors import SourceError
from agent.values import Frame
from agent.video.backoff import Backoff
from agent.video.board import Board
from agent.video.capture import CaptureOptions
from agent.video.live import ALL_HANG, MAX_STUCK_THREADS, NO_THREAD, REPLACE_PAUSE_S, STUCK_S, LiveCamera, LiveOptions
from agent.video.source import Phase
from tests.fakes.capture import CLOSED, Openings, ScriptedCapture, Shot, steady
from tests.fakes.clock import ManualClock
from tests.fakes.tcp import wait_until

AT_ONCE = Backoff(first_s=0.001, cap_s=0.001)
HANG_S = CaptureOptions().read_timeout_s + STUCK_S


def refuse() -> ScriptedCapture:
    raise SourceError("it is switched off; switch it on")


@contextmanager
def running(opener: Callable[[], ScriptedCapture], clock: ManualClock, **more: object) -> Iterator[LiveCamera]:
    options = LiveOptions(backoff=AT_ONCE, **{key: more.pop(key) for key in ("identical_s", "max_fps") if key in more})  # type: ignore[arg-type]
    camera = LiveCamera("gate", opener, clock, options, chance=lambda: 0.5, **more)  # type: ignore[arg-type]
    try:
        yield camera
    finally:
        camera.close()


@contextmanager
def hang() -> Iterator[threading.Event]:
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


def phase_is(camera: LiveCamera, phase: Phase) -> Callable[[], bool]:
    return lambda: camera.state().phase is phase


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


def test_a_closed_connection_is_lost_and_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    with hang() as never:
        opener = Openings(
            lambda: ScriptedCapture(clock, [*steady(5), CLOSED]),
            refuse,
            lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]),
        )
        with running(opener, clock) as camera:
            assert wait_until(lambda: camera.state().reconnects == 1)
            assert wait_until(phase_is(camera, Phase.LIVE))
            assert opener.tries == 3
            assert camera.state().reason == ""
    said = [record.getMessage() for record in caplog.records]
    assert "camera gate: it closed the connection; it is tried again" in said
    assert "camera gate: it is switched off; switch it on" in said
    assert said.count("camera gate: live with 64 x 48 pixels") == 2


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


def test_a_read_that_used_up_its_timeout_leads_to_a_new_connection_even_when_it_brought_a_picture() -> None:
    clock, first = ManualClock(), []
    with hang() as never:
        opener = Openings(
            lambda: first.append(ScriptedCapture(clock, [*steady(3), Shot(4.1, 0.3, 3)])) or first[0],
            lambda: ScriptedCapture(clock, [Shot(until=never)]),
        )
        with running(opener, clock) as camera:
            assert wait_until(lambda: opener.tries == 2)
            assert camera.state().frames == 3
            assert camera.state().phase is Phase.LOST
            assert "opened anew" in camera.state().reason
            assert first[0].closed.is_set()


def test_a_stream_that_stays_behind_after_a_freeze_is_opened_again() -> None:
    clock = ManualClock()
    late = [Shot(0.1, 1.0 + 0.1 * n, n) for n in range(60)]
    with hang() as never:
        opener = Openings(
            lambda: ScriptedCapture(clock, [*steady(10), Shot(3.0, 1.0, 9), *late[1:]]),
            lambda: ScriptedCapture(clock, [Shot(until=never)]),
        )
        with running(opener, clock) as camera:
            assert wait_until(lambda: opener.tries == 2)
            assert "stays behind" in camera.state().reason


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

        with running(opener, clock, max_fps=5.0, identical_s=0) as camera:
            assert wait_until(lambda: camera.state().frames == 41)
            assert camera.state().source_fps == pytest.approx(10)
            assert wait_until(lambda: camera.state().dropped >= 39)
            assert converted[0].retrieved == pytest.approx(20, abs=1)


def test_a_camera_that_is_looked_at_seldom_is_still_seen_to_live() -> None:
    clock = ManualClock()
    with hang() as never:
        shots = [*steady(60), Shot(until=never)]
        with running(lambda: ScriptedCapture(clock, shots), clock, max_fps=0.1, identical_s=0) as camera:
            assert wait_until(lambda: camera.state().frames == 60)
            assert wait_until(phase_is(camera, Phase.LIVE))
            assert camera.read() is not None


def test_a_diagnosis_replaces_the_opener_s_complaint_and_is_not_made_for_every_slow_failure() -> None:
    clock, asked = ManualClock(), []

    def slow() -> ScriptedCapture:
        clock.advance(4.0)
        return refuse()

    def diagnose() -> str:
        asked.append(True)
        return "the camera refuses the password; correct it"

    opener = Openings(slow)
    with running(opener, clock, diagnose=diagnose) as camera:
        assert wait_until(lambda: opener.tries >= 9)
        assert camera.state().reason == "the camera refuses the password; correct it"
    assert len(asked) <= opener.tries // 4 + 1


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
                assert wait_until(lambda wanted=wanted: len(captures) == wanted)
                time.sleep(0.02)
                clock.advance(HANG_S + 1)
                camera.read()
            assert len(captures) == MAX_STUCK_THREADS + 1
            assert camera.state().frames == 0
            assert camera.state().phase is Phase.LOST
            assert camera.state().reason == ALL_HANG
            assert len([record for record in caplog.records if ALL_HANG in record.getMessage()]) == 1
    assert all(capture.closed.wait(5.0) for capture in captures)


def fail_with(error: BaseException) -> Callable[[], ScriptedCapture]:
    def opener() -> ScriptedCapture:
        raise error

    return opener


def test_an_opener_that_fails_as_nobody_foresaw_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    out_of_memory = fail_with(MemoryError("rtsp://admin:sesame@gate/live"))
    with hang() as never:
        shots = [*steady(5), Shot(until=never)]
        opener = Openings(*[out_of_memory] * 5, lambda: ScriptedCapture(clock, shots))
        with running(opener, clock) as camera:
            assert wait_until(phase_is(camera, Phase.LIVE))
    said = [record for record in caplog.records if "MemoryError" in record.getMessage()]
    assert len(said) == 1
    assert said[0].exc_info is not None
    assert "sesame" not in said[0].getMessage()


def test_a_camera_that_only_ever_fails_as_nobody_foresaw_is_lost() -> None:
    opener = Openings(fail_with(UnicodeError("label empty or too long")))
    with running(opener, ManualClock()) as camera:
        assert wait_until(phase_is(camera, Phase.LOST))
        assert camera.state().reason == "reading it fails with UnicodeError; it is tried again"


def test_a_diagnosis_that_fails_does_not_end_the_reader() -> None:
    def diagnose() -> str:
        raise OverflowError

    opener = Openings(refuse)
    with running(opener, ManualClock(), diagnose=diagnose) as camera:
        assert wait_until(lambda: opener.tries >= 3)
        assert "OverflowError" in camera.state().reason


def test_a_stream_that_fails_as_nobody_foresaw_is_closed_and_opened_again() -> None:
    clock, first = ManualClock(), []

    class Breaking(ScriptedCapture):
        def pts_s(self) -> float:
            raise MemoryError

    with hang() as never:
        opener = Openings(
            lambda: first.append(Breaking(clock, steady(5))) or first[0],
            lambda: ScriptedCapture(clock, [*steady(5), Shot(until=never)]),
        )
        with running(opener, clock) as camera:
            assert wait_until(phase_is(camera, Phase.LIVE))
            assert first[0].closed.is_set()


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


def test_many_reconnects_leave_no_thread_behind() -> None:
    clock, before = ManualClock(), threading.active_count()
    opener = Openings(refuse)
    with running(opener, clock):
        assert wait_until(lambda: opener.tries >= 200)
        assert threading.active_count() <= before + 1
    assert threading.active_count() <= before


def test_a_stream_that_was_live_for_long_is_tried_again_quickly() -> None:
    clock = ManualClock()
    delays: list[int] = []

    class Noted(Backoff):
        def delay_s(self, failures: int, chance: float) -> float:
            delays.append(failures)
            return 0.001

    opener = Openings(refuse, refuse, lambda: ScriptedCapture(clock, [*steady(150), CLOSED]), refuse)
    camera = LiveCamera("gate", opener, clock, LiveOptions(backoff=Noted()))
    try:
        assert wait_until(lambda: len(delays) >= 4)
        assert delays[:4] == [1, 2, 1, 2]
    finally:
        camera.close()


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
