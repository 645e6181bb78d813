"""The loop that looks at all cameras: fair, fresh, and none stops another."""

from __future__ import annotations

import itertools
import logging
import time

import cv2
import pytest

from agent.clock import Instant
from agent.errors import SourceError
from agent.pipeline import CameraPipeline
from agent.records import Record
from agent.scene import Link
from agent.stages import StageTimes
from agent.values import Frame
from agent.video.source import Phase
from agent.watching import POLL_S, Lane, WatchLoop
from tests.fakes.clock import ManualClock
from tests.fakes.lanes import FilmingCamera, RememberingSink, Room, ToldEngine, lane_of, told_detector
from tests.fakes.tcp import wait_until

DAY_S = 86_400.0


def test_given_more_cameras_than_time_then_each_gets_the_same_share() -> None:
    room = Room(4, run_s=0.1)
    room.run_for(20)
    looked = [lane.detections for lane in room.lanes]
    assert sum(looked) == pytest.approx(200, abs=2)
    assert max(looked) - min(looked) <= 2
    assert room.loop.achieved_fps("camera-0") == pytest.approx(2.5, abs=0.2)


def test_given_time_enough_then_each_gets_the_rate_it_asks_for_and_no_more() -> None:
    room = Room(2, run_s=0.001)
    room.run_for(10)
    assert [lane.detections for lane in room.lanes] == [pytest.approx(100, abs=3)] * 2


def test_given_a_model_that_takes_several_then_cameras_that_are_due_share_a_run() -> None:
    room = Room(4, run_s=0.05, batch=None)
    room.run_for(5)
    assert max(room.engine.batches) == 4
    assert len(room.engine.batches) < sum(room.engine.batches) / 2


def test_given_two_models_then_a_run_holds_cameras_of_one_model_only() -> None:
    room = Room(2, batch=None)
    other = ToldEngine(room.clock)
    extra = [lane_of(FilmingCamera(f"extra-{n}", room.clock), told_detector(other, None if n else 1)) for n in range(2)]
    room.loop = WatchLoop([*room.lanes, *extra], room.sink, room.clock, room.times)
    room.run_for(2)
    assert set(room.engine.batches) <= {1, 2}
    assert set(other.batches) == {1}
    assert all(lane.detections >= 18 for lane in (*room.lanes, *extra))


def test_given_a_slow_model_then_the_newest_frame_wins_and_what_it_replaced_is_counted() -> None:
    room = Room(2, run_s=0.5)
    ages: list[float] = []

    def note(frame: Frame, _: object) -> None:
        ages.append(room.clock.now().mono_s - frame.at.mono_s)

    for lane in room.lanes:
        lane.on_seen = note
    room.run_for(10)
    assert max(ages) <= 0.5 + 1e-6
    assert sum(lane.replaced for lane in room.lanes) > 0


def test_given_nothing_new_to_remember_then_the_state_is_not_saved_again() -> None:
    room = Room(1)
    room.cameras[0].phase = Phase.CONNECTING
    room.run_for(5)
    assert len(room.sink.states) == 1
    assert room.sink.states[0][1].keys() == {"camera-0"}


def test_given_frames_then_every_record_comes_with_the_state_that_belongs_to_it() -> None:
    room = Room(1)
    room.run_for(25)
    with_records = [state for count, state in room.sink.states if count]
    assert with_records
    assert all(state.keys() == {"camera-0"} for state in with_records)
    saved = [state["camera-0"] for _, state in room.sink.states]
    assert all(early != late for early, late in itertools.pairwise(saved))


def test_when_the_loop_is_stopped_then_open_intervals_are_closed_and_handed_over() -> None:
    camera_clock = ManualClock()
    lane = lane_of(FilmingCamera("gate", camera_clock), told_detector(ToldEngine(camera_clock)))
    sink = RememberingSink()
    loop = WatchLoop([lane], sink, camera_clock, StageTimes())
    loop.start()
    for _ in range(200):
        camera_clock.advance(0.05)
        if lane.detections > 20:
            break
        time.sleep(0.005)
    assert loop.is_alive()
    before_s = loop.alive_s
    assert wait_until(lambda: loop.alive_s > before_s)
    loop.stop()
    loop.join(5)
    assert not loop.is_alive()
    assert [body.interval.partial for body in sink.bodies("count")] == [True, True]
    assert all("stopping" in body.quality.reasons for body in sink.bodies("count"))


def test_given_a_model_that_gives_nonsense_then_one_line_is_logged_and_intervals_are_invalid_until_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room(1)
    room.run_for(12)
    room.engine.blind_from = 0.0
    room.run_for(15)
    lane = room.lanes[0]
    assert "no numbers" in lane.failing
    room.engine.blind_from = 2.0
    room.run_for(30)
    assert lane.failing == ""
    said = [record.levelno for record in caplog.records if record.name == "kentongan.watching"]
    assert said == [logging.ERROR, logging.WARNING]
    counts = [body for body in room.sink.bodies("count") if body.direction == "a_to_b"]
    spoiled = ["model_failed" in body.quality.reasons for body in counts]
    assert spoiled == [False, True, True, False, False]
    assert [body.quality.valid for body in counts[1:]] == [False, False, True, True]
    assert not room.sink.bodies("event"), "the camera itself was never lost"


def test_given_one_picture_that_breaks_the_model_then_the_others_of_the_same_run_are_still_counted() -> None:
    room = Room(3, batch=None)
    room.run_for(5)
    room.cameras[1].brightness = 120
    room.engine.blind_from = 0.5
    room.run_for(0.1)
    seen = [lane.detections for lane in room.lanes]
    room.run_for(0.5)
    later = [lane.detections for lane in room.lanes]
    assert later[1] == seen[1]
    assert room.lanes[1].failing
    assert all(later[n] > seen[n] + 2 for n in (0, 2))
    assert not room.lanes[0].failing


def test_given_a_camera_that_is_lost_while_the_model_fails_then_its_loss_is_told() -> None:
    room = Room(1)
    room.engine.blind_from = 0.0
    room.run_for(3)
    room.cameras[0].phase, room.cameras[0].reason = Phase.LOST, "the connection was closed"
    room.run_for(3)
    assert [(body.kind, body.phase) for body in room.sink.bodies("event")] == [("camera_lost", "start")]


def test_given_a_lost_and_a_live_camera_then_only_the_lost_one_has_events_and_invalid_intervals() -> None:
    room = Room(2)
    room.run_for(10)
    room.cameras[0].phase, room.cameras[0].reason = Phase.FROZEN, "no new picture"
    room.run_for(5)
    room.cameras[0].phase = Phase.LOST
    room.run_for(10)
    room.cameras[0].phase, room.cameras[0].reason = Phase.LIVE, ""
    room.run_for(20)
    events = room.sink.bodies("event")
    assert [body.phase for body in events] == ["start", "update", "end"]
    assert len({body.event for body in events}) == 1
    assert not room.sink.bodies("event", "camera-1")
    hurt = [b.quality for b in room.sink.bodies("count", "camera-0") if not b.quality.valid]
    assert {reason for quality in hurt for reason in quality.reasons} >= {"camera_frozen", "camera_lost"}
    assert all(body.quality.valid for body in room.sink.bodies("count", "camera-1"))


def test_given_a_file_that_breaks_off_then_it_is_said_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    room = Room(2)
    room.run_for(1)
    room.cameras[0].fault = SourceError("street.avi breaks off")
    room.cameras[0].phase = Phase.LOST
    room.run_for(2)
    assert "camera camera-0: street.avi breaks off" in caplog.text
    assert [body.phase for body in room.sink.bodies("event", "camera-0")] == ["start"]
    assert room.lanes[1].detections >= 28


class BrokenPipeline:
    """A pipeline with a fault of ours in it."""

    def __init__(self, lane: Lane) -> None:
        self.camera = lane.pipeline.camera

    def __getattr__(self, name: str) -> object:
        raise ZeroDivisionError(name)


def test_given_a_scene_that_fails_on_one_camera_then_it_is_logged_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room(2)
    room.lanes[0].pipeline = BrokenPipeline(room.lanes[0])  # type: ignore[assignment]
    room.run_for(12)
    room.loop._finish()
    assert len([record for record in caplog.records if "its scene fails" in record.getMessage()]) == 1
    assert "ZeroDivisionError" in caplog.text
    assert "its scene fails" in room.lanes[0].failing
    assert room.sink.by_camera() == {"camera-1": 4}


@pytest.mark.parametrize("fault", [MemoryError(), cv2.error("resize failed"), ValueError("sesame")])
def test_given_a_model_that_fails_as_nobody_foresaw_then_it_is_logged_once_and_intervals_are_invalid_until_it_works(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room(2)
    room.run_for(12)
    room.engine.fault = fault
    room.run_for(5)
    lane = room.lanes[0]
    assert type(fault).__name__ in lane.failing
    assert "sesame" not in lane.failing
    room.engine.fault = None
    room.run_for(30)
    assert lane.failing == ""
    said = [record for record in caplog.records if "its model fails" in record.getMessage()]
    assert len(said) == 2, "once for each camera"
    assert all(record.exc_info for record in said)
    counts = [body for body in room.sink.bodies("count", "camera-0") if body.direction == "a_to_b"]
    assert ["model_failed" in body.quality.reasons for body in counts] == [False, True, False, False]
    assert not room.sink.bodies("event")


def test_given_memory_that_suffices_for_one_picture_only_then_each_is_looked_at_alone() -> None:
    room = Room(3, batch=None)
    room.engine.fault, room.engine.fault_from = MemoryError(), 2
    room.run_for(2)
    assert set(room.engine.batches) >= {1, 3}
    assert all(lane.detections >= 15 and not lane.failing for lane in room.lanes)


@pytest.mark.parametrize("where", ["fault", "state_fault"])
def test_given_a_source_that_fails_as_nobody_foresaw_then_its_intervals_say_so_and_the_others_go_on(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room(2)
    room.run_for(5)
    for _ in range(30):
        setattr(room.cameras[0], where, RuntimeError("rtsp://admin:sesame@gate/"))
        room.run_for(0.2)
    room.cameras[0].state_fault = None
    room.run_for(20)
    assert room.lanes[0].failing == ""
    assert room.lanes[1].detections >= 290
    assert "its source fails with RuntimeError" in caplog.text
    counts = [body for body in room.sink.bodies("count", "camera-0") if body.direction == "a_to_b"]
    assert "model_failed" in counts[0].quality.reasons
    assert "model_failed" not in counts[-1].quality.reasons
    assert not room.sink.bodies("event")


def test_given_a_source_that_never_answers_but_with_a_fault_then_it_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room = Room(1)
    room.cameras[0].state_fault = KeyError("phase")
    room.cameras[0].phase = Phase.CONNECTING
    room.run_for(12)
    assert len([record for record in caplog.records if "its source fails" in record.getMessage()]) == 1


class BrokenClock(ManualClock):
    """A clock that fails once, which nothing in the loop is prepared for."""

    broken = False

    def now(self) -> Instant:
        if self.broken:
            self.broken = False
            raise ArithmeticError
        return super().now()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the very thing that is tried
def test_given_a_fault_that_ends_the_thread_then_what_is_open_is_handed_over_all_the_same() -> None:
    clock = BrokenClock()
    lane = lane_of(FilmingCamera("gate", clock), told_detector(ToldEngine(clock)))
    sink = RememberingSink()
    loop = WatchLoop([lane], sink, clock, StageTimes())
    for _ in range(100):
        loop.turn()
        clock.advance(0.01)
    clock.broken = True
    loop.start()
    loop.join(5)
    assert not loop.is_alive()
    assert len(sink.bodies("count")) == 2


@pytest.mark.parametrize("phase", [Phase.LOST, Phase.FROZEN])
def test_given_a_camera_that_is_lost_then_it_is_told_at_once_and_not_at_the_next_second(phase: Phase) -> None:
    room = Room(1)

    def told() -> int:
        return len([body for body in room.sink.bodies("event") if body.kind == "camera_lost" and body.phase == "start"])

    # In steps: wherever between two ticks it is lost.
    for step in range(7):
        room.run_for(3.0 + 0.15 * step)
        before = told()
        room.cameras[0].phase = phase
        room.run_for(POLL_S + 0.02)
        assert told() == before + 1
        room.cameras[0].phase = Phase.LIVE


def test_given_a_picture_that_waits_while_its_camera_is_lost_then_it_is_not_taken_for_its_return() -> None:
    room = Room(3, run_s=0.3)  # so slow that a picture of each camera waits
    room.run_for(5)
    for camera in room.cameras:
        camera.phase = Phase.LOST
    room.run_for(5)
    lost = [body.phase for body in room.sink.bodies("event") if body.kind == "camera_lost"]
    assert lost == ["start"] * 3


def test_given_a_camera_that_is_well_then_time_passes_for_it_once_a_second() -> None:
    room = Room(1)
    ticks: list[float] = []

    class Counted:
        """The lane's pipeline, with its ticks noted."""

        def __init__(self, real: CameraPipeline) -> None:
            self.real = real

        def tick(self, at: Instant, link: Link) -> list[Record]:
            ticks.append(at.mono_s)
            return self.real.tick(at, link)

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    room.lanes[0].pipeline = Counted(room.lanes[0].pipeline)  # type: ignore[assignment]
    room.run_for(10)
    assert len(ticks) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("step_s", [-DAY_S, DAY_S])
def test_given_a_clock_that_is_set_by_a_day_then_counting_goes_on_and_the_interval_says_so(step_s: float) -> None:
    room = Room(1)
    room.run_for(15)
    room.clock.step_utc(step_s)
    before = room.lanes[0].detections
    room.run_for(30)
    assert room.lanes[0].detections - before >= 290
    counts = [body for body in room.sink.bodies("count") if body.direction == "a_to_b"]
    stepped = [body for body in counts if "clock_stepped" in body.quality.reasons]
    assert stepped
    assert counts[-1].quality.valid
    assert counts[-1].interval.start >= 1_767_225_600 + 15 + step_s - 10
    starts = [(body.interval.start, body.direction) for body in room.sink.bodies("count")]
    assert len(starts) == len(set(starts))


def test_given_work_done_then_every_stage_of_it_is_charged() -> None:
    room = Room(1)
    room.run_for(3)
    spent = room.times.spent
    assert {stage for stage, cost in spent.items() if cost.times} == {
        "preprocess",
        "model",
        "postprocess",
        "track",
        "scene",
        "outbox",
    }
    assert spent["model"].times == room.lanes[0].detections
