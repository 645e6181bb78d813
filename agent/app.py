"""Builds the running box from its configuration: the only place that knows every part.

Cameras, models, pipelines, outbox and link are made here, started in the order of the data and stopped in the same
order, so that nothing that was counted is left behind. The parts know nothing of each other but narrow protocols.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import uuid4

from agent.assembly import model_ref, open_configured
from agent.clock import Clock, SystemClock, machine_boot
from agent.config.schema import Camera, Config, Model, Secrets
from agent.evidence.keeper import EvidenceKeeper
from agent.health import birth_of, health_of
from agent.mqtt.client import Link
from agent.mqtt.credentials import tls_context
from agent.mqtt.messages import Health
from agent.ops.assets import default_model
from agent.outbox import Outbox, OutboxWriter
from agent.pipeline import CameraPipeline
from agent.stages import StageTimes
from agent.video import CaptureOptions, LiveOptions, SourceOptions, open_source, parse_address
from agent.video.source import Source
from agent.vision.detector import Detector
from agent.watching import Lane, WatchLoop

LOG: Final = logging.getLogger("kentongan.app")
DEFAULT_MODEL_NAME: Final = "street"
STALE_S: Final = 15.0
"""A stage that shows no life for so long is stuck: longer than any model takes, shorter than the watchdog."""


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
    ) -> None:
        self.config = config
        self.times = StageTimes()
        self.boot = str(uuid4())
        self.detectors = _detectors(config)
        with ExitStack() as undo:
            self._build(secrets, clock, undo, loop_files=loop_files)
            undo.pop_all()
        for lane in self.lanes:
            if on_lane is not None:
                on_lane(lane)
        self.loop = WatchLoop(self.lanes, self.writer, self.clock, self.times)

    def _build(self, secrets: Secrets, clock: Clock | None, undo: ExitStack, *, loop_files: bool) -> None:
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
        self.writer = OutboxWriter(self.outbox, commit_s=config.outbox.commit_ms / 1000)
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
            on_cost=partial(self.times.add, "send"),
        )
        undo.callback(self.link.stop, 0)
        self.writer.on_commit(self.link.wake)
        self.keeper = None if config.evidence is None else EvidenceKeeper(config, self.clock)
        self.lanes = self._make_lanes(secrets, undo, loop_files=loop_files)

    def start(self) -> None:
        """Start every part, the last of the data's way first, so that nothing waits for its successor."""
        self.writer.start()
        self.link.publish_birth(birth_of(self))
        self.link.start()
        if self.keeper is not None:
            self.keeper.start()
        self.loop.start()
        LOG.info("watching %d cameras as %s", len(self.lanes), self.config.device)

    def stop(self, timeout_s: float = 4.5) -> bool:
        """Stop in the order of the data; what was counted is durable when this returns.

        Returns:
            Whether everything ended in time.
        """
        end_s = time.monotonic() + timeout_s
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
        return Liveness(tuple(stuck))

    def _make_lanes(self, secrets: Secrets, undo: ExitStack, *, loop_files: bool) -> list[Lane]:
        state = self.outbox.load_state()
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
            source = self._source(camera, secrets, loop=loop_files)
            undo.callback(source.close)
            lanes.append(Lane(source, detector, pipeline, witness=witness))
        return lanes

    def _source(self, camera: Camera, secrets: Secrets, *, loop: bool) -> Source:
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


def _detectors(config: Config) -> Mapping[str, Detector]:
    """One detector per model that some camera uses."""
    configured = {DEFAULT_MODEL_NAME: Model(file=default_model()), **config.models}
    used = sorted({camera.model for camera in config.cameras})
    return {name: open_configured(configured[name]) for name in used}
