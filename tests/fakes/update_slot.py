"""One box with one model slot, on a clock that is wound by hand, and releases for it.

The updater is the real one; the world around it is of :mod:`tests.fakes.updates`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.clock import Instant
from agent.update.eyes import Subject
from agent.update.golden import GoldenFrame, write_golden
from agent.update.offer import Box
from agent.update.plan import Parts, SlotPlan
from agent.update.refusal import Kind, UpdateError
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from tests.fakes.clock import ManualClock
from tests.fakes.update_models import BRIGHT, Street, candidate
from tests.fakes.updates import CountingHost, CuttingDisk, FullDisk, ShelfRepository, Temper

INSTALLED, SECOND, THIRD = candidate("1"), candidate("2"), candidate("3")
GOLDEN = write_golden([GoldenFrame(BRIGHT, Street().detections())])
RULES = ShadowRules(period_s=1, least_s=30, most_s=120, least_frames=10, least_seen=20)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class SlotWorld:
    """One box with one slot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.shelf = ShelfRepository()
        self.temper = Temper()
        self.host = CountingHost()
        self.disk: CuttingDisk | FullDisk = CuttingDisk()
        self.installed = folder / "installed.onnx"
        self.installed.write_bytes(INSTALLED)
        self.live = Street()
        self.took_s = 0.01
        self.boot()

    def boot(self) -> None:
        """The agent starts."""
        parts = Parts(
            repository=self.shelf,
            folder=self.folder / "update",
            host=self.host,
            trial=Trial(self.temper),
            open_eyes=self.temper,
            box=Box("box-1", ("x86_64",), "1.0", ("north",)),
            clock=self.clock,
            disk=self.disk,
            shadow=RULES,
            watch_s=600,
        )
        self.updater = SlotUpdater(SlotPlan("street", Subject(self.installed, None), budget_s=0.1), parts)
        model = self.updater.at_start()
        self.host.running["street"] = model.description.sha256

    def pass_time(self, seconds_s: float, step_s: float = 1.0) -> Instant:
        """The pipeline runs, and the updater beside it."""
        passed = 0.0
        while passed < seconds_s:
            self.updater.saw(BRIGHT, self.live.detections(), self.took_s)
            self.updater.step()
            self.clock.advance(step_s)
            passed += step_s
        return self.clock.now()

    def check(self) -> None:
        try:
            self.shelf.refresh()
        except UpdateError as error:
            self.updater.tell(error)
        else:
            self.updater.consider()

    def go(self, look_s: float = 1.0, watch_s: float = 5.0) -> None:
        """A whole update, from the check to the end of the watch, with a look so often at first and under watch."""
        self.check()
        self.pass_time(60, look_s)
        self.pass_time(700, watch_s)

    @property
    def running(self) -> str:
        return self.host.running["street"]

    def refused_by(self, kind: Kind) -> bool:
        status = self.updater.status()
        return status.state == "blocked" and status.reason == kind and self.running == sha(INSTALLED)


def offer_second(world: SlotWorld, data: bytes = SECOND, **fields: object) -> None:
    world.shelf.offer(data, golden=GOLDEN, **{"version": "2", "serial": 1, **fields})


def commit_second(world: SlotWorld) -> None:
    offer_second(world)
    world.pass_time(300)
    world.check()
    world.pass_time(40)
    assert world.running == sha(SECOND)


def fail(world: SlotWorld) -> None:
    """Three pictures in a row."""
    for _ in range(3):
        world.updater.failed("its output makes no sense")


def rolled_back_within(world: SlotWorld, seconds_s: float, kind: Kind) -> bool:
    world.pass_time(seconds_s)
    status = world.updater.status()
    return (status.state, status.reason) == ("rolled_back", kind) and world.running == sha(INSTALLED)
