"""What the log of a running box says about a camera's view: every change once, in words."""

from __future__ import annotations

import logging

import pytest

from agent.records import ClockState, Detail, EventBody, Phase, Record
from agent.view_log import ViewLog
from tests.fakes.lanes import Room


def tampered(phase: Phase, event: str = "e-1", **details: Detail) -> Record:
    body = EventBody(
        kind="camera_tampered", phase=phase, event=event, severity="alarm", confidence=1.0, since=1.0, details=details
    )
    return Record(kind="event", camera="gate", time=1.0, clock=ClockState(synced=True), body=body)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_given_a_camera_that_is_turned_and_turned_back_then_both_are_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = ViewLog()
    log.tell("gate", [tampered("start", cause="turned"), tampered("update", cause="turned")])
    log.tell("gate", [tampered("update", cause="turned")])
    log.tell("gate", [tampered("end", cause="turned"), tampered("end", cause="turned", evidence="its clip")])
    turned, well = said(caplog)
    assert turned.startswith("camera gate: it shows another view than the one its lines and zones are drawn on")
    assert "kentongan accept-view" in turned
    assert well == "camera gate: its view is well again"


def test_given_another_cause_within_one_event_then_it_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    log = ViewLog()
    log.tell("gate", [tampered("start", cause="dark"), tampered("update", cause="covered")])
    assert said(caplog) == ["camera gate: it shows nothing but dark", "camera gate: it is covered"]


def test_given_a_small_move_then_it_is_logged_by_how_much_lines_were_carried(caplog: pytest.LogCaptureFixture) -> None:
    shift: dict[str, Detail] = {"shift_x": 0.04, "shift_y": 0.0, "turn_deg": 1.5, "zoom": 1.0}
    details: dict[str, Detail] = {"cause": "turned", "settled": "reanchored", **shift}
    ViewLog().tell("gate", [tampered("start", **details), tampered("end", **details)])
    (line,) = said(caplog)
    assert "it was moved, and its lines and zones are carried over" in line
    assert "shift_x 0.04, shift_y 0.0, turn_deg 1.5, zoom 1.0" in line


def test_given_a_view_that_is_accepted_then_the_log_says_that_counting_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ViewLog().tell("gate", [tampered("end", cause="turned", settled="accepted")])
    assert said(caplog) == ["camera gate: its view is accepted as it is; counting goes on"]


def test_given_a_view_that_is_no_longer_watched_then_the_log_does_not_call_it_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ViewLog().tell("gate", [tampered("end", why="no longer watched", lasted_s=9.0)])
    assert said(caplog) == ["camera gate: its view is no longer watched"]


def test_given_records_of_a_running_camera_then_the_loop_logs_what_they_say_of_its_view(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room(1)
    room.run_for(1)
    room.loop.grant("camera-0", lambda _: ("done", [tampered("start", cause="turned")]))
    (line,) = said(caplog)
    assert line.startswith("camera camera-0: it shows another view")
