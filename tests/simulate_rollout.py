#!/usr/bin/env python3
"""A city's fleet against one static server: a good release widened step by step, then a bad one that must be held.

Every box is the real updater with the real client, keys and signatures; only models and hours are simulated. Run
``python -m tests.simulate_rollout --boxes 1000``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.release.fleet import Fleet
from agent.release.offering import add_model, change_rollout, report_outcomes
from agent.release.publishing import publish
from agent.update.durable import Disk
from agent.update.eyes import Subject
from agent.update.offer import Box, Hold, Rollout, share_percent
from agent.update.plan import Parts, SlotPlan
from agent.update.repository import SignedRepository
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from tests.fakes.clock import ManualClock
from tests.fakes.tuf_repository import Maintainer, RepositoryServer
from tests.fakes.update_models import BRIGHT, Street, candidate
from tests.fakes.updates import CountingHost, Temper

STEPS_PERCENT = (1, 10, 50, 100)
BAD_PERCENT = 50
OLD_HARDWARE_SHARE = 0.4  # of the boxes, on which the bad release crashes


@dataclass
class Sim:
    """One box, its clock and its temper."""

    name: str
    updater: SlotUpdater
    repository: SignedRepository
    clock: ManualClock
    temper: Temper

    def check(self) -> None:
        """Ask, and go on until there is nothing more to do."""
        self.repository.refresh()
        self.updater.consider()
        while self.updater.busy:
            self.updater.saw(BRIGHT, Street().detections(), 0.01)
            self.updater.step()
            self.clock.advance(5)
        self.repository.close()

    @property
    def serial(self) -> int:
        """The release in charge."""
        return self.updater.status().serial


@dataclass
class Story:
    """What happened.

    Attributes:
        reached: For each step of the good release, the share of boxes that had it.
        tried_bad: Boxes that tried the bad release.
        broken_rules: Sentences; empty if every box kept to the rules.
    """

    reached: list[float] = field(default_factory=list)
    tried_bad: int = 0
    tried_bad_after_hold: int = 0
    broken_rules: list[str] = field(default_factory=list)


class City:
    """A maintainer and a fleet.

    Args:
        folder: For everything.
        boxes: How many.
    """

    def __init__(self, folder: Path, boxes: int) -> None:
        self.folder = folder
        self.maintainer = Maintainer(folder)
        self.server = RepositoryServer(self.maintainer.workspace.public)
        self.chance = random.Random(7)
        (folder / "installed.onnx").write_bytes(candidate("1"))
        self.sims = [self._box(f"box-{number:04d}") for number in range(boxes)]

    def _box(self, name: str) -> Sim:
        repository = SignedRepository(self.server.url, self.folder / name, self.maintainer.root, disk=QuickDisk())
        clock, temper = ManualClock(), Temper()
        parts = Parts(
            repository=repository,
            folder=self.folder / name,
            host=CountingHost(),
            trial=Trial(temper),
            open_eyes=temper,
            box=Box(name, ("x86_64",), "1.0"),
            clock=clock,
            disk=QuickDisk(),
            shadow=ShadowRules(period_s=1, least_s=5, most_s=60, least_frames=3, least_seen=8),
            watch_s=20,
        )
        updater = SlotUpdater(SlotPlan("street", Subject(self.folder / "installed.onnx", None), 0.1), parts)
        updater.at_start()
        return Sim(name, updater, repository, clock, temper)

    def run(self) -> Story:
        """The whole story."""
        story = Story()
        self._good(story)
        self._bad(story)
        return story

    def _good(self, story: Story) -> None:
        self._add("2", Rollout(percent=0))
        for percent in STEPS_PERCENT:
            change_rollout(self.maintainer.workspace, "street", 1, percent=percent)
            self.maintainer.sign_and_publish()
            self._everybody_checks()
            have = {sim.name for sim in self.sims if sim.serial == 1}
            story.reached.append(100 * len(have) / len(self.sims))
            meant = {sim.name for sim in self.sims if share_percent(sim.name, "street/1") < percent}
            if have != meant:
                story.broken_rules.append(f"at {percent} %: {len(have ^ meant)} boxes against the rules")

    def _bad(self, story: Story) -> None:
        """The bad release fails on some boxes; the fleet's reports stop it before it has reached its share."""
        data = self._add("3", Rollout(percent=BAD_PERCENT, hold=Hold(failed_percent=10, min_failed=2)))
        for sim in self.sims:
            if self.chance.random() < OLD_HARDWARE_SHARE:
                sim.temper.refuses[data] = "crashed"
        self.maintainer.sign_and_publish()
        waves = 10
        order = self.chance.sample(self.sims, len(self.sims))
        held = False
        for wave in range(waves):
            before = self._tried()
            for sim in order[wave::waves]:
                sim.check()
            tried = self._tried() - before
            if held:
                story.tried_bad_after_hold += tried
            story.tried_bad += tried
            held = self._report()
        meant = {sim.name for sim in self.sims if share_percent(sim.name, "street/2") < BAD_PERCENT}
        for sim in self.sims:
            if sim.serial == 2 and sim.name not in meant:
                story.broken_rules.append(f"{sim.name} took release 2 and was not to")

    def _report(self) -> bool:
        """What the maintainer's timer does: report how the release fares; says whether that holds it."""
        fleet = Fleet()
        for sim in self.sims:
            fleet.note(sim.name, sim.updater.status())
        outcomes = fleet.outcomes("street")
        report_outcomes(self.maintainer.workspace, "street", outcomes)
        publish(self.maintainer.workspace)
        tried, failed = outcomes.get(2, (0, 0))
        return failed >= 2 and 100 * failed > 10 * tried

    def _tried(self) -> int:
        statuses = [sim.updater.status() for sim in self.sims]
        return sum(status.serial == 2 or status.candidate_serial == 2 for status in statuses)

    def _add(self, version: str, rollout: Rollout) -> str:
        file = self.folder / f"street-{version}.onnx"
        file.write_bytes(candidate(version))
        add_model(self.maintainer.workspace, file, slot="street", rollout=rollout)
        self.maintainer.sign_and_publish()
        return next(
            target.hashes["sha256"]
            for target in self.maintainer.workspace.targets().targets.values()
            if f"-{version}-" in target.path
        )

    def _everybody_checks(self) -> None:
        for sim in self.chance.sample(self.sims, len(self.sims)):
            sim.check()


class QuickDisk(Disk):
    """A disk for a thousand boxes at once: the order of operations is real, waiting for the platters is not."""

    def put(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)

    def flush(self, path: Path) -> None:
        """Not for a simulation of decisions; power cuts have their own tests."""


@contextmanager
def city(boxes: int) -> Iterator[City]:
    """A city whose server runs."""
    with tempfile.TemporaryDirectory() as name:
        simulated = City(Path(name), boxes)
        with simulated.server.running():
            yield simulated


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=1000)
    args = parser.parse_args()
    began_s = time.monotonic()
    with city(args.boxes) as simulated:
        story = simulated.run()
        sent = simulated.server.sent_bytes
    for percent, reached in zip(STEPS_PERCENT, story.reached, strict=True):
        print(f"good release at {percent} %: {reached:.1f} % of {args.boxes} boxes have it")
    print(
        f"bad release at {BAD_PERCENT} %: {story.tried_bad} boxes tried it, {story.tried_bad_after_hold} after the hold"
    )
    print(f"rules broken: {len(story.broken_rules)}; {sent / 1e6:.1f} MB served in {time.monotonic() - began_s:.0f} s")
    return 1 if story.broken_rules or story.tried_bad_after_hold else 0


if __name__ == "__main__":
    sys.exit(main())
