"""The world around one updater: a repository without a network, eyes without a model, a disk that loses its power.

All in one process and on a clock that is wound by hand, so that hours of shadow and watch take no time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import KentonganError, ModelError
from agent.update.durable import Disk
from agent.update.eyes import Glance, Subject
from agent.update.offer import CUSTOM_KEY, ModelOffer, Outcomes, Tally
from agent.update.refusal import Kind, UpdateError
from agent.update.repository import Signed
from agent.values import Detections, Image
from agent.vision.model_file import ModelFile
from tests.fakes.update_models import Street


class PowerCut(BaseException):
    """The lights go out; nothing in the agent may catch it."""


class CuttingDisk(Disk):
    """A real disk whose power fails at its n-th durable operation.

    Args:
        cut_at: Which operation; ``None`` never fails.

    Attributes:
        operations: How many were begun.
    """

    def __init__(self, cut_at: int | None = None) -> None:
        self.cut_at = cut_at
        self.operations = 0

    def _may_cut(self, half_done: Callable[[], None] = lambda: None) -> None:
        self.operations += 1
        if self.operations == self.cut_at:
            half_done()
            raise PowerCut

    def put(self, path: Path, data: bytes) -> None:
        def tear() -> None:
            path.write_bytes(data[: len(data) // 2])

        self._may_cut(tear)
        super().put(path, data)

    def rename(self, old: Path, new: Path) -> None:
        self._may_cut()
        super().rename(old, new)
        self._may_cut()

    def remove(self, path: Path) -> None:
        self._may_cut()
        super().remove(path)


class FullDisk(Disk):
    """A disk that can be full."""

    full = False

    def put(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super().put(path, data)


class ShelfRepository:
    """A repository whose signatures are all good: files on a shelf.

    Attributes:
        refusal: Raised by the next refresh, if set.
        downloads: The paths that were downloaded.
    """

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, dict[str, Any]]] = {}
        self.refusal: UpdateError | None = None
        self.broken: UpdateError | None = None
        self.refreshes = 0
        self.downloads: list[str] = []

    def offer(self, data: bytes, *, golden: bytes | None = None, **fields: Any) -> str:
        """Put a model on offer; returns its path."""
        given = {"slot": "street", "name": "street", "version": "1", "family": "yolo-end2end", "serial": 1, **fields}
        path = f"models/{given['slot']}/{given['name']}-{given['version']}.onnx"
        if golden is not None:
            given["golden"] = path.replace(".onnx", ".golden")
            self.files[given["golden"]] = (golden, {})
        offer = ModelOffer.model_validate(given)
        self.files[path] = (data, {CUSTOM_KEY: offer.model_dump(mode="json")})
        return path

    def outcomes(self, slot: str, by_serial: dict[int, tuple[int, int]]) -> None:
        """Report how releases fared."""
        tallies = {serial: Tally(tried=tried, failed=failed) for serial, (tried, failed) in by_serial.items()}
        custom = {CUSTOM_KEY: Outcomes(by_serial=tallies).model_dump(mode="json")}
        self.files[f"outcomes/{slot}"] = (b"", custom)

    def refresh(self) -> None:
        self.refreshes += 1
        if self.refusal is not None:
            raise self.refusal

    def on_offer(self, folder: str) -> tuple[Signed, ...]:
        found = (self.find(path) for path in sorted(self.files) if path.startswith(folder))
        return tuple(signed for signed in found if signed is not None)

    def find(self, path: str) -> Signed | None:
        if path not in self.files:
            return None
        data, custom = self.files[path]
        return Signed(path, len(data), hashlib.sha256(data).hexdigest(), custom)

    def download(self, signed: Signed, place: Path) -> None:
        if self.broken is not None:
            raise self.broken
        self.downloads.append(signed.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.files[signed.path][0])

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Temper:
    """How the models of a test see: by the sha256 of their bytes.

    Attributes:
        sees: What a model sees; four road users where nothing is said.
        took_s: What a picture takes it.
        refuses: What happens when it is loaded.
        opened: The models that were loaded, in order.
    """

    sees: dict[str | None, Street] = field(default_factory=dict)
    took_s: dict[str | None, float] = field(default_factory=dict)
    refuses: dict[str | None, Kind] = field(default_factory=dict)
    opened: list[str | None] = field(default_factory=list)
    open_now: int = 0

    def __call__(self, subject: Subject) -> TemperedEyes:
        """See :class:`agent.update.eyes.OpenEyes`."""
        self.opened.append(subject.sha256)
        if kind := self.refuses.get(subject.sha256):
            raise UpdateError(kind, f"it is told to fail by {kind}")
        self.open_now += 1
        return TemperedEyes(self, subject.sha256)


class TemperedEyes:
    """See :class:`agent.update.eyes.Eyes`."""

    def __init__(self, temper: Temper, sha256: str | None) -> None:
        self._temper = temper
        self._sha256 = sha256

    def look(self, image: Image) -> Glance:
        street = self._temper.sees.get(self._sha256, Street())
        return Glance(street.detections(), self._temper.took_s.get(self._sha256, 0.01))

    def close(self) -> None:
        self._temper.open_now -= 1


class CountingHost:
    """A pipeline that only remembers what runs.

    Attributes:
        running: The sha256 of the model in charge, by slot.
        fails: Models that do not load.
        trouble: What keeps every swap away, if anything does.
        on_swap: Called when a swap begins.
    """

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.swaps = 0
        self.fails: set[str] = set()
        self.trouble: KentonganError | None = None
        self.on_swap: Callable[[], None] = lambda: None

    def swap(self, slot: str, model: ModelFile) -> None:
        self.on_swap()
        if self.trouble is not None:
            raise self.trouble
        if model.description.sha256 in self.fails:
            raise ModelError("it does not load")
        self.running[slot] = model.description.sha256
        self.swaps += 1


def nothing() -> Detections:
    """No road users."""
    return Street(0).detections()
