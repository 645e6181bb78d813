#!/usr/bin/env python3
"""Ships a good model and then every kind of bad one to three agents on this machine, and prints what each did.

Everything is real: three ``kentongan run`` that play a video in a loop and publish to Mosquitto, a signed repository
behind a web server, the model that ships and faults built into it. Only the hours of shadow and watch are seconds, by
configuration. Run it as ``python -m tests.demo_updates``; it takes some twelve minutes.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from agent.ops.assets import default_model, demo_clip
from agent.release.desk import make_golden
from agent.release.offering import add_model, withdraw
from agent.update.status import UNDER_WAY, UpdateStatus
from agent.values import Image
from tests.fakes import street_models as models
from tests.fakes.update_site import RealBox, Site, Street, looped

BOXES = 3
DETECT_FPS = 4.0
CLIP_S, CLIP_FPS = 15, 10
GOLDEN_FRAMES = 4
PATIENCE_S = 240.0
SETTINGS = {"shadow_s": 5, "shadow_period_s": 0.2, "shadow_frames": 25, "watch_s": 75}
DUSK = 0.3
"""Between the light of the street by day and by night, as means from 0 to 1."""


@dataclass(frozen=True)
class Shipment:
    """One release.

    Attributes:
        title: What is with it.
        make: Its bytes, given its version.
        golden: The pictures of its golden frames, as this does to the street's; ``None`` ships it without.
        by: Which model says what is to be seen in them: the good one, or the shipped one itself.
        then: Done when every box counts with it.
    """

    title: str
    make: Callable[[str], bytes]
    golden: Callable[[Image], Image] | None = lambda image: image
    by: str = "good"
    then: str = ""


def _brighter(image: Image) -> Image:
    return cv2.convertScaleAbs(image, alpha=1.0, beta=70).astype(np.uint8)


GOOD = Shipment("a good model", models.good)
BAD = (
    Shipment("one that fails whenever it runs", models.failing),
    Shipment("one that eats all memory and crashes", models.memory_hog),
    Shipment("one more than ten times slower", models.slow),
    Shipment("one that sees nothing", models.blind),
    Shipment("one that sees everything", models.sees_everything),
    Shipment("one that outputs NaN", models.not_a_number),
    Shipment("one of another family", models.another_family),
    Shipment(
        "right on its golden frames, blind on the street",
        lambda version: models.blind_in_the_dark(version, 0.6),
        _brighter,
        "itself",
    ),
    Shipment("one that sees everything, without golden frames", models.sees_everything, None),
    Shipment("one that is blind at night", lambda version: models.blind_in_the_dark(version, DUSK), then="night"),
    Shipment("one that is slow at night", lambda version: models.slow_in_the_dark(version, DUSK), then="night"),
    Shipment("a good one under which the agent is killed thrice", models.good, then="kill"),
)


@dataclass
class Row:
    """What one release came to on one box."""

    release: int
    title: str
    box: str
    status: UpdateStatus
    took_s: float
    detect_fps: float


@dataclass
class Demo:
    """Three boxes and who ships to them.

    Attributes:
        folder: For everything.
        tell: Called with every line.
        rows: What every release came to.
    """

    folder: Path
    tell: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.street = self.folder / "street.avi"
        self.frames = self._film()
        shutil.copyfile(self.folder / "day.avi", self.street)
        clip = looped(self.street, self.folder / "street.ffconcat", 1000)
        installed = default_model().read_bytes()
        self.site = Site(self.folder, Street(clip, installed, DETECT_FPS, SETTINGS), BOXES)
        self.good = self.folder / "good.onnx"
        self.good.write_bytes(models.good("1.0.0"))
        self.version = 0

    def run(self) -> None:
        """The whole story."""
        with self.site:
            for box in self.site.boxes:
                box.start()
            for box in self.site.boxes:
                self.site.await_live(box, 60)
                self.tell(f"{box.name} is live with the installed model")
            for shipment in (GOOD, *BAD):
                self.ship(shipment)
            self.take_back(1)

    def ship(self, shipment: Shipment) -> None:
        """Put one release on offer, let every box see it, and wait until each has decided."""
        self.version += 1
        data = shipment.make(f"1.{self.version}.0")
        file = self.folder / f"street-1.{self.version}.onnx"
        file.write_bytes(data)
        workspace = self.site.maintainer.workspace
        offer = add_model(workspace, file, slot="street", golden=self._golden(shipment, file))
        self.site.maintainer.sign_and_publish()
        self.tell(f"--- release {offer.serial}: {shipment.title}")
        sha256 = hashlib.sha256(data).hexdigest()
        began_s = self._command_all()
        for box in self.site.boxes:
            status = self.site.await_status(box, lambda status: _decided(status, sha256), PATIENCE_S)
            if not shipment.then:
                self._note(offer.serial, shipment.title, box, status, began_s)
            else:
                self.tell(f"{box.name}: {status.state}, under watch")
        if shipment.then == "night":
            self._fall_night(offer.serial, shipment.title)
        elif shipment.then == "kill":
            self._kill_thrice(offer.serial, shipment.title)

    def take_back(self, serial: int) -> None:
        """Withdraw the release that is in charge."""
        withdraw(self.site.maintainer.workspace, "street", serial, "somebody found a fault")
        self.site.maintainer.sign_and_publish()
        self.tell(f"--- release {serial} is withdrawn")
        began_s = self._command_all()
        for box in self.site.boxes:
            status = self.site.await_status(box, lambda status: status.reason == "withdrawn", PATIENCE_S)
            self._note(serial, "the good model, withdrawn", box, status, began_s)

    def _fall_night(self, serial: int, title: str) -> None:
        """The list of the video opens its file anew each time: from the next one on it is dark."""
        self._light("night")
        self.tell("night falls")
        began_s = time.monotonic()
        for box in self.site.boxes:
            status = self.site.await_status(box, lambda status: status.state == "rolled_back", PATIENCE_S)
            self._note(serial, title, box, status, began_s)
        self._light("day")
        time.sleep(CLIP_S)  # until the last of them has come to the end of its night

    def _light(self, name: str) -> None:
        shutil.copyfile(self.folder / f"{name}.avi", self.folder / "next.avi")
        (self.folder / "next.avi").replace(self.street)

    def _kill_thrice(self, serial: int, title: str) -> None:
        began_s = time.monotonic()
        for box in self.site.boxes:
            for _ in range(2):
                box.end()
                box.start().await_log("watching 1 cameras", 60)
            box.end()
            box.start()
        for box in self.site.boxes:
            self.site.await_live(box, 60)
            status = self.site.await_status(box, lambda status: status.state == "rolled_back", PATIENCE_S)
            self._note(serial, title, box, status, began_s)

    def _command_all(self) -> float:
        for box in self.site.boxes:
            self.site.command(box)
        return time.monotonic()

    def _note(self, release: int, title: str, box: RealBox, status: UpdateStatus, began_s: float) -> None:
        camera = next(self.site.said(box, "health"))["cameras"]["gate"]
        took_s = time.monotonic() - began_s
        row = Row(release, title, box.name, status, took_s, camera.get("detect_fps", 0.0))
        self.rows.append(row)
        self.tell(f"{box.name}: {status.state} ({status.reason or 'good'}), {_running(status)} counts, {took_s:.0f} s")

    def _golden(self, shipment: Shipment, file: Path) -> Path | None:
        if shipment.golden is None:
            return None
        golden = file.with_suffix(".golden")
        pictures = [shipment.golden(frame) for frame in self.frames]
        golden.write_bytes(make_golden(self.good if shipment.by == "good" else file, pictures))
        return golden

    def _film(self) -> Sequence[Image]:
        """Fifteen seconds of the demo's clip, by day and by night; some frames of the day."""
        source = cv2.VideoCapture(demo_clip(self.tell).source)
        kept: list[Image] = []
        size = (int(source.get(cv2.CAP_PROP_FRAME_WIDTH)), int(source.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        code = cv2.VideoWriter.fourcc(*"MJPG")
        day, night = (cv2.VideoWriter(str(self.folder / f"{name}.avi"), code, CLIP_FPS, size) for name in _LIGHTS)
        for number in range(CLIP_S * CLIP_FPS):
            ok, frame = source.read()
            if not ok:
                break
            day.write(frame)
            night.write(cv2.convertScaleAbs(frame, alpha=0.35))
            if number % (CLIP_S * CLIP_FPS // GOLDEN_FRAMES) == 0:
                kept.append(frame.astype(np.uint8))
        for one in (source, day, night):
            one.release()
        return kept

    def table(self) -> Table:
        """What every box did with every release."""
        table = Table("release", "what it is", "box", "state", "reason", "counts with", "decided in", "pictures/s")
        for row in self.rows:
            table.add_row(
                str(row.release),
                row.title,
                row.box,
                row.status.state,
                row.status.reason or "-",
                _running(row.status),
                f"{row.took_s:.0f} s",
                f"{row.detect_fps:.1f}",
            )
        return table


_LIGHTS = ("day", "night")


def _decided(status: UpdateStatus, sha256: str) -> bool:
    refused = status.candidate is not None and status.candidate.sha256 == sha256 and status.state not in UNDER_WAY
    return refused or (status.model is not None and status.model.sha256 == sha256)


def _running(status: UpdateStatus) -> str:
    return "the installed one" if status.model is None else status.model.version


def main() -> int:
    console = Console(width=130, file=sys.stdout)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kentongan-updates-") as name:
        demo = Demo(Path(name), lambda line: console.print(f"{time.monotonic() - began_s:5.0f} s  {line}"))
        with redirect_stdout(io.StringIO()):  # what the agents logged is for tests that fail
            demo.run()
        console.print(demo.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
