"""Real RTSP cameras that are played, frozen, killed and brought back, over the loopback."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from agent.clock import Instant
from agent.stages import StageTimes
from agent.values import Frame
from agent.video import CameraState, CaptureOptions, Phase, Source, SourceOptions, open_source, parse_address, probe
from agent.video.live import LiveOptions
from agent.watching import TICK_S, WatchLoop
from tests.fakes.clock import ManualClock
from tests.fakes.lanes import RememberingSink, ToldEngine, lane_of, told_detector
from tests.fakes.rtsp_server import RtspServer, why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable() or "available")

NOTICE_DEAD_S = 1.0
NOTICE_FROZEN_S = 5.0
USE_AGAIN_S = 10.0


class RunningClock:
    """The machine's clock."""

    def now(self) -> Instant:
        return Instant(time.monotonic(), time.time())


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as started:
        yield started


def seconds_until(source: Source, phase: Phase, timeout_s: float) -> float:
    began_s = time.monotonic()
    while time.monotonic() - began_s < timeout_s:
        source.read(0.02)
        if source.state().phase is phase:
            return time.monotonic() - began_s
    pytest.fail(f"not {phase.value} within {timeout_s} s: {source.state()}")


def frames_for(source: Source, seconds_s: float) -> list[tuple[float, Frame]]:
    end_s = time.monotonic() + seconds_s
    taken = []
    while time.monotonic() < end_s:
        frame = source.read(0.1)
        if frame is not None:
            taken.append((time.monotonic(), frame))
    return taken


class Neighbour:
    """Another camera that is read all the while, to see that it notices nothing."""

    def __init__(self, url: str) -> None:
        self._source = open_source(url, "neighbour", RunningClock())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.longest_gap_s = 0.0
        self.state: CameraState | None = None

    def _read(self) -> None:
        last_s: float | None = None
        while not self._stop.is_set():
            if self._source.read(0.1) is not None:
                now_s = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now_s - (now_s if last_s is None else last_s))
                last_s = now_s
        self.state = self._source.state()

    def __enter__(self) -> Self:
        seconds_until(self._source, Phase.LIVE, USE_AGAIN_S)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._source.close()


def test_a_camera_that_freezes_dies_and_returns_is_noticed_in_time_and_its_neighbour_notices_nothing(
    server: RtspServer,
) -> None:
    with RtspServer() as other, Neighbour(other.url) as neighbour:
        camera = open_source(server.url, "gate", RunningClock())
        try:
            seconds_until(camera, Phase.LIVE, USE_AGAIN_S)
            server.freeze()
            assert seconds_until(camera, Phase.FROZEN, USE_AGAIN_S) < NOTICE_FROZEN_S
            frozen_since = camera.state().since
            seconds_until(camera, Phase.LOST, USE_AGAIN_S)
            assert camera.state().since == frozen_since
            server.thaw()
            assert seconds_until(camera, Phase.LIVE, 2 * USE_AGAIN_S) < USE_AGAIN_S
            server.kill()
            assert seconds_until(camera, Phase.LOST, USE_AGAIN_S) < NOTICE_DEAD_S
            server.start()
            assert seconds_until(camera, Phase.LIVE, 2 * USE_AGAIN_S) < USE_AGAIN_S
            assert camera.state().reconnects == 2
        finally:
            camera.close()
    assert neighbour.state is not None
    assert neighbour.state.phase is Phase.LIVE
    assert neighbour.state.reconnects == 0
    assert neighbour.longest_gap_s < 1.5


@contextmanager
def watched(url: str) -> Iterator[RememberingSink]:
    """A camera and the loop that watches it, up to where its records go."""
    source = open_source(url, "gate", RunningClock())
    sink = RememberingSink()
    lane = lane_of(source, told_detector(ToldEngine(ManualClock())), name="gate")
    loop = WatchLoop([lane], sink, RunningClock(), StageTimes())
    loop.start()
    try:
        end_s = time.monotonic() + USE_AGAIN_S
        while lane.detections < 5 and time.monotonic() < end_s:
            time.sleep(0.01)
        assert lane.detections >= 5
        yield sink
    finally:
        loop.stop()
        loop.join(5)
        source.close()


def seconds_until_told(sink: RememberingSink) -> float:
    began_s = time.monotonic()
    while time.monotonic() - began_s < USE_AGAIN_S:
        if any(body.kind == "camera_lost" for body in sink.bodies("event")):
            return time.monotonic() - began_s
        time.sleep(0.005)
    pytest.fail("its loss was never told")


def test_the_loss_of_a_dead_camera_is_on_record_within_a_second(server: RtspServer) -> None:
    with watched(server.url) as sink:
        server.kill()
        assert seconds_until_told(sink) < NOTICE_DEAD_S


def test_the_loss_of_a_frozen_camera_is_on_record_within_five_seconds(server: RtspServer) -> None:
    with watched(server.url) as sink:
        server.freeze()
        assert seconds_until_told(sink) < NOTICE_FROZEN_S


def test_the_loss_of_a_camera_that_repeats_one_picture_is_on_record_within_five_seconds() -> None:
    with RtspServer(pattern="black") as still, watched(still.url) as sink:
        assert seconds_until_told(sink) < NOTICE_FROZEN_S


def test_a_live_camera_delivers_its_rate_its_size_and_pictures_of_now(server: RtspServer) -> None:
    camera = open_source(server.url, "gate", RunningClock())
    try:
        seconds_until(camera, Phase.LIVE, USE_AGAIN_S)
        taken = frames_for(camera, 2.0)
        state = camera.state()
    finally:
        camera.close()
    frames = [frame for _, frame in taken]
    assert len(frames) >= 20
    assert all(frame.image.shape == (180, 320, 3) for frame in frames)
    assert all(late.at.mono_s > early.at.mono_s for early, late in itertools.pairwise(frames))
    assert all(now_s - frame.at.mono_s < 1.0 for now_s, frame in taken)
    assert state.source_fps == pytest.approx(15, abs=2)
    assert (state.width_px, state.height_px) == (320, 180)
    assert 0 < state.decode_cpu_s <= state.read_s


def test_pictures_that_waited_through_a_short_freeze_are_not_reported_as_live(server: RtspServer) -> None:
    camera = open_source(server.url, "gate", RunningClock())
    try:
        seconds_until(camera, Phase.LIVE, USE_AGAIN_S)
        frames_for(camera, 1.0)
        dropped_before = camera.state().dropped
        server.freeze()
        frames_for(camera, 2.5)
        server.thaw()
        taken = frames_for(camera, 2.0)
        state = camera.state()
    finally:
        camera.close()
    assert len(taken) >= 15
    assert all(now_s - frame.at.mono_s < 1.2 for now_s, frame in taken)
    assert state.dropped - dropped_before >= 10
    assert state.reconnects == 0


def test_a_camera_over_udp_is_live_too(server: RtspServer) -> None:
    options = SourceOptions(live=LiveOptions(capture=CaptureOptions(transport="udp")))
    camera = open_source(server.url, "gate", RunningClock(), options)
    try:
        seconds_until(camera, Phase.LIVE, USE_AGAIN_S)
        assert len(frames_for(camera, 1.0)) >= 8
    finally:
        camera.close()


def test_a_test_pattern_that_never_changes_is_a_frozen_camera() -> None:
    with RtspServer(pattern="black") as still:
        camera = open_source(still.url, "gate", RunningClock())
        try:
            seconds_until(camera, Phase.LIVE, USE_AGAIN_S)
            assert seconds_until(camera, Phase.FROZEN, USE_AGAIN_S) < NOTICE_FROZEN_S - TICK_S
            assert "same picture" in camera.state().reason
        finally:
            camera.close()


def test_a_password_that_stands_apart_opens_the_camera_and_a_wrong_one_gets_a_sentence_without_it(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "tr0ub4dor&3/@"
    with RtspServer(user="viewer", password=secret) as guarded:
        right = parse_address(guarded.url, user="viewer", password=secret)
        assert probe(right).error == ""
        wrong = parse_address(guarded.url, user="viewer", password="wr0ng&horse")
        camera = open_source(wrong, "gate", RunningClock())
        try:
            seconds_until(camera, Phase.LOST, USE_AGAIN_S)
            reason = camera.state().reason
        finally:
            camera.close()
        nobody = probe(guarded.url).error
    assert "refuses the user or password" in reason
    assert "wants a user and password" in nobody
    printed = capfd.readouterr()
    everything = "".join([reason, nobody, repr(right), repr(wrong), caplog.text, printed.out, printed.err])
    assert secret not in everything
    assert "wr0ng" not in everything


def test_probing_says_what_a_camera_delivers_and_that_a_wrong_path_is_wrong(server: RtspServer) -> None:
    found = probe(server.url)
    assert found.ok
    assert (found.width_px, found.height_px, found.codec) == (320, 180, "h264")
    assert found.fps == pytest.approx(15, abs=2)
    assert "no stream" in probe(server.url.replace("cam1", "cam9")).error


def test_a_hundred_refused_openings_leave_no_thread_and_no_file_open() -> None:
    with RtspServer() as gone:
        address = parse_address(gone.url)
    probe(address)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        assert not probe(address).ok
    assert threading.active_count() <= threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2
