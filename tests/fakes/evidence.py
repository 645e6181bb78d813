"""A box that keeps evidence, wound by hand: its keeper on a temporary folder, with frames, events and a full disk.

Every picture it shows carries its number, so that a film can be told from another. The key pair is real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from agent.config.schema import Config
from agent.evidence.avi import Picture, unpack
from agent.evidence.folder import EvidenceFolder
from agent.evidence.keeper import CameraWitness, EvidenceKeeper
from agent.evidence.sealing import open_sealed
from agent.records import ClockState, EventBody, EventKind, Phase, Record
from agent.scene.values import Evidence
from agent.values import Frame
from tests.fakes.clips import picture
from tests.fakes.clock import ManualClock
from tests.fakes.records import MODEL

ROOMY = 10**12


class Disks:
    """How much room every disk has."""

    def __init__(self) -> None:
        self.free = ROOMY

    def __call__(self, _: Path) -> int:
        return self.free


def key_pair(folder: Path) -> tuple[str, Path]:
    """A public key, and the file that holds its private one."""
    identity = pyrage.x25519.Identity.generate()
    file = folder / "owner.txt"
    file.write_text(f"# made for a test\n{identity}\n", encoding="utf-8")
    return str(identity.to_public()), file


def config_of(state: Path, key: str, *, cameras: Sequence[dict[str, Any]] | None = None, **wishes: Any) -> Config:
    """A box whose evidence is sealed to a key."""
    plain = {
        "device": "pole-17",
        "state_dir": state,
        "mqtt": {"host": "127.0.0.1", "plaintext": True},
        "cameras": cameras or [{"name": "gate", "source": "rtsp://camera.invalid/"}],
        "evidence": {"keys": [key], "on": ["aggression"], "before_s": 4, "after_s": 6, **wishes},
    }
    return Config.model_validate(plain)


class WitnessedBox:
    """The keeper of a box with one camera called ``gate``, ten frames a second."""

    def __init__(self, config: Config, *, clock: ManualClock | None = None, disks: Disks | None = None) -> None:
        assert config.evidence is not None
        self.config, self.clock, self.disks = config, clock or ManualClock(), disks or Disks()
        self.root = config.state_dir / "evidence"
        self.folder = EvidenceFolder(
            self.root,
            max_bytes=config.evidence.clips_mb * 1_000_000,
            keep_s=config.evidence.keep_days * 86_400,
            free=self.disks,
        )
        self.keeper = EvidenceKeeper(config, self.clock, folder=self.folder)
        self.number = 0
        self.finished: list[Evidence] = []

    @property
    def witness(self) -> CameraWitness:
        """What the watch loop would hold."""
        found = self.keeper.witness("gate")
        assert found is not None
        return found

    def film(self, seconds_s: float, *, width_px: int = 160) -> None:
        """Let time pass with frames."""
        witness = self.witness
        for _ in range(round(seconds_s * 10)):
            at = self.clock.advance(0.1)
            self.number += 1
            image = picture(self.number % 256, width_px, width_px * 3 // 5)
            witness.show(Frame("gate", self.number, image, at))
            self.keeper.turn(0.0)
        self.finished += witness.finished()

    def tell(
        self, event: str = "e" * 8, *, phase: Phase = "start", kind: EventKind = "aggression", ago_s: float = 0
    ) -> None:
        """An event begins, changes or ends now."""
        self.witness.hear([event_of(self.clock, event, phase=phase, kind=kind, ago_s=ago_s)])
        self.keeper.turn(0.0)

    def paths(self, pattern: str = "clips/*.age") -> list[Path]:
        """Files in its folder."""
        return sorted(self.root.glob(pattern))


def witnessed_box(
    state_dir: Path, key: str, *, clock: ManualClock | None = None, disks: Disks | None = None, **wishes: Any
) -> WitnessedBox:
    """One that seals to this key, with other wishes for its section ``evidence``."""
    return WitnessedBox(config_of(state_dir, key, **wishes), clock=clock, disks=disks)


Make: TypeAlias = Callable[..., WitnessedBox]
"""Makes a box of a test: :func:`witnessed_box` with its folder and key."""


def event_of(
    clock: ManualClock, event: str, *, phase: Phase = "start", kind: EventKind = "aggression", ago_s: float = 0
) -> Record:
    """A record of an event whose condition began a while ago."""
    at = clock.now()
    body = EventBody(
        kind=kind,
        phase=phase,
        event=event,
        severity="alarm",
        confidence=0.9,
        since=at.utc_s - ago_s,
        details={"likeness": 0.9},
    )
    clocked = ClockState(synced=at.synced)
    return Record(kind="event", camera="gate", time=at.utc_s, clock=clocked, model=MODEL, body=body, mono_s=at.mono_s)


def opened(path: Path, key_file: Path) -> tuple[dict[str, Any], list[Picture]]:
    """A clip's comment and pictures."""
    return unpack(open_sealed(path.read_bytes(), key_file))
