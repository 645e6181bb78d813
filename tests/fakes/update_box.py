"""A box in one process: the real updater, a street that never changes, and a line of output for everything it does.

Run as ``python -m tests.fakes.update_box FOLDER URL``; it prints ``counting SHA``, ``state STATE REASON SERIAL`` and
``frames N`` as it goes. Killed at any moment, it must count again when it is started again. ``--crash SHA`` makes the
process die whenever that model counts, ``--blind SHA`` makes that model see nothing once it counts.
"""

from __future__ import annotations

import argparse
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Instant
from agent.errors import ModelError
from agent.update.child import ChildEyes, ChildLimits
from agent.update.durable import Disk
from agent.update.eyes import Eyes, Subject
from agent.update.fetcher import Limits
from agent.update.offer import Box
from agent.update.plan import Parts, SlotPlan
from agent.update.repository import SignedRepository
from agent.update.service import Schedule, UpdateService
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from agent.vision.detector import Detector, load_detector
from agent.vision.engine import EngineOptions
from agent.vision.model_file import ModelFile
from tests.fakes.update_models import DARK

SLOT = "street"
FPS = 20.0


class LiveClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return Instant(time.monotonic(), time.time())


@dataclass(frozen=True)
class Pace:
    """How fast a box goes through an update; a city's takes hours."""

    check_every_s: float = 60.0
    shadow_s: float = 1.5
    watch_s: float = 4.0
    bytes_per_s: float = 5_000_000
    budget_s: float = 0.5
    patience_s: float = 5.0


class Counting:
    """The pipeline: one camera, the model in charge, and what it does with a new one.

    Args:
        tell: Called with a line for everything worth telling.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._detector: Detector | None = None
        self.sha256 = ""
        self.frames = 0
        self.crash: str | None = None
        self.blind: str | None = None

    def swap(self, slot: str, model: ModelFile) -> None:
        """See :class:`agent.update.plan.ModelHost`."""
        detector = load_detector(model, EngineOptions(1, ("cpu",)))
        with self._lock:
            self._detector, self.sha256 = detector, model.description.sha256
        self._tell(f"counting {self.sha256}")

    def run(self, service: UpdateService, stop: threading.Event) -> None:
        """Count until told to stop."""
        while not stop.wait(1 / FPS):
            with self._lock:
                detector, sha256 = self._detector, self.sha256
                if detector is None:
                    continue
                if sha256 == self.crash:
                    os._exit(11)
                started_s = time.monotonic()
                try:
                    found = detector.detect([DARK])[0]
                except ModelError as error:
                    service.failed(SLOT, str(error))
                    continue
                took_s = time.monotonic() - started_s
            self.frames += 1
            if sha256 == self.blind:
                found = found.select(found.scores > 2)
            service.saw(SLOT, DARK, found, took_s)


class BoxProcess:
    """Everything on one box.

    Args:
        folder: Its state; holds ``installed.onnx`` and ``root.json``.
        url: The repository.
        name: Its device name.
        pace: How fast it goes.
        tell: Called with a line for everything it does.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        name: str = "box-1",
        groups: tuple[str, ...] = (),
        pace: Pace | None = None,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.folder = folder
        self._tell = tell
        pace = pace or Pace()
        clock, disk = LiveClock(), Disk()
        self.counting = Counting(tell)
        self._stop = threading.Event()
        limits = Limits(bytes_per_s=pace.bytes_per_s, patience_s=pace.patience_s)
        repository = SignedRepository(url, folder / "update", (folder / "root.json").read_bytes(), limits)
        parts = Parts(
            repository=repository,
            folder=folder / "update",
            host=self.counting,
            trial=Trial(self._open),
            open_eyes=self._open,
            box=Box(name, ("x86_64",), "0.1.0", groups),
            clock=clock,
            disk=disk,
            shadow=ShadowRules(period_s=0.05, least_s=pace.shadow_s, most_s=20, least_frames=8, least_seen=20),
            watch_s=pace.watch_s,
        )
        self.updater = SlotUpdater(SlotPlan(SLOT, Subject(folder / "installed.onnx", None), pace.budget_s), parts)
        schedule = Schedule(pace.check_every_s, random.Random(name), clock.now().mono_s)
        schedule.at_once()
        self.service = UpdateService(repository, [self.updater], [], schedule, clock)
        self._threads = [
            threading.Thread(target=self.service.run, args=(self._stop,), daemon=True),
            threading.Thread(target=self._report, daemon=True),
            threading.Thread(target=self.counting.run, args=(self.service, self._stop), daemon=True),
        ]

    def start(self) -> None:
        """Count, and look for updates."""
        for slot, model in self.service.models_at_start().items():
            self.counting.swap(slot, model)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End cleanly."""
        self._stop.set()
        self.service.nudge()
        for thread in self._threads:
            thread.join(30)

    def _report(self) -> None:
        """Tell every state as it comes."""
        told = ""
        while not self._stop.wait(0.002):
            status = self.updater.status()
            line = f"state {status.state} {status.reason or '-'} {status.serial}"
            if line != told:
                told = line
                self._tell(line)

    @staticmethod
    def _open(subject: Subject) -> Eyes:
        return ChildEyes(subject, ChildLimits(threads=1, providers=("cpu",), load_s=60, look_s=20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--crash")
    parser.add_argument("--blind")
    parser.add_argument("--watch", type=float, default=4.0, help="seconds of watch after a commit")
    parser.add_argument("--slowly", type=float, default=5_000_000, help="bytes per second of downloads")
    args = parser.parse_args()
    lock = threading.Lock()  # two threads must not mix their lines

    def tell(line: str) -> None:
        with lock:
            print(line, flush=True)

    pace = Pace(bytes_per_s=args.slowly, watch_s=args.watch)
    box = BoxProcess(args.folder, args.url, pace=pace, tell=tell)
    box.counting.crash, box.counting.blind = args.crash, args.blind
    box.start()
    while True:
        time.sleep(0.5)
        tell(f"frames {box.counting.frames}")


if __name__ == "__main__":
    main()
