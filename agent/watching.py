"""The loop at the heart of a running box: due cameras' newest frames go through the model and on to records.

One thread looks at all cameras in fair shares. It never blocks on a camera, never lets a queue grow (each camera
holds one waiting frame, the newest), and a model or a scene that fails on one camera leaves the others going.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.clock import Clock
from agent.errors import ModelError
from agent.pipeline import CameraPipeline, Seen
from agent.records import Record
from agent.scene import Link
from agent.scene.values import LinkState
from agent.stages import StageTimes
from agent.values import Frame
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
    """Everything the loop holds of one camera."""

    source: Source
    detector: Detector
    pipeline: CameraPipeline
    waiting: Frame | None = None
    saved: str = ""
    ticked_s: float = -1.0
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
                lane.waiting = lane.source.read(0.0) or lane.waiting
            if now.mono_s - lane.ticked_s >= TICK_S:
                lane.ticked_s = now.mono_s
                self._tick(lane)
        chosen = self._choose(now.mono_s)
        if chosen:
            self._look(chosen)
        return bool(chosen)

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
        frames = [lane.waiting for lane in chosen if lane.waiting is not None]
        for lane in chosen:
            lane.waiting = None
        detector = chosen[0].detector
        try:
            found = detector.detect([frame.image for frame in frames])
        except ModelError as error:
            self._model_failed(chosen, str(error))
            return
        self._charge(detector)
        for lane, frame, detections in zip(chosen, frames, found, strict=True):
            lane.failing = ""
            lane.detections += 1
            seen = lane.pipeline.see(frame, detections)
            self._share.done(lane.name, self._clock.now().mono_s)
            self._keep(lane, seen.records)
            if lane.on_seen is not None:
                lane.on_seen(frame, seen)

    def _charge(self, detector: Detector) -> None:
        for stage in ("preprocess", "model", "postprocess"):
            cost = getattr(detector.cost, stage)
            self._times.add(stage, cost.wall_s, cost.cpu_s)

    def _model_failed(self, chosen: list[Lane], why: str) -> None:
        for lane in chosen:
            if not lane.failing:
                LOG.error("camera %s: %s; its intervals are invalid until the model works again", lane.name, why)
            lane.failing = why

    def _tick(self, lane: Lane) -> None:
        state = lane.source.state()
        link = Link("live", "model_failed") if lane.failing else Link(_LINK_STATES[state.phase], state.reason)
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
            self._keep(lane, lane.pipeline.stop(self._clock.now()), save=True)
