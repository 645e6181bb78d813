"""What every updater has in common, of a model or of the configuration: one slot, its file, and how it is moved on.

Each step ends with one write of the slot's file, so that after a power cut the next start goes on from there. A disk
that refuses keeps the slot where it is, with a reason; the next step tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.update.durable import Disk
from agent.update.refusal import Kind, UpdateError, from_os_error
from agent.update.repository import Repository, Signed
from agent.update.slot import ATTEMPTS, Candidate, Slot, SlotFile
from agent.update.status import State, UpdateStatus
from agent.update.store import ModelStore

_log = logging.getLogger(__name__)

_RETRY_KINDS: Final[frozenset[Kind]] = frozenset({"disk_full", "vanished", "arbitrary_installation", "not_now"})
"""What is no fault of a release: it comes again with the next check."""


class Stepper:
    """One slot on its way from release to release; see :class:`agent.update.service.Stepping`.

    Args:
        name: The slot's name.
        file: Its one file.
        store: The folder of its verified files.
        clock: The time.
        disk: How files are made durable.
        what: What it updates, for messages.
    """

    def __init__(self, name: str, file: Path, store: Path, clock: Clock, disk: Disk, *, what: str) -> None:
        self._name = name
        self._what = what
        self._clock = clock
        self._store = ModelStore(store, disk)
        self._file = SlotFile(file, disk)
        self._slot = self._file.load()
        self._missed = False
        self._steps: Mapping[State, Callable[[], None]] = {}

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do now."""
        return self._slot.under_way

    @property
    def urgent(self) -> bool:
        """Whether something new is in charge and being watched, so that nothing slow may be done meanwhile."""
        return False

    @property
    def needs_repository(self) -> bool:
        """Whether the next step downloads."""
        return self._slot.state == "downloading"

    @property
    def wants_check(self) -> bool:
        """Whether a check was passed over because an update was under way, and no longer is."""
        return self._missed and not self.busy

    @property
    def checked_utc_s(self) -> float:
        """When the repository last answered well; 0 if never."""
        return self._slot.checked_utc_s or 0.0

    def status(self) -> UpdateStatus:
        """Where the slot stands."""
        return self._slot.status(self._name)

    def close(self) -> None:
        """Let go of what is held open."""

    def tell(self, error: UpdateError) -> None:
        """Something kept the repository away; an update under way goes on unless it needs it."""
        self._missed = False
        with self._noting_the_disk():
            if self.needs_repository:
                self._save(self._slot.abandoned(error.kind, str(error), self._utc_s()))
            elif not self.busy:
                self._save(self._slot.told(error.kind, str(error)))

    def step(self) -> None:
        """Do the next step; returns soon but for a download or a trial."""
        with self._noting_the_disk():
            if do := self._steps.get(self._slot.state):
                do()

    def _take_up(self, slot: Slot, candidate: Candidate, signed: Signed, largest_bytes: int) -> None:
        """Begin with a candidate; one that is larger than may be is never downloaded."""
        begun = slot.begun(candidate, self._utc_s())
        if signed.length > largest_bytes:
            begun = begun.refused("too_big", f"{signed.path} has {signed.length / 1e6:.0f} MB", self._utc_s())
        self._save(begun)

    def _bring(self, repository: Repository, wanted: Sequence[tuple[str, str]]) -> None:
        """Download targets, each with the sha256 that was chosen; what can't be had now is given up for now."""
        try:
            for target, sha256 in wanted:
                if self._store.has(sha256):
                    continue
                signed = repository.find(target)
                if signed is None or signed.sha256 != sha256:
                    why = f"{target} is no longer on offer as it was; the next check decides anew"
                    raise UpdateError("vanished", why)  # noqa: TRY301 - one way out
                repository.download(signed, self._store.path(sha256))
        except UpdateError as error:
            self._save(self._slot.abandoned(error.kind, str(error), self._utc_s()))
        else:
            self._save(self._slot.to("verifying", self._utc_s()))

    def _verify_by(self, judge: Callable[[], object]) -> None:
        """Go on to the trial with a candidate that a judge has nothing against."""
        try:
            judge()
        except UpdateError as error:
            self._give_up(error)
        else:
            self._save(self._slot.to("trial", self._utc_s()))

    def _may_try(self) -> bool:
        """Count a trial that begins; a candidate under which the box went down each time is refused instead."""
        attempts = self._slot.attempts
        if attempts >= ATTEMPTS:
            self._refuse("crashed", f"the box went down in {attempts} trials of it")
            return False
        self._save(self._slot.to("trial", self._slot.since_utc_s, attempts=attempts + 1))
        return True

    def _refuse(self, kind: Kind, why: str) -> None:
        """The candidate failed: it is not tried again."""
        self.close()
        self._save(self._slot.refused(kind, why, self._utc_s()))
        _log.warning("the new %s is refused (%s): %s", self._what, kind, why)
        self._tidy()

    def _give_up(self, error: UpdateError) -> None:
        """A candidate that failed is blocked; one that met with passing trouble may come again."""
        if error.kind in _RETRY_KINDS:
            self.close()
            self._save(self._slot.abandoned(error.kind, str(error), self._utc_s()))
            self._tidy()
        else:
            self._refuse(error.kind, str(error))

    def _candidate(self) -> Candidate:
        if self._slot.candidate is None:
            raise UpdateError("vanished", f"the update of the {self._what} has lost its candidate")
        return self._slot.candidate

    def _save(self, slot: Slot) -> None:
        if slot != self._slot:
            self._file.save(slot)
            self._slot = slot

    @contextmanager
    def _noting_the_disk(self) -> Iterator[None]:
        """Keep the slot where it is when the disk refuses, and say so."""
        try:
            yield
        except OSError as error:
            refusal = from_os_error(error, f"updating the {self._what}")
            self._slot = self._slot.told(refusal.kind, str(refusal))

    def _tidy(self) -> None:
        try:
            self._store.keep_only(self._slot.kept())
        except OSError as error:
            _log.warning("an old %s can't be removed: %s", self._what, error)

    def _utc_s(self) -> float:
        return self._clock.now().utc_s
