"""Takes a box's lines, zones and levels from one signed configuration to the next, on trial, with a way back.

What is on trial is never what the next start begins with: only a configuration under which the box kept its broker
is put in charge. Pulling the plug is therefore always a way back.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agent.clock import Clock
from agent.config.document import read_text
from agent.config.load import parse_config
from agent.config.references import CONFIGURATION
from agent.config.schema import Config
from agent.errors import ConfigError, KentonganError
from agent.update.durable import Disk
from agent.update.offer import Box, ConfigurationOffer, read_custom, why_not_this_box
from agent.update.patch import apply_patch, parse_patch, pass_over
from agent.update.refusal import Kind, UpdateError
from agent.update.repository import Repository, Signed
from agent.update.slot import Candidate, Held, Slot
from agent.update.stepper import Stepper

_log = logging.getLogger(__name__)

LARGEST_BYTES: Final = 1_000_000


class ConfigurationHost(Protocol):
    """The running box, as far as it concerns its configuration."""

    def apply(self, config: Config) -> None:
        """Go on with this configuration.

        Raises:
            ConfigError: It can't count; the box goes on with what it had.
            KentonganError: Not now; likewise.
        """
        ...

    def restore(self, config: Config) -> None:
        """Go on with a configuration that ran before; it is not judged anew.

        Raises:
            KentonganError: Not now; the box goes on with what it had.
        """
        ...

    def judge(self, config: Config) -> None:
        """Whether a configuration can count; safe before the box runs.

        Raises:
            ConfigError: It can't.
        """
        ...

    def broker_connected(self) -> bool:
        """Whether the broker answers now."""
        ...


@dataclass(frozen=True, slots=True)
class ConfirmRules:
    """When a configuration has proved itself.

    Attributes:
        connected_s: The broker must have been there so long without a break.
        most_s: After so long without that, the box returns.
    """

    connected_s: float = 60.0
    most_s: float = 300.0


@dataclass(slots=True)
class _OnTrial:
    """A configuration that runs and is not in charge yet."""

    config: Config
    since_s: float
    connected_since_s: float | None = None
    is_over: bool = False  # it was taken back; the disk does not know yet


class ConfigurationUpdater(Stepper):
    """The updater of the box's configuration.

    Args:
        file: The installer's configuration.
        folder: Where signed ones are kept.
        repository: Where they come from.
        host: The running box.
        box: What the rules know of this box.
        clock: The time.
        disk: How files are made durable.
        rules: When one has proved itself.
    """

    def __init__(
        self,
        file: Path,
        folder: Path,
        repository: Repository,
        host: ConfigurationHost,
        box: Box,
        clock: Clock,
        disk: Disk,
        rules: ConfirmRules | None = None,
    ) -> None:
        slot, store = folder / f"{CONFIGURATION}.json", folder / "configurations"
        super().__init__(CONFIGURATION, slot, store, clock, disk, what=CONFIGURATION)
        self._installed = file
        self._repository = repository
        self._host = host
        self._box = box
        self._rules = rules or ConfirmRules()
        self._trial: _OnTrial | None = None
        self._base = ""  # the installer's text as the agent started with it
        self._running: Config | None = None  # what ran before a trial
        self._steps = {"downloading": self._download, "verifying": self._verify, "trial": self._try}

    def at_start(self) -> Config:
        """The configuration to start with.

        Raises:
            ConfigError: Not even the installer's is right.
        """
        self._trial = None
        self._base = read_text(self._installed)
        self._running = self._in_charge()
        return self._running

    @property
    def urgent(self) -> bool:
        """Whether a configuration is on trial."""
        return self._trial is not None

    def consider(self) -> None:
        """Look for a configuration for this device, or else for one of its groups."""
        self._missed = self.busy
        if self.busy:
            return
        try:
            found = self._find()
        except UpdateError as error:
            self.tell(error)
            return
        with self._noting_the_disk():
            slot = self._slot.checked(self._utc_s())
            if found is None:
                self._save(slot)
                return
            against = self._against(*found)
            if against is not None:
                self._save(slot.told(*against))
            elif slot.in_charge is not None and slot.in_charge.sha256 == found[0].sha256:
                self._save(slot)
            else:
                self._begin(slot, *found)

    def _find(self) -> tuple[Signed, ConfigurationOffer] | None:
        paths = [f"configuration/device/{self._box.device}.yaml"]
        paths += [f"configuration/group/{group}.yaml" for group in self._box.groups]
        for path in paths:
            signed = self._repository.find(path)
            if signed is not None:
                return signed, read_custom(ConfigurationOffer, signed.custom, path)
        return None

    def _against(self, signed: Signed, offer: ConfigurationOffer) -> tuple[Kind, str] | None:
        held = self._slot.in_charge
        if held is not None and held.name == signed.path and offer.serial < held.serial:
            return "downgrade", f"{signed.path} has number {offer.serial}, below {held.serial} that is in charge"
        block = self._slot.block_of(signed.sha256)
        if block is not None and not (offer.again and offer.serial > block.serial):
            return "known_bad", f"{signed.path} is not tried again: {block.detail}"
        return why_not_this_box(offer.rollout, self._box, f"{signed.path}/{offer.serial}")

    def _begin(self, slot: Slot, signed: Signed, offer: ConfigurationOffer) -> None:
        held = Held(name=signed.path, version=str(offer.serial), sha256=signed.sha256, serial=offer.serial)
        self._take_up(slot, Candidate(model=held, family="", target=signed.path), signed, LARGEST_BYTES)

    def _download(self) -> None:
        held = self._held()
        self._bring(self._repository, [(held.name, held.sha256)])

    def _verify(self) -> None:
        self._verify_by(lambda: self._read(self._held()))

    def _try(self) -> None:
        if self._trial is None:
            self._begin_trial()
        else:
            self._follow_trial(self._trial)

    def _begin_trial(self) -> None:
        if not self._host.broker_connected():
            return  # nothing could be proved now; the trial waits
        if not self._may_try():
            return
        try:
            config = self._read(self._held())
            self._host.apply(config)
        except UpdateError as error:
            self._give_up(error)
        except ConfigError as error:
            self._refuse("bad_configuration", str(error))
        except KentonganError as error:
            self._give_up(UpdateError("not_now", str(error)))
        else:
            self._trial = _OnTrial(config, self._clock.now().mono_s)

    def _follow_trial(self, trial: _OnTrial) -> None:
        now_s = self._clock.now().mono_s
        if trial.is_over:
            self._take_back(trial)
            return
        if not self._host.broker_connected():
            trial.connected_since_s = None
        elif trial.connected_since_s is None:
            trial.connected_since_s = now_s
        since_s = trial.connected_since_s
        if since_s is not None and now_s - since_s >= self._rules.connected_s:
            self._save(self._slot.committed(self._utc_s()).proven())
            self._running, self._trial = trial.config, None
            self._tidy()
        elif now_s - trial.since_s >= self._rules.most_s:
            self._take_back(trial)

    def _take_back(self, trial: _OnTrial) -> None:
        """First in the running box, then on the disk; what fails is done again by the next step."""
        if not trial.is_over and self._running is not None:
            try:
                self._host.restore(self._running)
            except KentonganError as error:
                _log.warning("the configuration that lost the broker still runs: %s", error)
                return
        trial.is_over = True
        self._refuse("broker_lost", "the box lost its broker under it")
        self._trial = None

    def _in_charge(self) -> Config:
        """What counts by the disk; a signed one that can't be read or can't count gives way to the one before it.

        Raises:
            ConfigError: Not even the installer's is right.
        """
        folder = self._installed.absolute().parent
        installers = parse_config(self._base, str(self._installed), folder=folder, on_empty=pass_over)
        while (held := self._slot.in_charge) is not None:
            try:
                config = self._read(held, is_new=False)
                self._host.judge(config)
            except UpdateError as error:
                self._go_back(error.kind, str(error))
            except ConfigError as error:
                self._go_back("bad_configuration", str(error))
            else:
                return config
        return installers

    def _go_back(self, kind: Kind, why: str) -> None:
        _log.warning("the signed configuration can't be used: %s", why)
        self._slot = self._slot.rolled_back(kind, why, self._utc_s())
        with self._noting_the_disk():
            self._file.save(self._slot)

    def _read(self, held: Held, *, is_new: bool = True) -> Config:
        """A signed configuration, laid over the installer's as the agent started with it."""
        patch = parse_patch(self._store.read(held.sha256), held.name, is_new=is_new)
        return apply_patch(self._base, patch, self._installed)

    def _held(self) -> Held:
        return self._candidate().model
