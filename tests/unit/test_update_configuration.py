"""Configurations by the signed road: applied on trial, returned from when the broker is lost, never a redirection."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.schema import Config
from agent.errors import ConfigError, KentonganError, SourceError
from agent.update.configuration import LARGEST_BYTES, ConfigurationUpdater, ConfirmRules
from agent.update.durable import Disk
from agent.update.offer import CUSTOM_KEY, Box, ConfigurationOffer, Rollout
from agent.update.refusal import UpdateError
from agent.update.service import Schedule, UpdateService
from tests.fakes.clock import ManualClock
from tests.fakes.updates import FullDisk, ShelfRepository

INSTALLED = """
device: box-1
mqtt: {host: broker.example, plaintext: true}
cameras:
  - name: gate
    source: rtsp://camera.example/live
    lines: [{name: old, points: [[0.1, 0.5], [0.9, 0.5]]}]
"""
MOVED = b"cameras: {gate: {lines: [{name: new, points: [[0.2, 0.6], [0.8, 0.6]]}]}}"
DEVICE = "configuration/device/box-1.yaml"
GROUP = "configuration/group/north.yaml"


class Running:
    """A box whose broker is there or not."""

    def __init__(self) -> None:
        self.connected = True
        self.config: Config | None = None
        self.refuses = False
        self.trouble: KentonganError | None = None
        self.restores = 0

    def apply(self, config: Config) -> None:
        self.judge(config)
        self._go_on_with(config)

    def judge(self, config: Config) -> None:
        if self.refuses:
            raise ConfigError("this line can never count")

    def restore(self, config: Config) -> None:
        self.restores += 1
        self._go_on_with(config)

    def _go_on_with(self, config: Config) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.config = config

    def broker_connected(self) -> bool:
        return self.connected


class World:
    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.file = folder / "kentongan.yaml"
        self.file.write_text(INSTALLED)
        self.folder = folder
        self.clock = ManualClock()
        self.shelf = ShelfRepository()
        self.host = Running()
        self.disk = disk or Disk()
        self.boot()

    def boot(self) -> None:
        box = Box("box-1", ("x86_64",), "1.0", ("north",))
        self.updater = ConfigurationUpdater(
            self.file, self.folder / "update", self.shelf, self.host, box, self.clock, self.disk, ConfirmRules(60, 300)
        )
        self.host.config = self.updater.at_start()

    def offer(self, data: bytes = MOVED, path: str = DEVICE, **fields: object) -> None:
        offer = ConfigurationOffer.model_validate({"serial": 1, **fields})
        self.shelf.files[path] = (data, {CUSTOM_KEY: offer.model_dump(mode="json")})

    def go(self, seconds: int = 400) -> None:
        self.updater.consider()
        for _ in range(seconds):
            if self.updater.busy:
                self.updater.step()
            self.clock.advance(1)

    @property
    def line(self) -> str:
        assert self.host.config is not None
        return self.host.config.cameras[0].lines[0].name

    @property
    def told(self) -> tuple[str, str | None]:
        status = self.updater.status()
        return status.state, status.reason


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_empty_sections_that_an_older_agent_let_pass_keep_neither_the_box_nor_its_signed_lines_from_starting(
    world: World,
) -> None:
    world.offer()
    world.go()
    older = b"cameras: {gate: {lines: [{name: new, points: [[0.2, 0.6], [0.8, 0.6]]}], zones: [%s]}}"
    zone = b"{name: z, polygon: [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], rules: {crowd: }}"
    in_charge = world.updater._slot.in_charge
    assert in_charge is not None
    data = older % zone
    held = replace(in_charge, sha256=hashlib.sha256(data).hexdigest())
    world.updater._store.path(held.sha256).write_bytes(data)
    world.updater._file.save(replace(world.updater._slot, in_charge=held))
    world.file.write_text(INSTALLED + "evidence:\nupdate:\n")
    world.boot()
    assert (world.line, world.told) == ("new", ("committed", None))


def test_signed_lines_are_applied_and_stay_after_a_restart(world: World) -> None:
    world.offer()
    world.go()
    assert (world.line, world.told) == ("new", ("committed", None))
    world.boot()
    assert world.line == "new"


def test_next_check_finds_nothing_to_do(world: World) -> None:
    world.offer()
    world.go()
    world.go()
    assert world.shelf.downloads == [DEVICE]


def test_box_that_loses_its_broker_returns_by_itself(world: World) -> None:
    world.offer()
    world.updater.consider()
    for _ in range(3):
        world.updater.step()
    assert world.line == "new"
    world.host.connected = False
    world.go(310)
    assert (world.line, world.told) == ("old", ("blocked", "broker_lost"))


def lost_under_trial(world: World) -> None:
    world.offer()
    world.updater.consider()
    for _ in range(3):
        world.updater.step()
    assert world.line == "new"
    world.host.connected = False


def test_way_back_that_the_disk_refuses_is_done_at_once_and_remembered_when_there_is_room(tmp_path: Path) -> None:
    world = World(tmp_path, disk := FullDisk())
    lost_under_trial(world)
    disk.full = True
    world.go(310)
    assert (world.line, world.updater.busy) == ("old", True)
    disk.full = False
    world.go(2)
    assert (world.line, world.told) == ("old", ("blocked", "broker_lost"))
    assert world.host.restores == 1


def test_way_back_that_the_box_refuses_is_tried_until_it_works(world: World) -> None:
    lost_under_trial(world)
    world.host.trouble = SourceError("the camera does not open")
    world.go(310)
    assert (world.line, world.updater.urgent) == ("new", True)
    world.host.trouble = None
    world.go(2)
    assert (world.line, world.told) == ("old", ("blocked", "broker_lost"))


@pytest.mark.parametrize("text", ["", "cameras: [", INSTALLED.replace("gate", "door")])
def test_way_back_needs_no_installers_file_and_no_judgement(world: World, text: str) -> None:
    lost_under_trial(world)
    world.host.refuses = True
    world.file.write_text(text)
    world.go(310)
    assert (world.line, world.told) == ("old", ("blocked", "broker_lost"))


@pytest.mark.parametrize(
    "trouble", [SourceError("the camera does not open"), UpdateError("not_now", "the agent was too busy")]
)
def test_trouble_that_passes_leaves_a_good_configuration_for_the_next_check(
    world: World, trouble: KentonganError
) -> None:
    world.host.trouble = trouble
    world.offer()
    world.go(10)
    assert (world.line, world.told) == ("old", ("idle", "not_now"))
    world.host.trouble = None
    world.go()
    assert (world.line, world.told) == ("new", ("committed", None))


def test_installers_file_that_is_edited_meanwhile_blocks_no_release(world: World) -> None:
    world.file.write_text("cameras: [")
    world.offer()
    world.go()
    assert (world.line, world.told) == ("new", ("committed", None))


def test_signed_configuration_that_no_longer_counts_gives_way_at_the_start(world: World) -> None:
    world.offer()
    world.go()
    world.host.refuses = True
    world.boot()
    assert (world.line, world.told) == ("old", ("rolled_back", "bad_configuration"))
    assert "never count" in (world.updater.status().detail or "")


def test_one_before_it_is_what_the_box_goes_back_to_at_the_start(world: World) -> None:
    world.offer()
    world.go()
    world.offer(MOVED.replace(b"new", b"newer"), serial=2)
    world.go()
    assert world.line == "newer"
    newer = world.updater._slot.in_charge
    assert newer is not None
    (world.folder / "update" / "configurations" / newer.sha256).unlink()
    world.boot()
    assert (world.line, world.told) == ("new", ("rolled_back", "vanished"))


def test_trial_waits_until_there_is_a_broker_to_lose(world: World) -> None:
    world.host.connected = False
    world.offer()
    world.go(1000)
    assert (world.line, world.told) == ("old", ("trial", None))
    world.host.connected = True
    world.go(100)
    assert (world.line, world.told) == ("new", ("committed", None))


def test_trial_that_waits_for_its_broker_takes_no_processor(world: World) -> None:
    schedule = Schedule(3600, random.Random(1), world.clock.now().mono_s)
    service = UpdateService(world.shelf, [], [world.updater], schedule, world.clock)
    world.host.connected = False
    world.offer()
    service.check_now()
    for _ in range(3):
        service.step()
    assert world.told == ("trial", None)
    assert service.step() > 0.1
    world.host.connected = True
    assert service.step() > 0.1, "nor does one that must keep it for a minute"


def test_power_that_fails_in_the_trial_is_a_way_back(world: World) -> None:
    world.offer()
    world.updater.consider()
    for _ in range(3):
        world.updater.step()
    assert world.line == "new"
    world.boot()
    assert world.line == "old"
    world.go(100)
    assert world.line == "new"


def test_configuration_that_takes_the_box_down_every_time_is_blocked(world: World) -> None:
    world.offer()
    world.updater.consider()
    for _ in range(4):
        for _ in range(3):
            world.updater.step()
        world.boot()
    assert (world.line, world.told) == ("old", ("blocked", "crashed"))


def test_device_comes_before_its_group(world: World) -> None:
    world.offer(MOVED.replace(b"new", b"group"), GROUP)
    world.go()
    assert world.line == "group"
    world.offer()
    world.go()
    assert world.line == "new"


def test_number_below_the_one_in_charge_is_a_downgrade(world: World) -> None:
    world.offer(serial=3)
    world.go()
    world.offer(MOVED.replace(b"new", b"older"), serial=2)
    world.go()
    assert (world.line, world.told) == ("new", ("committed", "downgrade"))


def test_rollout_rules_hold_for_configurations_too(world: World) -> None:
    world.offer(rollout=Rollout(percent=0))
    world.go()
    assert (world.line, world.told) == ("old", ("idle", "not_yet"))


@pytest.mark.parametrize(
    "data",
    [
        b"mqtt: {host: evil.example}",
        b"cameras: {gate: {source: rtsp://evil.example}}",
        b"cameras: {gate: {login: {user: thief}}}",
        b"cameras: {nowhere: {detect_fps: 5}}",
        b"cameras: {gate: {lines: [{name: new, points: [[0.2, 0.6]]}]}}",
        b"cameras: {gate: {detect_fps: 1000}}",
        b"cameras: [&a [*a]]",
        b"\xff\xfe",
        b"",
    ],
)
def test_configuration_that_says_what_it_may_not_is_refused(world: World, data: bytes) -> None:
    world.offer(data)
    world.go()
    assert (world.line, world.told) == ("old", ("blocked", "bad_configuration"))


def test_configuration_that_the_box_can_not_apply_is_refused(world: World) -> None:
    world.host.refuses = True
    world.offer()
    world.go()
    assert (world.line, world.told) == ("old", ("blocked", "bad_configuration"))


def test_refused_configuration_is_tried_again_only_when_a_newer_number_says_so(world: World) -> None:
    world.host.refuses = True
    world.offer()
    world.go()
    world.host.refuses = False
    world.go()
    assert world.told == ("blocked", "known_bad")
    world.offer(serial=2, again=True)
    world.go()
    assert world.line == "new"


def test_configuration_that_is_too_big_is_never_downloaded(world: World) -> None:
    world.offer(b"#" * (LARGEST_BYTES + 1))
    world.go()
    assert world.told == ("blocked", "too_big")
    assert world.shelf.downloads == []


def test_download_that_fails_is_tried_again(world: World) -> None:
    world.offer()
    world.shelf.broken = UpdateError("unreachable", "no network")
    world.go(5)
    assert world.told == ("idle", "unreachable")
    world.shelf.broken = None
    world.go()
    assert world.line == "new"


def test_repository_that_is_away_is_a_reason(world: World) -> None:
    world.updater.tell(UpdateError("freeze", "it has expired"))
    assert world.told == ("idle", "freeze")


def test_file_that_changes_on_the_disk_gives_way_to_the_installers(world: World) -> None:
    world.offer()
    world.go()
    for path in (world.folder / "update" / "configurations").iterdir():
        path.write_bytes(b"cameras: {}")
    world.boot()
    assert (world.line, world.told) == ("old", ("rolled_back", "arbitrary_installation"))


def test_full_disk_is_a_reason(tmp_path: Path) -> None:
    disk = FullDisk()
    world = World(tmp_path, disk)
    disk.full = True
    world.offer()
    world.go(5)
    assert world.told == ("idle", "disk_full")
