"""Builds the running box from its configuration: the only place that knows every part.

Cameras, models, pipelines, outbox and link are made here, started in the order of the data and stopped in the same
order, so that nothing that was counted is left behind. The parts know nothing of each other but narrow protocols.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from agent.assembly import configured_models, model_ref, open_configured
from agent.changes import EndedError
from agent.clock import Clock, SystemClock, machine_boot
from agent.config.schema import Camera, Config, Secrets
from agent.evidence.keeper import EvidenceKeeper
from agent.health import birth_of, health_of
from agent.herald import Herald
from agent.mqtt.client import Link
from agent.mqtt.credentials import tls_context
from agent.mqtt.health import Health
from agent.outbox import Outbox, OutboxWriter
from agent.pipeline import CameraPipeline
from agent.records import ModelRef
from agent.stages import StageTimes
from agent.updating import Updating
from agent.video import CaptureOptions, LiveOptions, SourceOptions, open_source, parse_address
from agent.video.source import Source
from agent.vision.detector import Detector
from agent.watching import Lane, WatchLoop
from agent.wishes import Wishes

LOG: Final = logging.getLogger("kentongan.app")
STALE_S: Final = 15.0
"""A stage that shows no life for so long is stuck: longer than any model takes, shorter than the watchdog."""
CHANGE_S: Final = 2 * STALE_S
"""How long an update waits for its turn between two frames: a loop that takes longer is stuck, and the agent with it
is started afresh, by what the disk says is in charge."""

_UPDATING_STOPS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether every stage lives; ``stuck`` names those that do not."""

    stuck: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is stuck."""
        return not self.stuck


class App:
    """One running box.

    Args:
        config: What to watch and where to publish.
        secrets: The passwords the configuration names.
        clock: The agent's clock.
        loop_files: Play a camera that is a file again from its start, for ever.
        on_lane: Called with every camera's lane before anything starts, for those who want to look on.
        file: Where the configuration was read, for signed changes to it; without it there are none.

    Raises:
        ModelError: A model is refused.
        OutboxError: The state folder can't be used.
        SourceError: A camera's address can mean nothing, or a file can't be read.
        ConfigError: A certificate or key can't be read.
    """

    def __init__(
        self,
        config: Config,
        secrets: Secrets,
        *,
        clock: Clock | None = None,
        loop_files: bool = False,
        on_lane: Callable[[Lane], None] | None = None,
        file: Path | None = None,
    ) -> None:
        self.config = config
        self.times = StageTimes()
        self.boot = str(uuid4())
        with ExitStack() as undo:
            self._build(secrets, clock, undo, loop_files=loop_files, file=file)
            undo.pop_all()
        for lane in self.lanes:
            if on_lane is not None:
                on_lane(lane)
        self.loop = WatchLoop(self.lanes, self.writer, self.clock, self.times, self.updating)

    def _build(
        self, secrets: Secrets, clock: Clock | None, undo: ExitStack, *, loop_files: bool, file: Path | None
    ) -> None:
        """Make what holds files and connections; ``undo`` closes it again when a later part can't be made."""
        config, machine = self.config, machine_boot()
        self.outbox = Outbox(
            config.state_dir / "outbox.db",
            boot=self.boot,
            clock=clock or SystemClock(),
            machine=machine,
            max_bytes=config.outbox.max_mb * 1_000_000,
        )
        undo.callback(self.outbox.close)
        # Time can't be earlier than what the box already recorded: a Pi wakes without a clock.
        self.clock = clock or SystemClock(not_before_s=self.outbox.newest_s())
        self._started_s = self.clock.now().mono_s
        self.updating, self.detectors = _models(config, file, self.clock, undo)
        if self.updating is not None:
            self.config = config = self.updating.config
        self.writer = OutboxWriter(self.outbox, commit_s=config.outbox.commit_ms / 1000)
        self.wishes = Wishes(lambda: self.loop, self.writer, self.clock, config.state_dir)
        self.link = Link(
            config.mqtt,
            device=config.device,
            boot=self.boot,
            store=self.outbox,
            settler=self.writer,
            clock=self.clock,
            machine=machine,
            password=None if secrets.mqtt is None else secrets.mqtt.get_secret_value(),
            tls=None if config.mqtt.plaintext else tls_context(config.mqtt.tls),
            orders=(*self.wishes.orders(), *(() if self.updating is None else self.updating.orders())),
            on_cost=partial(self.times.add, "send"),
        )
        undo.callback(self.link.stop, 0)
        self.writer.on_commit(self.link.wake)
        self.keeper = None if config.evidence is None else EvidenceKeeper(config, self.clock)
        self._open_source = partial(self._source, secrets=secrets, loop=loop_files)
        state = self.outbox.load_state()
        self.herald = None if self.updating is None else Herald(self.updating, self.writer, state)
        self.lanes = self._make_lanes(state, undo)

    def start(self) -> None:
        """Start every part, the last of the data's way first, so that nothing waits for its successor."""
        self.writer.start()
        self.link.publish_birth(birth_of(self))
        self.link.start()
        if self.keeper is not None:
            self.keeper.start()
        self.loop.start()
        if self.updating is not None:
            self.updating.start(self)
        LOG.info("watching %d cameras as %s", len(self.lanes), self.config.device)

    def stop(self, timeout_s: float = 4.5, *, well: bool = True) -> bool:
        """Stop in the order of the data; what was counted is durable when this returns.

        Args:
            timeout_s: Longest wait.
            well: The box was told to stop, and does not end for a stage that is stuck.

        Returns:
            Whether everything ended in time.
        """
        end_s = time.monotonic() + timeout_s
        if self.updating is not None:
            self.updating.stop(well=well, timeout_s=min(_UPDATING_STOPS_S, timeout_s))
        self.loop.stop()
        self.loop.join(min(1.5, timeout_s))
        closers = [threading.Thread(target=lane.source.close, daemon=True) for lane in self.lanes]
        for closer in closers:
            closer.start()
        sealed = self.keeper is None or self.keeper.stop(max(0.2, min(1.5, end_s - time.monotonic())))
        flushed = self.writer.flush(max(0.2, min(1.5, end_s - time.monotonic())))
        left = self.link.stop(max(0.2, end_s - time.monotonic() - 0.5))
        ended = self.writer.stop(max(0.2, end_s - time.monotonic()))
        closed = self.outbox.close(max(0.1, end_s - time.monotonic()))
        for closer in closers:
            closer.join(max(0.0, end_s - time.monotonic()))
        return sealed and flushed and left and ended and closed and not self.loop.is_alive()

    def publish_health(self) -> Health:
        """Look at every part and send what was seen."""
        health = health_of(self)
        self.link.publish_health(health)
        return health

    def tell_updates(self) -> bool:
        """Record what is new in the updates; if a state or reason has changed, say birth again and return true."""
        if self.herald is None or not self.herald.tell(self.clock.now(), self._models_in_charge()):
            return False
        self.link.publish_birth(birth_of(self))
        return True

    def exchange(self, slot: str, detector: Detector) -> None:
        """See :class:`agent.updating.Running`.

        Raises:
            BusyError: The watching thread has no time; what was running runs on.
        """

        def take_over() -> None:
            self.loop.exchange(slot, detector, model_ref(detector.description))
            self.detectors = {**self.detectors, slot: detector}

        self._between_frames(take_over)

    def redraw(self, config: Config) -> None:
        """See :class:`agent.updating.Running`; a camera whose rate changes is opened anew.

        Raises:
            KentonganError: A camera can't be opened, or the watching thread has no time; all goes on as it was.
        """
        replaced = {lane.name: lane.source for lane in self.lanes}
        pairs = [pair for pair in zip(self.config.cameras, config.cameras, strict=True) if pair[0] != pair[1]]
        opened: dict[str, Source] = {}

        def draw() -> None:
            for _, camera in pairs:
                self.loop.redraw(camera, opened.get(camera.name))
            self.config = config

        with ExitStack() as unused:
            for old, new in pairs:
                if old.detect_fps != new.detect_fps:
                    opened[new.name] = unused.enter_context(closing(self._open_source(new)))
            if not self._between_frames(draw):
                return
            unused.pop_all()
        for camera in opened:
            replaced[camera].close()
        self.link.publish_birth(birth_of(self))

    def _between_frames(self, change: Callable[[], None]) -> bool:
        """Have the watching thread change something; ``False`` when it has ended.

        That is no fault of what is new: the agent is ending, and the next start goes by what the disk says.

        Raises:
            BusyError: The watching thread has no time: it is not done, and never will be.
        """
        try:
            self.loop.changes.ask(change, CHANGE_S)
        except EndedError:
            LOG.info("the agent is ending; what is new is for its next start")
            return False
        return True

    def broker_connected(self) -> bool:
        """See :class:`agent.updating.Running`."""
        return self.link.state().connected

    def uptime_s(self) -> float:
        """Seconds since this was made."""
        return self.clock.now().mono_s - self._started_s

    def clock_problems(self) -> tuple[str, ...]:
        """Why the clock can't be trusted, one sentence; empty when it can."""
        why = self.clock.problem() if isinstance(self.clock, SystemClock) else None
        return () if why is None else (why,)

    def liveness(self) -> Liveness:
        """Whether every stage still makes its turns; a camera or broker that is away is no reason to be stuck."""
        now_s = time.monotonic()
        stuck = []
        if not self.loop.is_alive() or now_s - self.loop.alive_s > STALE_S:
            stuck.append("watching")
        stuck += [
            part for part, alive in (("outbox", self.writer.is_alive()), ("mqtt", self.link.is_alive())) if not alive
        ]
        if self.updating is not None and not self.updating.is_alive():
            stuck.append("updating")  # nobody would take a bad model back
        return Liveness(tuple(stuck))

    def _models_in_charge(self) -> dict[str, ModelRef]:
        return {slot: model_ref(detector.description) for slot, detector in self.detectors.items()}

    def _make_lanes(self, state: Mapping[str, str], undo: ExitStack) -> list[Lane]:
        lanes = []
        for camera in self.config.cameras:
            detector = self.detectors[camera.model]
            witness = None if self.keeper is None else self.keeper.witness(camera.name)
            pipeline = CameraPipeline(
                camera,
                device=self.config.device,
                model=model_ref(detector.description),
                state=state,
                times=self.times,
                machine=machine_boot(),
                evidence=witness is not None,
            )
            source = self._open_source(camera)
            undo.callback(source.close)
            lanes.append(Lane(source, detector, pipeline, witness=witness))
        return lanes

    def _source(self, camera: Camera, *, secrets: Secrets, loop: bool) -> Source:
        password = secrets.cameras.get(camera.name)
        address = parse_address(
            camera.source, user=camera.login.user, password=None if password is None else password.get_secret_value()
        )
        live = LiveOptions(
            capture=CaptureOptions(transport=camera.transport),
            identical_s=camera.identical_s,
            max_fps=camera.detect_fps,  # nobody looks at more
        )
        return open_source(address, camera.name, self.clock, SourceOptions(live=live, paced=True, loop=loop))


def _models(
    config: Config, file: Path | None, clock: Clock, undo: ExitStack
) -> tuple[Updating | None, dict[str, Detector]]:
    """One detector per model that some camera uses; where updates are taken, of whatever is in charge by now."""
    models = configured_models(config)
    if config.update is not None:
        updating = Updating(config, file, models, clock)
        undo.callback(updating.stop)  # a start that fails for another part or model is no crash of a new one
        return updating, updating.open_detectors()
    used = sorted({camera.model for camera in config.cameras})
    return None, {name: open_configured(models[name]) for name in used}
