"""A maintainer, a web server and boxes in this process, to which good and bad models are shipped.

The updater and everything below it are real; the pipeline is a street that never changes. The whole road with the
real agent is ``python -m tests.demo_updates``.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.release.desk import make_golden
from agent.release.offering import add_model, withdraw
from agent.update.status import UNDER_WAY, UpdateStatus
from tests.fakes import update_models as models
from tests.fakes.tuf_repository import Maintainer, RepositoryServer
from tests.fakes.update_box import BoxProcess, Pace

Tell = Callable[[str], None]
_PATIENCE_S = 240.0


@dataclass(frozen=True)
class Shipment:
    """One model to ship.

    Attributes:
        title: What is with it.
        make: Its bytes, given its version.
        golden: Ship the golden frames of the good model with it.
    """

    title: str
    make: Callable[[str], bytes]
    golden: bool = True


GOOD = Shipment("a good model", models.candidate)
BAD = (
    Shipment("one that fails whenever it runs", models.failing),
    Shipment("one that eats all memory", models.memory_hog),
    Shipment("one ten times slower", models.slow),
    Shipment("one that sees nothing", models.blind),
    Shipment("one that sees everything", models.sees_everything),
    Shipment("one that outputs NaN", models.not_a_number),
    Shipment("one of another family", models.another_family),
    Shipment("one that is right on the golden frames and blind on the street", models.blind_in_the_dark),
    Shipment("one that sees everything, shipped without golden frames", models.sees_everything, golden=False),
)


class Demo:
    """A maintainer, a web server and some boxes.

    Args:
        folder: For everything.
        boxes: How many.
        tell: Called with every line.
    """

    def __init__(self, folder: Path, boxes: int, tell: Tell) -> None:
        self.folder = folder
        self._tell = tell
        self._lock = threading.Lock()
        self.maintainer = Maintainer(folder)
        self.server = RepositoryServer(self.maintainer.workspace.public)
        good = folder / "good.onnx"
        good.write_bytes(models.candidate("1"))
        self.golden = folder / "good.golden"
        self.golden.write_bytes(make_golden(good, [models.BRIGHT]))
        self.names = [f"box-{number + 1}" for number in range(boxes)]
        self.boxes: list[BoxProcess] = []
        self._version = 1

    def start(self) -> None:
        """Install and start the boxes."""
        for name in self.names:
            home = self.folder / name
            home.mkdir()
            (home / "installed.onnx").write_bytes(models.candidate("1"))
            (home / "root.json").write_bytes(self.maintainer.root)
            box = BoxProcess(home, self.server.url, name=name, pace=Pace(watch_s=2.0), tell=self._teller(name))
            box.start()
            self.boxes.append(box)

    def stop(self) -> None:
        """End every box."""
        for box in self.boxes:
            box.stop()

    def ship(self, shipment: Shipment) -> list[UpdateStatus]:
        """Put one model on offer, let every box see it, and wait until each has decided."""
        self._version += 1
        data = shipment.make(str(self._version))
        file = self.folder / f"street-{self._version}.onnx"
        file.write_bytes(data)
        golden = self.golden if shipment.golden else None
        offer = add_model(self.maintainer.workspace, file, slot="street", golden=golden)
        self.maintainer.sign_and_publish()
        self._tell(f"--- release {offer.serial}: {shipment.title}")
        frames = [box.counting.frames for box in self.boxes]
        sha256 = hashlib.sha256(data).hexdigest()
        statuses = self._settled(lambda status: _decided(status, sha256))
        for name, box, before, status in zip(self.names, self.boxes, frames, statuses, strict=True):
            self._tell(
                f"{name}: {status.state} ({status.reason or 'good'}), counts with version {_version(status)}, "
                f"looked at {box.counting.frames - before} frames meanwhile"
            )
        return statuses

    def take_back(self, serial: int) -> list[UpdateStatus]:
        """Withdraw a release that is in charge."""
        withdraw(self.maintainer.workspace, "street", serial, "somebody found a fault")
        self.maintainer.sign_and_publish()
        self._tell(f"--- release {serial} is withdrawn")
        statuses = self._settled(lambda status: status.reason == "withdrawn")
        for name, status in zip(self.names, statuses, strict=True):
            self._tell(f"{name}: {status.state} ({status.reason}), counts with version {_version(status)}")
        return statuses

    def _settled(self, done: Callable[[UpdateStatus], bool]) -> list[UpdateStatus]:
        for box in self.boxes:
            box.service.check_now()
        end_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end_s:
            statuses = [box.updater.status() for box in self.boxes]
            if all(done(status) for status in statuses):
                return statuses
            time.sleep(0.05)
        raise TimeoutError(f"the boxes did not decide in {_PATIENCE_S:g} s: {statuses}")

    def _teller(self, name: str) -> Tell:
        def tell(line: str) -> None:
            with self._lock:
                self._tell(f"    {name} {line}")

        return tell


def _decided(status: UpdateStatus, sha256: str) -> bool:
    refused = status.candidate is not None and status.candidate.sha256 == sha256 and status.state not in UNDER_WAY
    return refused or (status.model is not None and status.model.sha256 == sha256)


def _version(status: UpdateStatus) -> str:
    return "1 (installed)" if status.model is None else status.model.version
