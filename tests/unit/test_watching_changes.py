"""A model or a drawing that changes while the loop looks: no frame is lost, tracks and counts go on."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from agent.changes import EndedError
from agent.errors import ConfigError
from agent.records import ModelRef, Record
from agent.stages import StageTimes
from agent.values import Detections, Image
from agent.watching import Lane, WatchLoop
from tests.fakes.clock import ManualClock
from tests.fakes.lanes import FilmingCamera, RememberingSink, ToldEngine, lane_of, told_detector
from tests.fakes.records import count_record

SECOND = ModelRef(name="second", version="2", sha256="2" * 64)


class NotingOverseer:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.saw_: list[tuple[str, int, float, bool]] = []
        self.failed_: list[tuple[str, str]] = []

    def saw(self, slot: str, image: Image, found: Detections, took_s: float, *, rested: bool) -> None:
        self.saw_.append((slot, len(found), took_s, rested))

    def failed(self, slot: str, why: str) -> None:
        self.failed_.append((slot, why))


class Room:
    """One camera of a car that walks to the right, on a clock that is wound by hand."""

    def __init__(self, cameras: int = 1, run_s: float = 0.0) -> None:
        self.clock = ManualClock()
        self.engine, self.second = ToldEngine(self.clock, run_s), ToldEngine(self.clock, run_s)
        self.cameras = [FilmingCamera(f"camera-{n}", self.clock, fps=10.0) for n in range(cameras)]
        detector = told_detector(self.engine)
        self.lanes = [lane_of(camera, detector) for camera in self.cameras]
        self.sink = RememberingSink()
        self.overseer = NotingOverseer()
        self.loop = WatchLoop(self.lanes, self.sink, self.clock, StageTimes(), self.overseer)
        self.ids: list[int] = []
        self.lanes[0].on_seen = lambda _, seen: self.ids.extend(seen.tracks.ids.tolist())

    def walk(self, first_px: float, last_px: float) -> None:
        """Let the car walk while the loop looks."""
        for x_px in np.arange(first_px, last_px, 2.0):
            self.engine.box = self.second.box = (float(x_px), 48.0, 20.0, 20.0)
            self.clock.advance(0.1)
            while self.loop.turn():
                pass

    def change(self, do: Any) -> None:
        """Have it done as the updater's thread does, while the loop turns."""
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                self.loop.changes.ask(do, 5.0)
            except ConfigError as error:
                raised.append(error)

        asker = threading.Thread(target=ask)
        asker.start()
        end_s = time.monotonic() + 5
        while asker.is_alive() and time.monotonic() < end_s:
            self.loop.turn()
        asker.join(5)
        if raised:
            raise raised[0]


def test_given_another_model_takes_over_then_no_frame_is_lost_and_the_track_goes_on() -> None:
    room = Room()
    room.walk(20, 80)
    looked = room.lanes[0].detections
    room.change(lambda: room.loop.exchange("street", told_detector(room.second), SECOND))
    room.walk(80, 140)
    assert room.lanes[0].replaced == 0
    assert room.lanes[0].detections == len(room.cameras[0].read_numbers) >= looked + 29
    assert all(late - early == 1 for early, late in itertools.pairwise(room.cameras[0].read_numbers))
    assert len(set(room.ids)) == 1, "the same car before and after"
    room.loop.stop()
    room.loop._finish()
    counts = [record for record in room.sink.records if record.kind == "count"]
    assert sum(record.body.volume or 0 for record in counts) == 1, "it crossed once"
    assert {record.model for record in counts} == {SECOND}
    assert len(room.second.batches) >= 29


def test_given_two_cameras_of_two_models_then_only_the_slot_that_is_named_changes() -> None:
    room = Room(2)
    other = told_detector(ToldEngine(room.clock))
    room.lanes[1].pipeline.camera = room.lanes[1].pipeline.camera.model_copy(update={"model": "other"})
    room.loop.exchange("other", other, SECOND)
    assert room.lanes[1].detector is other
    assert room.lanes[0].detector is not other


def test_given_other_lines_then_what_was_open_is_cut_and_the_new_line_counts_the_same_track() -> None:
    room = Room()
    room.walk(20, 60)
    camera = room.lanes[0].pipeline.camera
    moved = {"name": "later", "points": [[0.7, 0.98], [0.7, 0.02]], "interval_s": 10}
    drawn = type(camera).model_validate({**camera.model_dump(), "lines": [moved], "detect_fps": 5})
    room.change(lambda: room.loop.redraw(drawn))
    cut = [body for body in room.sink.bodies("count") if body.line == "middle"]
    assert [body.interval.partial for body in cut] == [True, True]
    room.walk(60, 140)
    room.loop._finish()
    later = [body for body in room.sink.bodies("count") if body.line == "later"]
    assert sum(body.volume or 0 for body in later) == 1
    assert len(set(room.ids)) == 1
    assert room.loop.achieved_fps("camera-0") == pytest.approx(5, abs=1)


def test_given_another_source_then_its_frames_are_looked_at() -> None:
    room = Room()
    room.walk(20, 30)
    fresh = FilmingCamera("camera-0", room.clock)
    room.change(lambda: room.loop.redraw(room.lanes[0].pipeline.camera, fresh))
    room.walk(30, 40)
    assert fresh.read_numbers


def test_given_a_change_that_fails_then_who_asked_is_told_and_the_loop_goes_on() -> None:
    room = Room()

    def fail() -> None:
        raise ConfigError("this can never count")

    with pytest.raises(ConfigError, match="never count"):
        room.change(fail)
    room.walk(20, 40)
    assert room.lanes[0].detections >= 9


def test_given_a_wish_then_its_records_and_state_are_kept_before_it_is_answered() -> None:
    room = Room()
    room.walk(20, 60)
    record = count_record(1)
    told: list[str] = []

    def wish(lane: Lane) -> tuple[str, list[Record]]:
        lane.saved.clear()  # so that its state counts as new
        return "done", [record]

    room.change(lambda: told.append(room.loop.grant("camera-0", wish)))
    assert told == ["done"]
    assert room.sink.records[-1] is record
    records, state = room.sink.states[-1]
    assert records == 1
    assert "camera-0" in state


def test_given_a_loop_that_ends_then_what_others_want_is_refused() -> None:
    room = Room()
    room.loop.stop()
    room.loop.run()
    with pytest.raises(EndedError):
        room.loop.changes.ask(lambda: None, 5.0)


def test_given_time_to_rest_then_every_look_says_so_and_without_it_none_does() -> None:
    idle, busy = Room(), Room(run_s=0.2)
    idle.walk(20, 60)
    for _ in range(30):
        busy.loop.turn()
    assert all(rested for *_, rested in idle.overseer.saw_[1:])
    assert sum(rested for *_, rested in busy.overseer.saw_[1:]) == 0
    assert idle.overseer.saw_[0][:2] == ("street", 1)


def test_given_a_model_that_fails_then_the_overseer_hears_why() -> None:
    room = Room()
    room.engine.fault = ConfigError("it is broken")
    room.walk(20, 24)
    assert room.overseer.failed_[0] == ("street", "it is broken")
