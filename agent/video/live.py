"""Reads a live camera in a thread of its own, and never gives up on it.

Promises the newest picture and never one that waited in a buffer; that a dead camera is noticed within a second, a
frozen one within five, and one that returns is used within ten; and that closing takes less than a second even
while native code is stuck. Never lets one camera's trouble touch another.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from agent.clock import Clock, Instant
from agent.errors import SourceError
from agent.values import Frame
from agent.video.backoff import Backoff
from agent.video.board import Board
from agent.video.capture import Capture, CaptureOptions
from agent.video.freshness import MAX_LAG_S, Freshness, Verdict
from agent.video.pace import Pace
from agent.video.source import CameraState, Phase
from agent.video.stillness import Stillness
from agent.video.tally import TimedCapture

log = logging.getLogger(__name__)

CLOSE_S: Final = 0.8
"""How long closing waits for the reading thread before it is abandoned."""
GIVE_UP_READ_S: Final = 0.4
"""Reads that fail for so long mean a closed connection; a single damaged picture fails only once."""
FAILED_READ_PAUSE_S: Final = 0.02
STUCK_S: Final = 6.0
"""So long after its own timeout, a native call will never return and its thread is replaced."""
MAX_STUCK_THREADS: Final = 3
REPLACE_PAUSE_S: Final = 1.0
"""A reader that ended by itself is replaced no sooner than this after it was started."""
STEADY_S: Final = 10.0
"""A camera that was live for so long starts again with the shortest delay."""
QUICK_FAILURE_S: Final = 1.0
DIAGNOSE_EVERY: Final = 4

CLOSED: Final = "it closed the connection; it is tried again"
TIMED_OUT: Final = "it sends no more pictures; the connection is opened anew"
BEHIND: Final = "it stays behind after a freeze; the connection is opened anew"
IDENTICAL: Final = "it sends the same picture again and again; restart the camera"
READER_ENDED: Final = "its reader ended by a fault in the agent; a new one is started"
NO_THREAD: Final = "no reader can be started, the box is out of memory or threads; it is tried again"
HANGS: Final = "its reader hangs in the video library; a new one is started"
ALL_HANG: Final = (
    f"all {MAX_STUCK_THREADS + 1} of its readers hang in the video library; restart the agent, and look at the camera"
)


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a live camera is watched.

    Attributes:
        capture: How its stream is opened.
        stall_s: Without a picture for so long, it is frozen.
        identical_s: With bit-identical pictures for longer than this, it is frozen; 0 switches that off. 3.5 leaves
            room to tell it within five seconds: for the next picture of a slow camera, and for a turn of the loop.
        max_fps: Pictures beyond this rate, or two a second, are decoded but not converted, which spares CPU; ``None``
            for all.
        backoff: How long to wait before each new try.
    """

    capture: CaptureOptions = field(default_factory=CaptureOptions)
    stall_s: float = 3.0
    identical_s: float = 3.5
    max_fps: float | None = None
    backoff: Backoff = field(default_factory=Backoff)


class LiveCamera:
    """One live camera: a :class:`agent.video.source.Source` whose newest picture wins."""

    def __init__(
        self,
        camera: str,
        opener: Callable[[], Capture],
        clock: Clock,
        options: LiveOptions | None = None,
        *,
        diagnose: Callable[[], str] | None = None,
        on_frame: Callable[[], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Start reading.

        Args:
            camera: The name that its frames carry.
            opener: Opens the stream, or raises ``SourceError``.
            clock: Where times come from.
            options: How it is watched.
            diagnose: Finds out in a second or two why opening failed; without it the opener's message stands.
            on_frame: Called in the reading thread when a new picture is ready; must return at once.
            chance: Random numbers from 0 to 1, for the jitter.
        """
        self._camera, self._opener, self._clock = camera, opener, clock
        self._options = options or LiveOptions()
        self._diagnose, self._chance = diagnose, chance
        self._board = Board(clock, self._options.stall_s, MAX_LAG_S, on_frame or (lambda: None))
        self._stop = threading.Event()
        self._stuck: list[threading.Thread] = []
        self._worker = self._start_worker()

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Take the newest picture, or ``None`` when none comes within ``timeout_s``."""
        self._mend_worker()
        return self._board.take(timeout_s)

    def state(self) -> CameraState:
        """Say how the camera is at this moment, also while its thread is stuck in native code."""
        return self._board.state()

    def close(self) -> None:
        """Stop reading; a thread that is stuck in native code is left behind and ends when that returns."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._worker.thread.is_alive():
            self._worker.thread.join(CLOSE_S)
        if self._worker.thread.is_alive():
            self._worker.retired.set()
            log.info("camera %s: its reader is still busy and ends by itself", self._camera)
        self._board.end()

    def _start_worker(self) -> _Worker:
        worker = _Worker(
            self._camera,
            self._opener,
            self._clock,
            self._options,
            board=self._board,
            stop=self._stop,
            diagnose=self._diagnose,
            chance=self._chance,
        )
        try:
            worker.thread.start()
        except RuntimeError:  # threads and memory come back; till then it is like a reader that ended
            self._lose(NO_THREAD)
        return worker

    def _mend_worker(self) -> None:
        """See that somebody reads: replace a reader that ended by itself, and one that hangs in native code."""
        worker, capture, now_s = self._worker, self._options.capture, self._clock.now().mono_s
        if self._stop.is_set():
            return
        if not worker.thread.is_alive():
            if now_s - worker.made_s >= REPLACE_PAUSE_S:
                if worker.thread.ident is not None:
                    self._lose(READER_ENDED)
                self._worker = self._start_worker()
            return
        if worker.busy_s(now_s) >= max(capture.open_timeout_s, capture.read_timeout_s) + STUCK_S:
            self._replace_stuck(worker)

    def _replace_stuck(self, worker: _Worker) -> None:
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= MAX_STUCK_THREADS:
            self._lose(ALL_HANG)
            return
        worker.retired.set()
        self._stuck.append(worker.thread)
        self._lose(HANGS)
        self._worker = self._start_worker()

    def _lose(self, reason: str) -> None:
        if self._board.fail(Phase.LOST, reason):
            log.warning("camera %s: %s", self._camera, reason)


class _Worker:
    """One reading thread: opens, reads, and opens again until it is stopped or retired."""

    def __init__(
        self,
        camera: str,
        opener: Callable[[], Capture],
        clock: Clock,
        options: LiveOptions,
        *,
        board: Board,
        stop: threading.Event,
        diagnose: Callable[[], str] | None,
        chance: Callable[[], float],
    ) -> None:
        self._camera, self._opener, self._clock = camera, opener, clock
        self._options, self._board, self._stop = options, board, stop
        self._diagnose, self._chance = diagnose, chance
        self._busy_since_s: float | None = None
        self.made_s = clock.now().mono_s
        self.retired = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"video-{camera}", daemon=True)

    def busy_s(self, now_s: float) -> float:
        """How long the present native call has lasted."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else now_s - since_s

    def _over(self) -> bool:
        return self._stop.is_set() or self.retired.is_set()

    def _run(self) -> None:
        failures = 0
        while not self._over():
            fault, steady = None, False
            try:
                reason, steady = self._watch(failures)
            except Exception as error:  # noqa: BLE001 - whatever one try fails with, the next may succeed
                # Its name only: its text may hold the address. The log's own filter blanks that.
                reason, fault = f"reading it fails with {type(error).__name__}; it is tried again", error
            if self._over():
                return
            failures = 1 if steady else failures + 1
            if self._board.fail(Phase.LOST, reason):
                log.warning("camera %s: %s", self._camera, reason, exc_info=fault)
            self._stop.wait(self._options.backoff.delay_s(failures, self._chance()))

    def _watch(self, failures: int) -> tuple[str, bool]:
        """Open the stream and read it until it fails; the reason why, and whether it had been live for long."""
        began_s = self._clock.now().mono_s
        try:
            with self._native():
                capture = TimedCapture(self._opener(), self._board.tally)
        except SourceError as error:
            return self._explain(str(error), failures, self._clock.now().mono_s - began_s), False
        reason = self._stream(capture)
        return reason, self._clock.now().mono_s - began_s >= STEADY_S

    @contextmanager
    def _native(self) -> Iterator[None]:
        """A call into native code, which may never return."""
        self._busy_since_s = self._clock.now().mono_s
        try:
            yield
        finally:
            self._busy_since_s = None

    def _explain(self, complaint: str, failures: int, took_s: float) -> str:
        """Ask what is wrong where that is cheap or wasn't done lately: a long outage mustn't wait for answers."""
        if self._diagnose is None or self._over():
            return complaint
        if took_s > QUICK_FAILURE_S and failures % DIAGNOSE_EVERY:
            return self._board.state().reason or complaint
        return self._diagnose()

    def _stream(self, capture: TimedCapture) -> str:
        """Read until the stream fails, and say why it did."""
        if self._over():
            capture.close()
            return ""
        self._board.opened()
        try:
            return _Reading(self._camera, capture, self._clock, self._options, self._board).run(self)
        finally:
            capture.close()

    def grab(self, capture: TimedCapture) -> bool | None:
        """Read the next picture: whether one came, or ``None`` when the wait for it used up the read timeout."""
        began_s = self._clock.now().mono_s
        with self._native():
            ok = capture.grab()
        took_s = self._clock.now().mono_s - began_s
        return None if took_s >= self._options.capture.read_timeout_s else ok

    def grab_persistently(self, capture: TimedCapture) -> str:
        """Read the next picture in spite of damaged ones; the reason why there is none, or empty when there is."""
        began_s = self._clock.now().mono_s
        while not self._over():
            ok = self.grab(capture)
            if ok:
                return ""
            if ok is None:
                return TIMED_OUT
            if self._clock.now().mono_s - began_s >= GIVE_UP_READ_S:
                return CLOSED
            self._stop.wait(FAILED_READ_PAUSE_S)
        return CLOSED


class _Reading:
    """One open stream, from its first picture to its last."""

    def __init__(self, camera: str, capture: TimedCapture, clock: Clock, options: LiveOptions, board: Board) -> None:
        self._camera, self._capture, self._clock, self._board = camera, capture, clock, board
        self._freshness = Freshness()
        self._stillness = Stillness(options.identical_s)
        self._pace = Pace(options.max_fps)

    def run(self, worker: _Worker) -> str:
        """Read on and on; returns the reason why that ended."""
        while True:
            reason = worker.grab_persistently(self._capture)
            if reason or worker.retired.is_set():
                return reason
            if self._use() is Verdict.HOPELESS:
                return BEHIND

    def _use(self) -> Verdict:
        now = self._clock.now()
        judgement = self._freshness.judge(now.mono_s, self._capture.pts_s())
        self._board.tally.frames += 1
        if judgement.verdict is not Verdict.FRESH:
            self._board.tally.dropped += 1
            return judgement.verdict
        self._board.arrived(now.mono_s)
        if not self._pace.wants(now.mono_s):
            self._board.tally.dropped += 1
            return judgement.verdict
        self._deliver(now, judgement.lag_s)
        return judgement.verdict

    def _deliver(self, now: Instant, lag_s: float) -> None:
        image = self._capture.retrieve()
        if image is None:
            self._board.tally.damaged += 1
            return
        if self._stillness.update(image, now.mono_s):
            self._board.tally.dropped += 1
            if self._board.fail(Phase.FROZEN, IDENTICAL):
                log.warning("camera %s: %s", self._camera, IDENTICAL)
            return
        at = Instant(now.mono_s - lag_s, now.utc_s - lag_s, now.synced, now.error_ms)
        if self._board.put(Frame(self._camera, self._board.tally.frames, image, at)):
            log.info("camera %s: live with %d x %d pixels", self._camera, image.shape[1], image.shape[0])
