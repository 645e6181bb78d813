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
from typing import Final, Protocol, TypeAlias

from agent.changes import Changes
from agent.clock import Clock
from agent.config.schema import Camera
from agent.errors import KentonganError, SourceError
from agent.pipeline import CameraPipeline, Seen
from agent.records import ModelRef, Record
from agent.scene import Link
from agent.scene.values import LIVE, Evidence, LinkState
from agent.stages import StageTimes
from agent.values import Detections, Frame, Image
from agent.video.source import Phase, Source
from agent.view_log import ViewLog
from agent.vision.detector import Detector
from agent.vision.scheduler import FairShare

LOG: Final = logging.getLogger("kentongan.watching")
TICK_S: Final = 1.0
"""How often time passes for a camera without frames: intervals end, and state is saved."""
POLL_S: Final = 0.2
"""How often a camera is asked how it is. Time passes at once where that is news: a dead one is told within a second,
of which its reader takes 0.4 s to be sure."""
TILES: Final = 2
"""Tiles in one run of a model that takes several: a run must stay short, somebody may become due."""
_IDLE_S: Final = 0.004
"""Longest sleep while a frame may come: a fraction of what a detection takes."""


class Sink(Protocol):
    """Where records go: the outbox."""

    def put(self, records: Sequence[Record], state: Mapping[str, str]) -> None:
        """Take records and the state that belongs to them; both become durable together."""
        ...


class Witness(Protocol):
    """Who keeps evidence of one camera; none of these calls ever waits."""

    def show(self, frame: Frame) -> None:
        """Take a frame that was looked at."""
        ...

    def hear(self, records: Sequence[Record]) -> None:
        """Take what was recorded."""
        ...

    def finished(self) -> list[Evidence]:
        """Clips that were finished since the last call."""
        ...


class Overseer(Protocol):
    """Who is told how the models fare; none of these calls ever waits."""

    def saw(self, slot: str, image: Image, found: Detections, took_s: float, *, rested: bool) -> None:
        """A model, by its name in the configuration, has looked at a frame; ``rested`` where the loop had to wait."""
        ...

    def failed(self, slot: str, why: str) -> None:
        """A model could not look at a frame."""
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
        saved: The states that were handed to the sink last, by name.
        polled_s: When it was last asked how it is, monotonic.
        ticked_s: When time last passed for it, monotonic.
        told: How its pipeline believes that the way to the camera is.
        failing: Why its frames can't be made into counts now; empty while they can.
        detections: Frames that were looked at.
        on_seen: Called with every frame that was looked at, and what it came to.
        witness: Who keeps evidence of the camera; ``None`` where nothing is kept.
        tiled_s: When a tile of it was last looked at, monotonic.
    """

    source: Source
    detector: Detector
    pipeline: CameraPipeline
    waiting: Frame | None = None
    replaced: int = 0
    saved: dict[str, str] = field(default_factory=dict)
    polled_s: float = float("-inf")
    ticked_s: float = float("-inf")
    told: Link | None = None
    failing: str = ""
    detections: int = 0
    on_seen: Callable[[Frame, Seen], None] | None = field(default=None)
    witness: Witness | None = None
    tiled_s: float = float("-inf")

    @property
    def name(self) -> str:
        """The camera's name."""
        return self.pipeline.camera.name


Wish: TypeAlias = Callable[[Lane], tuple[str, list[Record]]]
"""What may be asked of a camera's lane: it returns an answer, and the records it made."""

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
        overseer: Who is told how the models fare; nobody if ``None``.

    Attributes:
        alive_s: ``time.monotonic()`` of the last turn, for the watchdog.
        cameras: Their names.
        changes: What other threads want done between two frames; the only way in which they may change a lane.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        sink: Sink,
        clock: Clock,
        times: StageTimes,
        overseer: Overseer | None = None,
    ) -> None:
        super().__init__(name="watching", daemon=True)
        self.alive_s = time.monotonic()
        self.changes = Changes()
        self._lanes = {lane.name: lane for lane in lanes}
        self.cameras = tuple(self._lanes)
        self._sink = sink
        self._clock = clock
        self._times = times
        self._share = FairShare({lane.name: lane.pipeline.camera.detect_fps for lane in lanes})
        self._overseer = overseer
        self._rested = False
        self._views = ViewLog()
        self._stopping = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        try:
            while not self._stopping.is_set():
                self.alive_s = time.monotonic()
                if not self.turn():
                    self._stopping.wait(_IDLE_S)
        finally:
            self._finish()

    def stop(self) -> None:
        """Ask the loop to end; what is open is closed and handed to the sink before the thread ends."""
        self._stopping.set()

    def achieved_fps(self, camera: str) -> float | None:
        """Detections a second that a camera got over the last seconds."""
        return self._share.achieved_fps(camera, self._clock.now().mono_s)

    def links(self) -> dict[str, Link | None]:
        """How the way to each camera is believed to be; ``None`` before that is known."""
        return {name: lane.told for name, lane in self._lanes.items()}

    def grant(self, camera: str, wish: Wish) -> str:
        """Do what was asked for, keep what it made, and give its answer; to be done between frames."""
        lane = self._lanes[camera]
        told, records = wish(lane)
        self._keep(lane, records, save=True)
        return told

    def exchange(self, slot: str, detector: Detector, model: ModelRef) -> None:
        """Let another detector look for all cameras of a slot; to be done between frames. Tracks go on."""
        for lane in self._lanes.values():
            if lane.pipeline.camera.model == slot:
                lane.detector = detector
                lane.pipeline.credit(model)

    def redraw(self, camera: Camera, source: Source | None = None) -> None:
        """Go on with other lines, zones, ground or rate of a camera; to be done between frames. Tracks go on.

        Args:
            camera: Its new configuration.
            source: Where its frames come from now; ``None`` where that stays.
        """
        lane = self._lanes[camera.name]
        records = lane.pipeline.redraw(camera, self._clock.now())
        self._share.ask(camera.name, camera.detect_fps)
        lane.told = None
        if source is not None:
            lane.source = source
        self._keep(lane, records, save=True)

    def turn(self) -> bool:
        """One look at whoever is due; ``False`` when nobody was."""
        self.changes.do_waiting()
        now = self._clock.now()
        for lane in self._lanes.values():
            if self._share.wait_s((lane.name,), now.mono_s) == 0:
                self._read(lane)
            if now.mono_s - lane.polled_s >= POLL_S:
                lane.polled_s = now.mono_s
                self._poll(lane, now.mono_s)
        chosen = self._choose(now.mono_s)
        if chosen:
            self._look(chosen)
            self._rested = False
            return True
        if self._look_again():
            return True
        self._rested = True
        return False

    def _read(self, lane: Lane) -> None:
        with self._contained(lane, "its source"):
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
        frames = [(lane, lane.waiting) for lane in chosen if lane.waiting is not None]
        for lane in chosen:
            lane.waiting = None
        self._detect(frames)

    def _detect(self, frames: list[tuple[Lane, Frame]]) -> None:
        """Run the model on frames; where it fails on several at once, on each alone."""
        detector = frames[0][0].detector
        try:
            found = detector.detect([frame.image for _, frame in frames])
            self._charge(detector)
        except Exception as error:  # noqa: BLE001 - of any kind: memory that runs out in one picture, OpenCV's own
            if len(frames) == 1:
                self._fails(frames[0][0], "its model", error)
                if self._overseer is not None:
                    self._overseer.failed(frames[0][0].pipeline.camera.model, frames[0][0].failing)
            else:
                for pair in frames:
                    self._detect([pair])
            return
        cost = detector.cost
        took_s = (cost.preprocess.wall_s + cost.model.wall_s + cost.postprocess.wall_s) / len(frames)
        for (lane, frame), detections in zip(frames, found, strict=True):
            self._see(lane, frame, detections)
            if self._overseer is not None:
                slot = lane.pipeline.camera.model
                self._overseer.saw(slot, frame.image, detections, took_s, rested=self._rested)

    def _look_again(self) -> bool:
        """While nobody is due: look at the next tile of a second look; ``False`` when there is none.

        One run of the model at a time, so that whoever becomes due meanwhile waits for no longer than a camera would.
        """
        for lane in sorted(self._lanes.values(), key=lambda lane: lane.tiled_s):
            taken = lane.detector.description.input
            with self._contained(lane, "its scene"):
                if not lane.pipeline.wants_tiles:
                    continue
                tiles = lane.pipeline.tiles((taken.width_px, taken.height_px), min(TILES, lane.detector.batch_limit))
                lane.tiled_s = self._clock.now().mono_s
                if tiles:
                    lane.pipeline.take_tiles(self._seen_in(lane.detector, tiles))
                    return True
        return False

    def _seen_in(self, detector: Detector, tiles: Sequence[Image]) -> list[Detections] | None:
        try:
            found = detector.detect(tiles)
        except Exception as error:  # noqa: BLE001 - the whole picture goes through the same model, and tells
            LOG.debug("a second look failed: %s", error)
            return None
        self._charge(detector)
        return found

    def _see(self, lane: Lane, frame: Frame, detections: Detections) -> None:
        with self._contained(lane, "its scene"):
            seen = lane.pipeline.see(frame, detections)
            lane.told = LIVE
            if lane.failing:
                LOG.warning("camera %s works again", lane.name)
            lane.failing = ""
            lane.detections += 1
            self._share.done(lane.name, self._clock.now().mono_s)
            self._keep(lane, seen.records)
            if lane.witness is not None:
                lane.witness.show(frame)
            if lane.on_seen is not None:
                lane.on_seen(frame, seen)

    def _charge(self, detector: Detector) -> None:
        for stage in ("preprocess", "model", "postprocess"):
            cost = getattr(detector.cost, stage)
            self._times.add(stage, cost.wall_s, cost.cpu_s)

    @contextmanager
    def _contained(self, lane: Lane, part: str) -> Iterator[None]:
        """A fault of ours on one camera must not end the counting on all."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as said
            self._fails(lane, part, error)

    def _fails(self, lane: Lane, part: str, error: Exception) -> None:
        """Note a failure, and log the first of a row; what nobody foresaw by its name, and with where it happened."""
        foreseen = isinstance(error, KentonganError)
        why = str(error) if foreseen else f"{part} fails with {type(error).__name__}; tell the maintainers"
        if not lane.failing:
            text = "camera %s: %s; its intervals are invalid until that is over"
            LOG.error(text, lane.name, why, exc_info=None if foreseen else error)
        lane.failing = why

    def _poll(self, lane: Lane, now_s: float) -> None:
        """Ask a camera how it is, and let time pass for it when that is news or it is time."""
        if lane.witness is not None and (finished := lane.witness.finished()):
            with self._contained(lane, "its scene"):
                self._keep(lane, lane.pipeline.attest(self._clock.now(), finished), save=True)
        link = self._link(lane)
        if link == lane.told and now_s - lane.ticked_s < TICK_S:
            return
        lane.told, lane.ticked_s = link, now_s
        if link.state != "live":
            lane.waiting = None  # from before the trouble: looked at now it would look like the end of it
        with self._contained(lane, "its scene"):
            self._keep(lane, lane.pipeline.tick(self._clock.now(), link), save=True)

    def _link(self, lane: Lane) -> Link:
        """How the way to a camera is; a fault of ours spoils its intervals but is no loss of the camera."""
        with self._contained(lane, "its source"):
            state = lane.source.state()
            if not lane.failing or state.phase is not Phase.LIVE:
                return Link(_LINK_STATES[state.phase], state.reason)
        return Link("live", "model_failed")

    def _keep(self, lane: Lane, records: list[Record], *, save: bool = False) -> None:
        """Hand records on with the state that belongs to them; state alone only when it has changed."""
        if not records and not save:
            return
        if lane.witness is not None:
            lane.witness.hear(records)
        states = lane.pipeline.states()
        changed = {name: text for name, text in states.items() if lane.saved.get(name) != text}
        if records or changed:
            lane.saved = states
            with self._times.measure("outbox"):
                self._sink.put(records, changed)
        self._views.tell(lane.name, records)

    def _finish(self) -> None:
        self.changes.end()
        for lane in self._lanes.values():
            with self._contained(lane, "its scene"):
                self._keep(lane, lane.pipeline.stop(self._clock.now()), save=True)
