"""Builds the update service of a box from its configuration; the only file here that knows every part.

Import it only where updates are configured: it needs the packages of the extra ``update``.
"""

from __future__ import annotations

import platform
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.assembly import budget_s
from agent.clock import Clock
from agent.config.schema import Config
from agent.config.update import Update
from agent.errors import ConfigError
from agent.update.child import ChildEyes, ChildLimits
from agent.update.configuration import ConfigurationHost, ConfigurationUpdater, ConfirmRules
from agent.update.durable import Disk
from agent.update.eyes import Eyes, OpenEyes, Subject
from agent.update.fetcher import Limits
from agent.update.offer import Box
from agent.update.plan import ModelHost, Parts, SlotPlan
from agent.update.repository import SignedRepository
from agent.update.service import Schedule, UpdateService
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from agent.version import VERSION

_BOARD: Final = Path("/proc/device-tree/model")
_KBIT_BYTES: Final = 125


@dataclass(frozen=True, slots=True)
class Hosts:
    """The running box, as far as it concerns updates.

    Attributes:
        models: Takes a new model between two frames.
        configuration: Takes a new configuration; ``None`` leaves configurations to the installer.
        configuration_file: The installer's file.
    """

    models: ModelHost
    configuration: ConfigurationHost | None = None
    configuration_file: Path | None = None


def hardware_tags(board: Path = _BOARD) -> tuple[str, ...]:
    """What rollout rules can name: the processor's architecture, and the board's name where the firmware says it."""
    tags = [re.sub(r"[^a-z0-9._-]+", "-", platform.machine().lower())]
    try:
        name = board.read_text(encoding="ascii", errors="replace").strip("\0\n ").lower()
    except OSError:
        return tuple(tags)
    words = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:63].rstrip("-")
    # "Raspberry Pi 5 Model B Rev 1.0" is also a raspberry-pi-5, and any board its maker's.
    shorter = [words.split("-model-")[0], words.split("-", maxsplit=1)[0]]
    return tuple(dict.fromkeys(tag for tag in [*tags, words, *shorter] if tag))


def build(
    config: Config,
    installed: Mapping[str, Subject],
    hosts: Hosts,
    clock: Clock,
    *,
    disk: Disk | None = None,
    chance: random.Random | None = None,
) -> UpdateService:
    """The update service of one box.

    Args:
        config: The box's configuration, with its section ``update``.
        installed: The model file of each slot that some camera uses, as it was installed.
        hosts: The running box.
        clock: The time.
        disk: How files are made durable.
        chance: Where the jitter of checks comes from.

    Raises:
        ConfigError: The pinned root can't be read.
    """
    settings = config.update
    if settings is None:
        raise ConfigError("this box takes no updates; give its configuration a section update")
    disk, folder = disk or Disk(), config.state_dir / "update"
    limits = Limits(bytes_per_s=settings.bandwidth_kbit_s * _KBIT_BYTES)
    repository = SignedRepository(settings.url, folder, _pinned(settings), limits, disk=disk)
    box = Box(config.device, hardware_tags(), VERSION, settings.groups)
    models = [
        SlotUpdater(
            SlotPlan(name, subject, budget_s(config, name)),
            Parts(
                repository=repository,
                folder=folder,
                host=hosts.models,
                trial=Trial(_opener(settings, config, name)),
                open_eyes=_opener(settings, config, name),
                box=box,
                clock=clock,
                disk=disk,
                shadow=_shadow(settings),
                watch_s=settings.watch_s,
            ),
        )
        for name, subject in installed.items()
    ]
    others = []
    if hosts.configuration is not None and hosts.configuration_file is not None:
        rules = ConfirmRules(settings.broker_s, 5 * settings.broker_s)
        others.append(
            ConfigurationUpdater(
                hosts.configuration_file, folder, repository, hosts.configuration, box, clock, disk, rules
            )
        )
    schedule = Schedule(settings.check_every_s, chance or random.Random(), clock.now().mono_s)  # noqa: S311 - no secret
    return UpdateService(repository, models, others, schedule, clock)


def _pinned(settings: Update) -> bytes:
    try:
        return settings.root_file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"update.root_file {settings.root_file} can't be read: {error.strerror}; "
            "copy the maintainer's root.json there"
        ) from error


def _shadow(settings: Update) -> ShadowRules:
    """The rules of the shadow; a quiet place has to do after six hours."""
    return ShadowRules(
        period_s=settings.shadow_period_s,
        least_s=settings.shadow_s,
        most_s=max(21_600, 4 * settings.shadow_s),
        least_frames=settings.shadow_frames,
    )


def _opener(settings: Update, config: Config, name: str) -> OpenEyes:
    """Opens candidates of one slot as its own model runs: as many threads, the same providers."""
    model = config.models.get(name)
    limits = ChildLimits(
        memory_bytes=settings.trial_memory_mb * 1_000_000,
        threads=model.threads if model else 0,
        providers=model.providers if model else None,
    )

    def open_eyes(subject: Subject) -> Eyes:
        return ChildEyes(subject, limits)

    return open_eyes
