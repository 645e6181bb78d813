"""A new model in charge under watch, and the ways back from it, also when the way back meets with trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.changes import StuckError
from agent.errors import KentonganError, ModelError
from agent.update.refusal import UpdateError
from tests.fakes.update_models import Street
from tests.fakes.update_slot import (
    INSTALLED,
    SECOND,
    SlotWorld,
    commit_second,
    fail,
    offer_second,
    rolled_back_within,
    sha,
)
from tests.fakes.updates import FullDisk


@pytest.fixture
def world(tmp_path: Path) -> SlotWorld:
    return SlotWorld(tmp_path)


def test_detections_that_collapse_after_the_commit_bring_the_old_model_back_within_a_minute(world: SlotWorld) -> None:
    commit_second(world)
    world.live = Street(0)
    assert rolled_back_within(world, 60, "detections_collapsed")


def test_detections_that_collapse_after_a_restart_under_watch_are_noticed_too(world: SlotWorld) -> None:
    commit_second(world)
    world.boot()
    world.live = Street(0)
    assert rolled_back_within(world, 60, "detections_collapsed")


def test_starts_that_the_agent_was_told_to_end_are_no_crashes(world: SlotWorld) -> None:
    commit_second(world)
    for _ in range(6):
        world.boot()
        world.updater.ended_well()
    assert world.running == sha(SECOND)
    for _ in range(3):
        world.boot()
    assert world.running == sha(INSTALLED)


def test_flood_of_detections_after_the_commit_brings_the_old_model_back(world: SlotWorld) -> None:
    commit_second(world)
    world.live = Street(60)
    assert rolled_back_within(world, 60, "sees_more")


def test_rate_below_need_after_the_commit_brings_the_old_model_back_within_a_minute(world: SlotWorld) -> None:
    commit_second(world)
    world.took_s = 0.4
    assert rolled_back_within(world, 60, "rate_low")


def test_model_that_fails_while_it_runs_is_taken_back_at_once(world: SlotWorld) -> None:
    commit_second(world)
    fail(world)
    assert rolled_back_within(world, 1, "load_failed")


def test_one_odd_picture_and_the_failures_of_the_old_model_condemn_nobody(world: SlotWorld) -> None:
    offer_second(world)
    world.host.on_swap = lambda: fail(world)
    world.pass_time(300)
    world.check()
    world.pass_time(60)
    for _ in range(5):
        world.updater.failed("one odd picture")
        world.pass_time(40)
    assert (world.running, world.updater.status().state) == (sha(SECOND), "committed")


def test_model_that_fails_at_every_look_is_taken_back_though_it_looks_seldom(world: SlotWorld) -> None:
    commit_second(world)
    world.updater.failed("its output makes no sense")
    world.updater.step()
    assert world.running == sha(SECOND)
    world.clock.advance(70)
    world.updater.failed("its output makes no sense")
    world.updater.step()
    assert world.running == sha(INSTALLED)


TROUBLE = [UpdateError("not_now", "the agent was too busy"), ModelError("no memory"), StuckError("stuck")]


@pytest.mark.parametrize("trouble", TROUBLE)
def test_way_back_that_the_pipeline_refuses_is_tried_until_it_works(world: SlotWorld, trouble: KentonganError) -> None:
    commit_second(world)
    world.host.trouble = trouble
    fail(world)
    world.pass_time(20)
    assert (world.running, world.updater.busy, world.updater.urgent) == (sha(SECOND), True, True)
    world.host.trouble = None
    assert rolled_back_within(world, 1, "load_failed")
    assert not world.updater.busy


def test_way_back_from_a_withdrawn_model_is_tried_until_it_works_too(world: SlotWorld) -> None:
    commit_second(world)
    offer_second(world, withdrawn=True)
    world.host.trouble = UpdateError("not_now", "the agent was too busy")
    world.check()
    assert (world.running, world.updater.urgent) == (sha(SECOND), True)
    world.host.trouble = None
    assert rolled_back_within(world, 1, "withdrawn")


def test_installed_model_that_can_not_be_read_now_is_tried_again(world: SlotWorld) -> None:
    commit_second(world)
    world.installed.rename(world.folder / "away")
    fail(world)
    world.pass_time(5)
    assert world.running == sha(SECOND)
    (world.folder / "away").rename(world.installed)
    assert rolled_back_within(world, 1, "load_failed")


def test_camera_that_is_lost_after_the_commit_speaks_against_nobody(world: SlotWorld) -> None:
    commit_second(world)
    for _ in range(200):
        world.updater.step()
        world.clock.advance(1)
    assert world.running == sha(SECOND)


def test_crash_loop_ends_with_the_old_model(world: SlotWorld) -> None:
    commit_second(world)
    for _ in range(3):
        assert world.running == sha(SECOND)
        world.boot()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "crash_loop")
    assert world.running == sha(INSTALLED)


def test_power_cuts_far_apart_are_no_crash_loop(world: SlotWorld) -> None:
    commit_second(world)
    for _ in range(5):
        world.boot()
        world.pass_time(70)
    assert world.running == sha(SECOND)


def test_full_disk_can_not_keep_a_bad_model_in_charge(world: SlotWorld) -> None:
    world.disk = disk = FullDisk()
    world.boot()
    commit_second(world)
    disk.full = True
    fail(world)
    assert rolled_back_within(world, 1, "load_failed")
