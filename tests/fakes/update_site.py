"""Boxes that run the real agent, `kentongan run`, with a maintainer, a web server and a broker on this machine.

Everything between the maintainer's keys and what a subscriber hears is what runs in a city; only the hours of shadow
and watch are seconds, by configuration. No process outlives the ``with`` that started it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from agent.records import load
from agent.update.slot import Slot
from agent.update.status import UpdateStatus
from agent.updating import CHECK_PAUSE_S
from tests.fakes.agent_process import AgentProcess
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.subscriber import Subscriber
from tests.fakes.tuf_repository import Maintainer, RepositoryServer
from tests.fakes.update_models import candidate

SLOT = "street"
LINES = "[{name: across, points: [[0.86, 0.80], [0.86, 0.40]], interval_s: 10}]"


@dataclass(frozen=True)
class Street:
    """What the boxes look at, and with what.

    Attributes:
        clip: The video; it must last longer than the test.
        installed: The bytes of the model that was installed with the box.
        detect_fps: How often a picture is looked at.
        settings: Of the section ``update``, beyond the address and the root.
    """

    clip: Path
    installed: bytes = field(default_factory=lambda: candidate("1"))
    detect_fps: float = 10
    settings: dict[str, Any] = field(default_factory=dict)


QUICK: dict[str, Any] = {
    "check_every_s": 3600,
    "bandwidth_kbit_s": 100_000,
    "shadow_s": 5,
    "shadow_period_s": 0.1,
    "shadow_frames": 20,
    "watch_s": 60,
    "broker_s": 3,
}


def looped(clip: Path, place: Path, times: int) -> Path:
    """A list that FFmpeg plays as one long video."""
    place.write_text("ffconcat version 1.0\n" + f"file '{clip.name}'\n" * times, encoding="utf-8")
    return place


class RealBox:
    """One box: a folder, a configuration, and the agent when it runs."""

    def __init__(self, folder: Path, name: str, street: Street, url: str, root: bytes, broker: int) -> None:
        folder.mkdir(parents=True)
        self.name = name
        self.folder = folder
        self.config = folder / "box.yaml"
        self.state = folder / "state"
        self.agent: AgentProcess | None = None
        (folder / "installed.onnx").write_bytes(street.installed)
        (folder / "root.json").write_bytes(root)
        update = json.dumps({"url": url, "root_file": "root.json", **QUICK, **street.settings})
        self.config.write_text(
            f"device: {name}\nstate_dir: {self.state}\nhealth_s: 5\n"
            f"mqtt: {{host: 127.0.0.1, port: {broker}, plaintext: true}}\n"
            f"models: {{{SLOT}: {{file: installed.onnx, threads: 1, providers: [cpu]}}}}\n"
            f"cameras: [{{name: gate, source: '{street.clip}', model: {SLOT}, detect_fps: {street.detect_fps}, "
            f"identical_s: 3600, tamper: {{enabled: false}}, lines: {LINES}}}]\nupdate: {update}\n",
            encoding="utf-8",
        )

    def start(self, environ: Mapping[str, str] | None = None) -> AgentProcess:
        """Run the agent, once the one before has ended."""
        self.end()
        self.agent = AgentProcess(self.config, environ)
        return self.agent

    def end(self) -> None:
        """Kill the agent, if it runs."""
        if self.agent is not None:
            self.agent.__exit__()
            self.agent = None

    def slot(self) -> Slot:
        """What the box remembers of its slot, from its disk."""
        try:
            plain = json.loads((self.state / "update" / "slots" / f"{SLOT}.json").read_bytes())
        except FileNotFoundError:
            return Slot()
        slot: Slot = load(Slot, plain)
        return slot

    def await_slot(self, condition: Callable[[Slot], bool], timeout_s: float, every_s: float = 0.002) -> Slot:
        """Wait until what the box remembers is so.

        Raises:
            TimeoutError: It did not become so; tells what it is.
        """
        end_s = time.monotonic() + timeout_s
        while not condition(slot := self.slot()):
            if time.monotonic() > end_s:
                log = "" if self.agent is None else self.agent.log
                raise TimeoutError(f"{self.name} stands at {slot}:\n{log[-3000:]}")
            time.sleep(every_s)
        return slot


class Site:
    """A maintainer, a server, a broker, and boxes."""

    def __init__(self, folder: Path, street: Street, boxes: int = 1) -> None:
        self.folder = folder
        self.maintainer = Maintainer(folder)
        self.server = RepositoryServer(self.maintainer.workspace.public)
        self.broker = Mosquitto(folder / "broker")
        self.boxes = [
            RealBox(folder / f"box-{n}", f"box-{n}", street, self.server.url, self.maintainer.root, self.broker.port)
            for n in range(1, boxes + 1)
        ]
        self.street = street
        self._stack = ExitStack()
        self._free_s: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server.running())
        self._stack.enter_context(self.broker)
        self.ears = self._stack.enter_context(Subscriber(self.broker.port))
        for box in self.boxes:
            self._stack.callback(box.end)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def command(self, box: RealBox, name: str = "check_updates", *, at_once: bool = False) -> None:
        """Command a box over the broker; not before it takes another check, unless ``at_once``."""
        if not at_once:
            time.sleep(max(0.0, self._free_s.get(box.name, 0.0) - time.monotonic()))
        self._free_s[box.name] = time.monotonic() + CHECK_PAUSE_S + 0.2
        self.ears.say(f"kentongan/v1/{box.name}/command", {"command": name})

    def said(self, box: RealBox, *leaves: str) -> Iterator[dict[str, Any]]:
        """What a box said, newest first."""
        for one in reversed(self.ears.heard(*leaves)):
            if one.topic.split("/")[2] == box.name:
                yield one.plain

    def status(self, box: RealBox, slot: str = SLOT) -> UpdateStatus | None:
        """Where a slot of a box stands, by what the box said last on the broker."""
        for plain in self.said(box, "health", "birth"):
            for update in plain.get("updates", ()):
                if update["slot"] == slot:
                    status: UpdateStatus = load(UpdateStatus, update)
                    return status
        return None

    def await_status(
        self, box: RealBox, condition: Callable[[UpdateStatus], bool], timeout_s: float = 60, slot: str = SLOT
    ) -> UpdateStatus:
        """Wait until a box says so of a slot.

        Raises:
            TimeoutError: It did not; tells what it said instead.
        """
        end_s = time.monotonic() + timeout_s
        while (status := self.status(box, slot)) is None or not condition(status):
            if time.monotonic() > end_s:
                log = "" if box.agent is None else box.agent.log
                raise TimeoutError(f"{box.name} says {status}:\n{log[-3000:]}")
            time.sleep(0.05)
        return status

    def await_live(self, box: RealBox, timeout_s: float = 30) -> None:
        """Wait until a box says that its camera is live and that detections are made.

        Raises:
            TimeoutError: It did not.
        """
        from_now = len(self.ears.heard())

        def counts(heard: list[Any]) -> bool:
            news = [one.plain for one in heard[from_now:] if one.leaf == "health" and f"/{box.name}/" in one.topic]
            return any((plain["cameras"]["gate"].get("detect_fps") or 0) > 0 for plain in news)

        self.ears.wait_for(counts, timeout_s)
