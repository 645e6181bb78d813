"""A live camera that is lost: what it says of why, and how it is opened again."""

from __future__ import annotations

import logging
import threading

import pytest

from agent.video.backoff import Backoff
from agent.video.live import LiveCamera, LiveOptions
from agent.video.source import Phase
from tests.fakes.capture import CLOSED, Openings, ScriptedCapture, Shot, steady
from tests.fakes.clock import ManualClock
from tests.fakes.live_camera import fail_with, hang, phase_is, refuse, running
from tests.fakes.tcp import wait_until


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


def test_many_reconnects_leave_no_thread_behind() -> None:
    clock, before = ManualClock(), threading.active_count()
    opener = Openings(refuse)
    with running(opener, clock):
        assert wait_until(lambda: opener.tries >= 200)
        assert threading.active_count() <= before + 1
    assert threading.active_count() <= before


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


def test_a_diagnosis_that_fails_does_not_end_the_reader() -> None:
    def diagnose() -> str:
        raise OverflowError

    opener = Openings(refuse)
    with running(opener, ManualClock(), diagnose=diagnose) as camera:
        assert wait_until(lambda: opener.tries >= 3)
        assert "OverflowError" in camera.state().reason


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
