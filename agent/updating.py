"""Updates on the running box: the updater's thread, what it may do to the pipeline, and what it tells the world.

A new model is loaded beside the running one and takes over between two frames; signed lines and zones likewise. What
the updater does is told by :mod:`agent.herald`, and in birth and health as it stands.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from agent.assembly import budget_s, open_judged, subject_of
from agent.changes import BusyError
from agent.clock import Clock
from agent.config.schema import Config, Model
from agent.errors import ConfigError, KentonganError, ModelError, SourceError
from agent.installation import how_to_add
from agent.mqtt.commands import NoArgs, Order
from agent.ops.check_geometry import check_geometry, errors_of
from agent.records import Scalar
from agent.scene.scene import Scene
from agent.update.refusal import RULES, UpdateError
from agent.update.status import UpdateStatus
from agent.values import Detections, Image
from agent.vision.detector import Detector

if TYPE_CHECKING:
    from agent.update.service import UpdateService
    from agent.vision.model_file import ModelFile

LOG: Final = logging.getLogger("kentongan.updates")
NEEDS: Final = "updates need the extra of that name, and {missing} is not installed; install it: {how}"
CHECK_PAUSE_S: Final = 5.0
"""Between two checks that are commanded: a check costs little, but a loop at the other end would cost a lot."""
_JOIN_S: Final = 1.0


class Running(Protocol):
    """The running box, as far as updates concern it; :class:`agent.app.App` is the real one."""

    def exchange(self, slot: str, detector: Detector) -> None:
        """Let another detector take over between two frames."""
        ...

    def redraw(self, config: Config) -> None:
        """Go on with other lines, zones and rates, between two frames."""
        ...

    def broker_connected(self) -> bool:
        """Whether the broker answers now."""
        ...


class Updating:
    """The updates of one running box; to the pipeline it is the :class:`agent.watching.Overseer`.

    Args:
        config: The installer's configuration, with its section ``update``.
        file: Where it was read; ``None`` leaves signed configurations alone.
        models: Every configured model by its name, the one that ships included.
        clock: The agent's clock.

    Raises:
        ConfigError: The extra ``update`` is not installed, the pinned root can't be read, or not even the installer's
            configuration is right.
    """

    def __init__(self, config: Config, file: Path | None, models: Mapping[str, Model], clock: Clock) -> None:
        self._models = models
        self._clock = clock
        self._running: Running | None = None
        self._stop = threading.Event()
        self._asked_s = float("-inf")
        self._service = self._build(config, file)
        self.config = self._service.configuration_at_start() or config
        self._service.ask(self._budgets(self.config))
        self._thread = threading.Thread(target=self._service.run, args=(self._stop,), name="updating", daemon=True)

    def _build(self, config: Config, file: Path | None) -> UpdateService:
        try:
            from agent.update.build import Hosts, build  # noqa: PLC0415 - only here are the extra's packages needed
        except ModuleNotFoundError as error:
            raise ConfigError(
                NEEDS.format(missing=(error.name or "it").partition(".")[0], how=how_to_add("update"))
            ) from error
        used = sorted({camera.model for camera in config.cameras})
        installed = {name: subject_of(self._models[name]) for name in used}
        file = None if file is None else file.absolute()
        takes_lines = config.update is not None and config.update.configuration and file is not None
        hosts = Hosts(self, self if takes_lines else None, file if takes_lines else None)
        return build(config, installed, hosts, self._clock)

    def open_detectors(self) -> dict[str, Detector]:
        """A detector of the model in charge of every slot; one that does not run here gives way to the one before.

        Raises:
            ModelError: Not even the installed model runs.
        """
        return {slot: self._open(slot, model) for slot, model in self._service.models_at_start().items()}

    def _open(self, slot: str, model: ModelFile) -> Detector:
        while True:
            try:
                return open_judged(self._models[slot], model)
            except ModelError as error:
                model = self._service.broken_at_start(slot, str(error))

    def start(self, running: Running) -> None:
        """Look for updates of this box from now on."""
        self._running = running
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def stop(self, *, well: bool = True, timeout_s: float = _JOIN_S) -> None:
        """Look no more; a download or trial under way goes on after the next start.

        Args:
            well: The box was told to stop, so that its end is no crash of a new model.
            timeout_s: Longest wait.
        """
        self._stop.set()
        self._service.nudge()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if well and not self._thread.is_alive():
            self._service.ended_well()

    # What the pipeline tells

    def saw(self, slot: str, image: Image, found: Detections, took_s: float, *, rested: bool) -> None:
        """See :meth:`agent.watching.Overseer.saw`."""
        self._service.saw(slot, image, found, took_s, rested=rested)

    def failed(self, slot: str, why: str) -> None:
        """See :meth:`agent.watching.Overseer.failed`."""
        self._service.failed(slot, why)

    # What the updater does; see agent.update.plan.ModelHost and agent.update.configuration.ConfigurationHost

    def swap(self, slot: str, model: ModelFile) -> None:
        """Load these bytes, then let them take over between two frames.

        Raises:
            ModelError: They do not load; what was running runs on.
            UpdateError: The pipeline has no time for it now (``not_now``); what was running runs on.
        """
        detector = open_judged(self._models[slot], model)
        if self._running is not None:
            try:
                self._running.exchange(slot, detector)
            except BusyError as error:
                raise UpdateError("not_now", f"{slot}: {error}") from error
        described = model.description
        LOG.info("%s: %s %s (%s) is in charge", slot, described.name, described.version, described.sha256[:8])

    def apply(self, config: Config) -> None:
        """Go on with this configuration.

        Raises:
            ConfigError: It can't count, by the rules of ``kentongan check``; the box goes on with what it had.
            UpdateError: The box can't take it just now (``not_now``); it goes on with what it had.
        """
        _require_same_box(self.config, config)
        self.judge(config)
        self.restore(config)
        LOG.info("lines, zones and rates are those of the signed configuration")

    def restore(self, config: Config) -> None:
        """Go on with a configuration that ran before, whatever it would be judged to be now.

        Raises:
            UpdateError: The box can't do it just now (``not_now``): it is busy, or a camera does not open.
        """
        try:
            if self._running is not None:
                self._running.redraw(config)
        except (BusyError, SourceError) as error:
            raise UpdateError("not_now", str(error)) from error
        self.config = config
        self._service.ask(self._budgets(config))

    def judge(self, config: Config) -> None:
        """Whether everything in a configuration can count, by the rules of ``kentongan check``.

        Raises:
            ConfigError: Something can't.
        """
        for number, camera in enumerate(config.cameras):
            for finding in errors_of(check_geometry(camera, ("cameras", number))):
                raise ConfigError(f"camera {camera.name}: {finding.text()}")
            Scene(camera, device=config.device, model=None)

    def broker_connected(self) -> bool:
        """Whether the broker answers now."""
        return self._running is not None and self._running.broker_connected()

    def _budgets(self, config: Config) -> dict[str, float]:
        return {name: budget_s(config, name) for name in {camera.model for camera in config.cameras}}

    # What the world is told

    def orders(self) -> tuple[Order, ...]:
        """The commands that the broker may send."""
        return (Order("check_updates", NoArgs, self._check),)

    def _check(self, _: NoArgs) -> Mapping[str, Scalar]:
        now_s = self._clock.now().mono_s
        if now_s - self._asked_s < CHECK_PAUSE_S:
            raise KentonganError(f"a check was commanded just now; ask again after {CHECK_PAUSE_S:g} s")
        self._asked_s = now_s
        self._service.check_now()
        return {status.slot: status.state for status in self.statuses()}

    def statuses(self) -> tuple[UpdateStatus, ...]:
        """Where every slot stands."""
        return self._service.statuses()

    def problems(self) -> list[str]:
        """One sentence for each slot that something keeps from updating, but for rules that were signed."""
        return [
            f"update of {status.slot}: {status.detail}"
            for status in self.statuses()
            if status.detail and status.reason not in RULES
        ]


def _require_same_box(before: Config, after: Config) -> None:
    """Only what may be signed can change while the box runs.

    Raises:
        UpdateError: The installer's file says something else by now (``not_now``).
    """
    signed = {"cameras": {"__all__": {"lines", "zones", "ground", "detect_fps"}}}
    if before.model_dump(exclude=signed) != after.model_dump(exclude=signed):
        why = "the configuration's file was changed since the agent started; restart the agent first"
        raise UpdateError("not_now", why)
