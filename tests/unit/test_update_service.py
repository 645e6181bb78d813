"""When the repository is asked, what a bad clock means, and that nothing in updating can stop the service."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from agent.config.update import Update
from agent.errors import ModelError
from agent.update.eyes import Subject
from agent.update.offer import Box
from agent.update.plan import Parts, SlotPlan
from agent.update.refusal import UpdateError
from agent.update.service import EARLIEST_UTC_S, Schedule, UpdateService
from agent.update.shadow import ShadowRules
from agent.update.status import UpdateStatus
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from agent.update.watch import Gauge, Look, Usual, judge
from tests.fakes.clock import ManualClock
from tests.fakes.update_models import BRIGHT, Street, candidate
from tests.fakes.updates import CountingHost, CuttingDisk, ShelfRepository, Temper


class World:
    def __init__(self, folder: Path, utc_s: float = EARLIEST_UTC_S + 1e6) -> None:
        self.clock = ManualClock(utc_s)
        self.shelf = ShelfRepository()
        self.host = CountingHost()
        (folder / "installed.onnx").write_bytes(candidate("1"))
        temper = Temper()
        parts = Parts(
            repository=self.shelf,
            folder=folder / "update",
            host=self.host,
            trial=Trial(temper),
            open_eyes=temper,
            box=Box("box-1", (), "1"),
            clock=self.clock,
            disk=CuttingDisk(),
            shadow=ShadowRules(period_s=1, least_s=5, most_s=60, least_frames=3, least_seen=8),
            watch_s=60,
        )
        updater = SlotUpdater(SlotPlan("street", Subject(folder / "installed.onnx", None), 0.1), parts)
        schedule = Schedule(3600, random.Random(1), self.clock.now().mono_s)
        self.service = UpdateService(self.shelf, [updater], [], schedule, self.clock)

    def pass_time(self, seconds: int, step: int = 1) -> None:
        for _ in range(0, seconds, step):
            self.service.saw("street", BRIGHT, Street().detections(), 0.01)
            self.service.step()
            self.clock.advance(step)

    @property
    def status(self) -> UpdateStatus:
        return self.service.statuses()[0]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_repository_is_asked_at_its_pace_with_jitter(world: World) -> None:
    world.pass_time(24 * 3600, 60)
    assert 20 <= world.shelf.refreshes <= 30


def test_two_boxes_do_not_ask_at_the_same_moment() -> None:
    first = [Schedule(3600, random.Random(seed), 0.0)._due_s for seed in range(100)]
    assert len({round(due_s) for due_s in first}) > 60
    assert max(first) <= 300


def test_command_asks_at_once(world: World) -> None:
    world.pass_time(600)
    asked = world.shelf.refreshes
    world.service.check_now()
    world.pass_time(1)
    assert world.shelf.refreshes == asked + 1


def test_box_starts_with_its_installed_model_and_takes_the_one_on_offer(world: World) -> None:
    models = world.service.models_at_start()
    assert models["street"].description.version == "1"
    world.shelf.offer(candidate("2"), version="2", serial=1)
    world.service.check_now()
    world.pass_time(20)
    assert world.status.state == "committed"
    assert world.host.swaps == 1


def test_release_that_comes_while_another_is_under_way_is_taken_right_after(world: World) -> None:
    world.shelf.offer(candidate("2"), version="2", serial=1)
    world.service.check_now()
    world.pass_time(20)
    world.shelf.offer(candidate("3"), version="3", serial=2)
    world.service.check_now()
    world.pass_time(200)
    assert world.status.serial == 2


def test_clock_before_the_agent_was_made_is_unset(tmp_path: Path) -> None:
    world = World(tmp_path, utc_s=0.0)
    world.service.check_now()
    world.pass_time(1)
    assert world.status.reason == "clock_unset"
    assert world.shelf.refreshes == 0


def test_clock_years_behind_the_last_check_is_unset(world: World) -> None:
    world.service.check_now()
    world.pass_time(1)
    world.clock.step_utc(-3 * 86_400)
    world.service.check_now()
    world.pass_time(1)
    assert world.status.reason == "clock_unset"


def test_expired_metadata_under_a_clock_nobody_set_blames_the_clock(world: World) -> None:
    world.shelf.refusal = UpdateError("freeze", "it has expired")
    world.service.check_now()
    world.pass_time(1)
    assert world.status.reason == "freeze"
    world.clock.set_synced(synced=False)
    world.service.check_now()
    world.pass_time(1)
    assert world.status.reason == "clock_unset"


def test_model_that_fails_while_it_runs_is_told_to_its_slot(world: World) -> None:
    world.shelf.offer(candidate("2"), version="2", serial=1)
    world.service.check_now()
    world.pass_time(20)
    for _ in range(3):
        world.service.failed("street", "NaN")
    world.pass_time(1)
    assert world.status.state == "rolled_back"


def test_service_survives_what_nobody_thought_of(world: World) -> None:
    class Stumbling(ShelfRepository):
        def refresh(self) -> None:
            stop.set()
            raise ModelError("nobody thought of this")

    stop = threading.Event()
    world.service._repository = Stumbling()
    world.service.check_now()
    thread = threading.Thread(target=world.service.run, args=(stop,))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_few_looks_speak_against_nobody() -> None:
    gauge = Gauge(600)
    for at in range(5):
        gauge.saw(Look(float(at), 9.0, 0))
    assert judge(Usual(0.01, 5.0, 0.1), gauge, 0.0, 50.0) is None


def test_model_too_slow_for_twenty_looks_is_judged_by_those_that_fill_its_time() -> None:
    gauge = Gauge(600)
    for at in range(4, 20, 4):
        gauge.saw(Look(float(at), 3.9, 4))
    against = judge(Usual(0.05, 4.0, 0.1), gauge, 0.0, 20.0)
    assert against is not None
    assert against[0] == "rate_low"


def test_start_without_anything_usual_is_judged_by_its_pace_alone() -> None:
    gauge = Gauge(600)
    for at in range(60):
        gauge.saw(Look(float(at), 0.5, 0))
    assert judge(Usual(None, None, 1.0), gauge, 0.0, 60.0) is None
    against = judge(Usual(None, None, 0.1), gauge, 0.0, 60.0)
    assert against is not None
    assert against[0] == "rate_low"


def test_box_that_was_late_before_does_not_blame_the_new_model() -> None:
    gauge = Gauge(600)
    for at in range(60):
        gauge.saw(Look(float(at), 0.21, 5))
    assert judge(Usual(0.2, 5.0, 0.1), gauge, 0.0, 60.0) is None


def test_looks_of_long_ago_are_forgotten() -> None:
    gauge = Gauge(10)
    gauge.saw(Look(0.0, 0.1, 4))
    gauge.saw(Look(20.0, 0.1, 2))
    assert gauge.usual(1.0) == Usual(0.1, 2.0, 1.0)
    assert Gauge(10).usual(1.0) == Usual(None, None, 1.0)


@pytest.mark.parametrize("url", ["ftp://a/b", "https://", "http://a/b?c=d", "file:///etc"])
def test_address_that_is_no_web_folder_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Update(url=url, root_file=Path("root.json"))


def test_settings_have_sensible_defaults() -> None:
    settings = Update(url="https://models.example/kentongan", root_file=Path("root.json"))
    assert (settings.check_every_s, settings.groups) == (3600, ())
