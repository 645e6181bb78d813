"""The loop at the heart of a running box: due cameras' newest frames go through the model and on to records.

One thread looks at all cameras in fair shares. It never blocks on a camera, never lets a queue grow (each camera
holds one waiting frame, the newest), and a source, model or scene that fails on one camera leaves the others going.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.clock import Clock
from agent.errors import ModelError, SourceError
from agent.pipeline import CameraPipeline, Seen
from agent.records import Record
from agent.scene import Link
from agent.scene.values import LinkState
from agent.stages import StageTimes
from agent.values import Detections, Frame
from agent.video.source import Phase, Source
from agent.vision.detector import Detector
from agent.vision.scheduler import FairShare

LOG: Final = logging.getLogger("kentongan.watching")
TICK_S: Final = 1.0
"""How often time passes for a camera without frames: a dead one must be told within a second or so."""
_IDLE_S: Final = 0.004
"""Longest sleep while a frame may come: a fraction of what a detection takes."""


class Sink(Protocol):
    """Where records go: the outbox."""

    def put(self, records: Sequence[Record], state: Mapping[str, str]) -> None:
        """Take records and the state that belongs to them; both become durable together."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """Everything the loop holds of one camera.

    Attributes:
        source: Where its frames come from.
        detector: What looks at them; shared with other cameras of the same model.
        pipeline: What becomes of what was seen.
        waiting: The newest frame that was not looked at yet.
        replaced: Frames that waited here and were replaced by newer ones.
        saved: The state that was handed to the sink last.
        ticked_s: When time last passed for it, monotonic.
        failing: Why its frames can't be made into counts now; empty while they can.
        detections: Frames that were looked at.
        on_seen: Called with every frame that was looked at, and what it came to.
    """

    source: Source
    detector: Detector
    pipeline: CameraPipeline
    waiting: Frame | None = None
    replaced: int = 0
    saved: str = ""
    ticked_s: float = float("-inf")
    failing: str = ""
    detections: int = 0
    on_seen: Callable[[Frame, Seen], None] | None = field(default=None)

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.pipeline.camera.name


_LINK_STATES: Final[dict[Phase, LinkState]] = {
    Phase.CONNECTING: "connecting",
    Phase.LIVE: "live",
    Phase.FROZEN: "frozen",
    Phase.LOST: "lost",
    Phase.ENDED: "lost",
}


class WatchLoop(threading.Thread):
    """Looks at every camera until it is stopped.

    Args:
        lanes: The cameras.
        sink: Where records and state go.
        clock: The agent's clock.
        times: Charged with what the model's stages take.

    Attributes:
        alive_s: ``time.monotonic()`` of the last turn, for the watchdog.
    """

    def __init__(self, lanes: Sequence[Lane], sink: Sink, clock: Clock, times: StageTimes) -> None:
        super().__init__(name="watching", daemon=True)
        self.alive_s = time.monotonic()
        self._lanes = {lane.name: lane for lane in lanes}
        self._sink = sink
        self._clock = clock
        self._times = times
        self._share = FairShare({lane.name: lane.pipeline.camera.detect_fps for lane in lanes})
        self._stopping = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        while not self._stopping.is_set():
            self.alive_s = time.monotonic()
            if not self.turn():
                self._stopping.wait(_IDLE_S)
        self._finish()

    def stop(self) -> None:
        """Ask the loop to end; what is open is closed and handed to the sink before the thread ends."""
        self._stopping.set()

    def achieved_fps(self, camera: str) -> float | None:
        """Detections a second that a camera got over the last seconds."""
        return self._share.achieved_fps(camera, self._clock.now().mono_s)

    def turn(self) -> bool:
        """One look at whoever is due; ``False`` when nobody was."""
        now = self._clock.now()
        for lane in self._lanes.values():
            if self._share.wait_s((lane.name,), now.mono_s) == 0:
                self._read(lane)
            if now.mono_s - lane.ticked_s >= TICK_S:
                lane.ticked_s = now.mono_s
                self._tick(lane)
        chosen = self._choose(now.mono_s)
        if chosen:
            self._look(chosen)
        return bool(chosen)

    def _read(self, lane: Lane) -> None:
        try:
            frame = lane.source.read(0.0)
        except SourceError as error:  # a file that breaks off; what it is now, its state says
            LOG.error("camera %s: %s", lane.name, error)  # noqa: TRY400 - the sentence says it all
            return
        if frame is not None:
            lane.replaced += lane.waiting is not None
            lane.waiting = frame

    def _choose(self, now_s: float) -> list[Lane]:
        """The camera that is furthest behind, and others that fit into the same run of its model."""
        ready = [name for name, lane in self._lanes.items() if lane.waiting is not None]
        first = self._share.next(ready, now_s)
        if not first:
            return []
        detector = self._lanes[first[0]].detector
        others = [name for name in ready if name != first[0] and self._lanes[name].detector is detector]
        more = self._share.next(others, now_s, detector.batch_limit - 1) if detector.batch_limit > 1 else []
        return [self._lanes[name] for name in first + more]

    def _look(self, chosen: list[Lane]) -> None:
        """Run the model on the waiting frames; where it fails on several at once, on each alone."""
        frames = [(lane, lane.waiting) for lane in chosen if lane.waiting is not None]
        for lane in chosen:
            lane.waiting = None
        try:
            self._detect(frames)
        except ModelError as error:
            if len(frames) == 1:
                self._fails(chosen[0], str(error))
                return
            for pair in frames:
                try:
                    self._detect([pair])
                except ModelError as single:
                    self._fails(pair[0], str(single))

    def _detect(self, frames: list[tuple[Lane, Frame]]) -> None:
        detector = frames[0][0].detector
        found = detector.detect([frame.image for _, frame in frames])
        self._charge(detector)
        for (lane, frame), detections in zip(frames, found, strict=True):
            self._see(lane, frame, detections)

    def _see(self, lane: Lane, frame: Frame, detections: Detections) -> None:
        with self._contained(lane):
            seen = lane.pipeline.see(frame, detections)
            if lane.failing:
                LOG.warning("camera %s works again", lane.name)
            lane.failing = ""
            lane.detections += 1
            self._share.done(lane.name, self._clock.now().mono_s)
            self._keep(lane, seen.records)
            if lane.on_seen is not None:
                lane.on_seen(frame, seen)

    def _charge(self, detector: Detector) -> None:
        for stage in ("preprocess", "model", "postprocess"):
            cost = getattr(detector.cost, stage)
            self._times.add(stage, cost.wall_s, cost.cpu_s)

    @contextmanager
    def _contained(self, lane: Lane) -> Iterator[None]:
        """A fault of ours on one camera must not end the counting on all."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as said
            self._fails(lane, f"its scene fails: {error!r}", error)

    def _fails(self, lane: Lane, why: str, fault: Exception | None = None) -> None:
        if not lane.failing:
            LOG.error("camera %s: %s; its intervals are invalid until that is over", lane.name, why, exc_info=fault)
        lane.failing = why

    def _tick(self, lane: Lane) -> None:
        state = lane.source.state()
        is_failing = lane.failing and state.phase is Phase.LIVE
        link = Link("live", "model_failed") if is_failing else Link(_LINK_STATES[state.phase], state.reason)
        with self._contained(lane):
            self._keep(lane, lane.pipeline.tick(self._clock.now(), link), save=True)

    def _keep(self, lane: Lane, records: list[Record], *, save: bool = False) -> None:
        """Hand records on with the state that belongs to them; state alone only when it has changed."""
        if not records and not save:
            return
        snapshot = lane.pipeline.snapshot()
        if records or snapshot != lane.saved:
            lane.saved = snapshot
            with self._times.measure("outbox"):
                self._sink.put(records, {lane.name: snapshot})

    def _finish(self) -> None:
        for lane in self._lanes.values():
            with self._contained(lane):
                self._keep(lane, lane.pipeline.stop(self._clock.now()), save=True)
