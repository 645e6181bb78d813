"""Asks the repository on a schedule with jitter or on command, and moves every slot on, one step at a time.

Runs in a thread of its own beside the pipeline and never in its way. Whatever goes wrong with a check becomes a reason
in a status; nothing here can stop the counting.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from agent.clock import Clock
from agent.config.schema import Config
from agent.update.configuration import ConfigurationUpdater
from agent.update.refusal import UpdateError
from agent.update.repository import Repository
from agent.update.status import UpdateStatus
from agent.update.updater import SlotUpdater
from agent.values import Detections, Image
from agent.vision.model_file import ModelFile

_log = logging.getLogger(__name__)

EARLIEST_UTC_S: Final = 1_767_225_600.0
"""2026-01-01: no clock of a box that runs this agent can honestly be before it."""
_CLOCK_SLACK_S: Final = 86_400.0
_FIRST_CHECK_S: Final = 300.0  # spread over minutes, so that a city that gets its power back does not ask at once
_IDLE_S: Final = 5.0
_WATCH_S: Final = 1.0
_SHADOW_S: Final = 0.25
_SOON_S: Final = 0.0


class Stepping(Protocol):
    """Something that goes from release to release; :class:`agent.update.updater.SlotUpdater` is one."""

    @property
    def busy(self) -> bool:
        """Whether :meth:`step` has something to do now."""
        ...

    @property
    def urgent(self) -> bool:
        """Whether something new is in charge and being watched, so that nothing slow may be done meanwhile."""
        ...

    @property
    def needs_repository(self) -> bool:
        """Whether the next step downloads."""
        ...

    @property
    def wants_check(self) -> bool:
        """Whether a release was passed over because another was under way, and no longer is."""
        ...

    @property
    def checked_utc_s(self) -> float:
        """When the repository last answered well; 0 if never."""
        ...

    def consider(self) -> None:
        """Look at what a freshly refreshed repository has."""
        ...

    def tell(self, error: UpdateError) -> None:
        """Something kept the repository away."""
        ...

    def step(self) -> None:
        """Do the next step."""
        ...

    def status(self) -> UpdateStatus:
        """Where it stands."""
        ...

    def close(self) -> None:
        """Let go of what it holds open."""
        ...


class Schedule:
    """When to ask next: at the configured pace, each time a quarter earlier or later by chance.

    Args:
        every_s: The pace.
        chance: Where the jitter comes from.
        now_s: The present.
    """

    def __init__(self, every_s: float, chance: random.Random, now_s: float) -> None:
        self._every_s = every_s
        self._chance = chance
        self._due_s = now_s + chance.uniform(0, min(every_s, _FIRST_CHECK_S))

    def due(self, now_s: float) -> bool:
        """Whether it is time."""
        return now_s >= self._due_s

    def asked(self, now_s: float) -> None:
        """Set the time of the next check."""
        self._due_s = now_s + self._every_s * self._chance.uniform(0.75, 1.25)

    def at_once(self) -> None:
        """It is time now."""
        self._due_s = float("-inf")


class UpdateService:
    """The updates of one box.

    Args:
        repository: Where releases come from.
        models: One updater for each model slot.
        others: What else goes from release to release: the configuration.
        schedule: When to ask.
        clock: The time.
    """

    def __init__(
        self,
        repository: Repository,
        models: Sequence[SlotUpdater],
        others: Sequence[Stepping],
        schedule: Schedule,
        clock: Clock,
    ) -> None:
        self._repository = repository
        self._models: Mapping[str, SlotUpdater] = {model.plan.name: model for model in models}
        self._all: tuple[Stepping, ...] = (*models, *others)
        self._schedule = schedule
        self._clock = clock
        self._asked = threading.Event()
        self._nudged = threading.Event()
        self._fresh = False

    def models_at_start(self) -> dict[str, ModelFile]:
        """The model of each slot to start with.

        Raises:
            ModelError: Not even an installed model can be read.
        """
        return {name: updater.at_start() for name, updater in self._models.items()}

    def configuration_at_start(self) -> Config | None:
        """The configuration to start with; ``None`` where only the installer's is taken.

        Raises:
            ConfigError: Not even the installer's is right.
        """
        found = (one.at_start() for one in self._all if isinstance(one, ConfigurationUpdater))
        return next(found, None)

    def broken_at_start(self, slot: str, why: str) -> ModelFile:
        """What :meth:`models_at_start` gave for a slot does not run here: the model before it.

        Raises:
            ModelError: It was the installed one.
        """
        return self._models[slot].broken_at_start(why)

    def ended_well(self) -> None:
        """The agent is told to stop, so that a start that ends young is no crash."""
        for updater in self._models.values():
            updater.ended_well()

    def ask(self, budgets_s: Mapping[str, float]) -> None:
        """The cameras of these slots leave other times for a picture than before, seconds."""
        for slot, budget_s in budgets_s.items():
            self._models[slot].plan = replace(self._models[slot].plan, budget_s=budget_s)

    def saw(self, slot: str, image: Image, found: Detections, took_s: float, *, rested: bool = True) -> None:
        """Told of every look of a model in charge, right after it; safe from any thread.

        Args:
            slot: The model's name in the configuration.
            image: uint8, shape (height, width, 3), BGR; not changed afterwards.
            found: What was seen.
            took_s: Seconds from pixels to detections.
            rested: Whether there was nothing to do just before it: only spare time is for a candidate.
        """
        self._models[slot].saw(image, found, took_s, rested=rested)

    def failed(self, slot: str, why: str) -> None:
        """Told when a model in charge fails while it runs; safe from any thread."""
        self._models[slot].failed(why)

    def check_now(self) -> None:
        """Ask at once, as a command over MQTT wants it; safe from any thread."""
        self._asked.set()
        self._nudged.set()

    def nudge(self) -> None:
        """Look at once whether there is something to do, or whether to stop; safe from any thread."""
        self._nudged.set()

    def statuses(self) -> tuple[UpdateStatus, ...]:
        """Where every slot stands."""
        return tuple(one.status() for one in self._all)

    def step(self) -> float:
        """Do what is to do now.

        While something new is watched, it alone is looked after, and only a command asks the repository: a slow
        network must not keep a bad model in charge.

        Returns:
            Seconds until there may be more to do.
        """
        now_s = self._clock.now().mono_s
        watched = [one for one in self._all if one.urgent]
        asked, wanted = self._asked.is_set(), any(one.wants_check for one in self._all)
        if asked or (not watched and (wanted or self._is_due(now_s))):
            self._asked.clear()
            self.check()
            self._schedule.asked(now_s)
        for one in watched or self._all:
            if one.busy:
                one.step()
        return self._pause_s()

    def _is_due(self, now_s: float) -> bool:
        return self._schedule.due(now_s) or (not self._fresh and any(one.needs_repository for one in self._all))

    def check(self) -> None:
        """Ask the repository, and let every slot look at what it has."""
        try:
            self._require_clock()
            self._repository.refresh()
            self._fresh = True
        except UpdateError as error:
            refusal = self._blame_the_clock(error)
            _log.warning("no update: %s", refusal)
            for one in self._all:
                one.tell(refusal)
            return
        for one in self._all:
            one.consider()

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop."""
        while not stop.is_set():
            try:
                pause_s = self.step()
            except Exception:  # noqa: BLE001 - whatever nobody thought of is logged, and the counting goes on
                _log.exception("the updater stumbled; it goes on in a while")
                pause_s = _IDLE_S
            self._nudged.wait(pause_s)
            self._nudged.clear()
        self.close()

    def close(self) -> None:
        """Let go of what is held open."""
        for one in self._all:
            one.close()
        self._repository.close()

    def _pause_s(self) -> float:
        if any(one.urgent for one in self._all):
            return _WATCH_S
        states = {one.status().state for one in self._all if one.busy}
        models = {model.status().state for model in self._models.values()}
        if states & {"downloading", "verifying"} or "trial" in models:
            return _SOON_S
        return _SHADOW_S if states & {"shadow", "trial"} else _IDLE_S  # a configuration waits for its broker

    def _require_clock(self) -> None:
        """Without a clock that runs forward, expiry means nothing, and old metadata could be served for ever."""
        known_s = max([EARLIEST_UTC_S, *(one.checked_utc_s for one in self._all)])
        if self._clock.now().utc_s < known_s - _CLOCK_SLACK_S:
            raise UpdateError(
                "clock_unset", "this box's clock is in the past; set it, and let NTP through the firewall"
            )

    def _blame_the_clock(self, error: UpdateError) -> UpdateError:
        if error.kind == "freeze" and not self._clock.now().synced:
            return UpdateError(
                "clock_unset", f"metadata seems to have expired, but this box's clock is not set by anybody: {error}"
            )
        return error
