"""Where the update of one model stands on this box: a small value, its legal steps, and its one file.

The file is replaced in one step and holds everything at once, so whichever moment the power fails, the box knows
exactly one model to be in charge, and its bytes are on the disk. Never decides anything by itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from agent.records import ModelRef
from agent.update.durable import Disk
from agent.update.refusal import Kind
from agent.update.status import UNDER_WAY, ShadowReport, State, UpdateStatus
from agent.update.watch import Usual

_DETAIL_LIMIT: Final = 300  # what a library or a signed file says must not make a message that no broker takes
_BLOCKED_LIMIT: Final = 64  # the oldest is forgotten; its release number stays below the floor
ATTEMPTS: Final = 3
"""Trials that may be cut short before a candidate is blamed for the power cuts."""
STARTS: Final = 2
"""Starts of the agent under watch before a model is blamed for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model whose verified bytes lie on this box.

    Attributes:
        name: What it calls itself.
        version: Its version.
        sha256: Of its bytes, and its file's name in the store.
        serial: The release it came with.
    """

    name: str
    version: str
    sha256: str
    serial: int

    def ref(self) -> ModelRef:
        """As records and messages name it."""
        return ModelRef(name=self.name, version=self.version, sha256=self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model under way.

    Attributes:
        model: What it is.
        family: What the maintainer signed about its outputs.
        target: Its path in the repository.
        golden: The path and sha256 of its golden frames.
        max_slowdown_percent: As signed.
    """

    model: Held
    family: str
    target: str
    golden: tuple[str, str] | None = None
    max_slowdown_percent: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A file this box will not try again, and why."""

    sha256: str
    serial: int
    kind: Kind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Everything the box remembers of one slot.

    Attributes:
        state: Where it stands.
        since_utc_s: Since when.
        in_charge: The model that counts; ``None`` is the one that was installed with the box.
        previous: The one before it, kept; ``None`` likewise.
        serial: The highest release that was ever in charge; lower ones are refused.
        candidate: What is under way, or was last refused.
        kind: Why the last update did not happen or was taken back.
        detail: The same as a sentence.
        blocked: Files that are not tried again.
        attempts: Trials of this candidate that began and did not end.
        watching: The model in charge is new and under watch.
        starts: Starts of the agent since it came into charge.
        usual: What was usual before it came into charge, to judge it by, also after a restart.
        shadow: The last comparison.
        checked_utc_s: When the repository last answered well.
    """

    state: State = "idle"
    since_utc_s: float = 0.0
    in_charge: Held | None = None
    previous: Held | None = None
    serial: int = 0
    candidate: Candidate | None = None
    kind: Kind | None = None
    detail: str = ""
    blocked: tuple[Blocked, ...] = field(default=())
    attempts: int = 0
    watching: bool = False
    starts: int = 0
    usual: Usual | None = None
    shadow: ShadowReport | None = None
    checked_utc_s: float | None = None

    @property
    def under_way(self) -> bool:
        """Whether a candidate is somewhere between the repository and being in charge."""
        return self.state in UNDER_WAY

    def block_of(self, sha256: str) -> Blocked | None:
        """Why a file is not tried again; ``None`` if nothing is known against it."""
        return next((entry for entry in self.blocked if entry.sha256 == sha256), None)

    def kept(self) -> frozenset[str]:
        """The files that must stay on this box."""
        held = [self.in_charge, self.previous, self.candidate.model if self.under_way and self.candidate else None]
        golden = {self.candidate.golden[1]} if self.candidate and self.candidate.golden else set[str]()
        return frozenset({model.sha256 for model in held if model is not None} | golden)

    def checked(self, utc_s: float) -> Slot:
        """The repository answered well, with nothing new."""
        forget = self.state in ("idle", "committed")
        return dataclasses.replace(
            self, checked_utc_s=utc_s, kind=None if forget else self.kind, detail="" if forget else self.detail
        )

    def told(self, kind: Kind, detail: str) -> Slot:
        """Something keeps an update away; the state is what it was."""
        return dataclasses.replace(self, kind=kind, detail=detail)

    def to(self, state: State, utc_s: float, *, attempts: int = 0) -> Slot:
        """One step on, with nothing against it."""
        since = self.since_utc_s if state == self.state else utc_s
        return dataclasses.replace(self, state=state, since_utc_s=since, kind=None, detail="", attempts=attempts)

    def begun(self, candidate: Candidate, utc_s: float) -> Slot:
        """A candidate is to be downloaded."""
        return dataclasses.replace(self.to("downloading", utc_s), candidate=candidate, shadow=None)

    def renumbered(self, serial: int) -> Slot:
        """The file in charge is also that of a newer release."""
        held = self.in_charge and dataclasses.replace(self.in_charge, serial=serial)
        return dataclasses.replace(self, serial=serial, in_charge=held)

    def committed(self, utc_s: float, usual: Usual | None = None) -> Slot:
        """The candidate is in charge, under watch; what was in charge is kept."""
        if self.candidate is None:
            raise ValueError("there is no candidate to commit")
        return dataclasses.replace(
            self.to("committed", utc_s),
            in_charge=self.candidate.model,
            previous=self.in_charge,
            serial=max(self.serial, self.candidate.model.serial),
            candidate=None,
            watching=True,
            starts=0,
            usual=usual,
        )

    def proven(self) -> Slot:
        """The watch is over, and nothing spoke against it."""
        return dataclasses.replace(self, watching=False, starts=0)

    def abandoned(self, kind: Kind, detail: str, utc_s: float) -> Slot:
        """The candidate can't be had now; nothing is held against it."""
        rest: State = "idle" if self.in_charge is None else "committed"
        return dataclasses.replace(self.to(rest, utc_s), kind=kind, detail=detail)

    def refused(self, kind: Kind, detail: str, utc_s: float) -> Slot:
        """The candidate failed: it is not tried again."""
        if self.candidate is None:
            raise ValueError("there is no candidate to refuse")
        blocked = self._with_block(self.candidate.model, kind, detail)
        return dataclasses.replace(self.to("blocked", utc_s), kind=kind, detail=detail, blocked=blocked)

    def rolled_back(self, kind: Kind, detail: str, utc_s: float) -> Slot:
        """What was in charge before is again, and the newer file is not tried again."""
        if self.in_charge is None:
            raise ValueError("there is nothing to go back from")
        return dataclasses.replace(
            self.to("rolled_back", utc_s),
            in_charge=self.previous,
            previous=None,
            candidate=Candidate(model=self.in_charge, family="", target=""),
            kind=kind,
            detail=detail,
            blocked=self._with_block(self.in_charge, kind, detail),
            watching=False,
            starts=0,
        )

    def status(self, name: str) -> UpdateStatus:
        """As the traffic management centre sees it."""
        return UpdateStatus(
            slot=name,
            state=self.state,
            since=self.since_utc_s or None,
            model=None if self.in_charge is None else self.in_charge.ref(),
            serial=0 if self.in_charge is None else self.in_charge.serial,
            candidate=None if self.candidate is None else self.candidate.model.ref(),
            candidate_serial=None if self.candidate is None else self.candidate.model.serial,
            reason=self.kind,
            detail=_short(self.detail) or None,
            watching=self.watching,
            shadow=self.shadow,
            checked=self.checked_utc_s,
        )

    def _with_block(self, model: Held, kind: Kind, detail: str) -> tuple[Blocked, ...]:
        others = [entry for entry in self.blocked if entry.sha256 != model.sha256]
        block = Blocked(sha256=model.sha256, serial=model.serial, kind=kind, detail=detail)
        return tuple([*others, block][-_BLOCKED_LIMIT:])


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL_LIMIT else f"{text[: _DETAIL_LIMIT - 1]}…"


_SLOT: Final = TypeAdapter(Slot)


class SlotFile:
    """The one file of a slot.

    Args:
        path: Where it lies.
        disk: How it is made durable.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def load(self) -> Slot:
        """What is remembered; a fresh slot where there is no file, or one that a broken disk made unreadable."""
        try:
            data = self._disk.read(self._path)
            return Slot() if data is None else _SLOT.validate_json(data)
        except (OSError, ValidationError):
            return Slot(kind="malformed", detail=f"{self._path} could not be read; the installed model is in charge")

    def save(self, slot: Slot) -> None:
        """Remember it, in one step that survives a power cut.

        Raises:
            OSError: The disk refuses; what was remembered stays.
        """
        self._disk.write(self._path, _SLOT.dump_json(slot))
