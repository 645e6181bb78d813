"""An update that meets with trouble: no network, a full or broken disk, and the power failing at every single step."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.update.refusal import UpdateError
from tests.fakes.update_models import candidate
from tests.fakes.update_slot import (
    GOLDEN,
    INSTALLED,
    SECOND,
    THIRD,
    SlotWorld,
    offer_second,
    sha,
)
from tests.fakes.updates import FullDisk, PowerCut


@pytest.fixture
def world(tmp_path: Path) -> SlotWorld:
    return SlotWorld(tmp_path)


def test_pipeline_that_is_too_busy_for_a_good_model_leaves_it_for_the_next_check(world: SlotWorld) -> None:
    offer_second(world)
    world.host.trouble = UpdateError("not_now", "the agent was too busy")
    world.go()
    status = world.updater.status()
    assert (world.running, status.state, status.reason) == (sha(INSTALLED), "idle", "not_now")
    world.host.trouble = None
    world.go()
    assert world.running == sha(SECOND)


def test_box_that_can_not_start_a_trial_now_tries_again(world: SlotWorld) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = "not_now"
    for _ in range(5):
        world.go()
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "not_now")
    world.temper.refuses.clear()
    world.go()
    assert world.running == sha(SECOND)


def test_box_that_goes_down_in_every_trial_blames_the_candidate(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(2)
    for _ in range(3):
        slot = world.updater._slot
        world.updater._file.save(replace(slot, attempts=slot.attempts + 1))
        world.boot()
    world.pass_time(2)

    assert world.refused_by("crashed")


def test_repository_that_is_away_is_a_reason_in_the_status_and_nothing_else(world: SlotWorld) -> None:
    world.shelf.refusal = UpdateError("unreachable", "no network")
    world.check()
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "unreachable")
    world.shelf.refusal = None
    world.check()
    assert world.updater.status().reason is None


def test_download_that_fails_is_tried_again_at_the_next_check(world: SlotWorld) -> None:
    offer_second(world)
    world.shelf.broken = UpdateError("vanished", "half of it is gone")
    world.check()
    world.pass_time(2)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")
    world.shelf.broken = None
    world.go()
    assert world.running == sha(SECOND)


def test_bytes_that_change_on_the_disk_are_never_loaded(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    (world.folder / "update" / "models" / "street" / sha(SECOND)).write_bytes(SECOND + b"x")
    world.boot()
    assert world.running == sha(INSTALLED)
    assert world.updater.status().reason == "load_failed"


def test_full_disk_is_a_reason_and_the_update_goes_on_when_there_is_room(world: SlotWorld) -> None:
    world.disk = disk = FullDisk()
    world.boot()
    offer_second(world)
    disk.full = True
    world.go()
    assert (world.updater.status().reason, world.running) == ("disk_full", sha(INSTALLED))
    disk.full = False
    world.go()
    assert world.running == sha(SECOND)


def test_slot_file_that_a_broken_disk_ruined_starts_over_with_the_installed_model(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    (world.folder / "update" / "slots" / "street.json").write_bytes(b"\0" * 100)
    world.boot()
    assert world.running == sha(INSTALLED)
    assert world.updater.status().reason == "malformed"


def whole_story(world: SlotWorld) -> None:
    """Two good updates, one refused, one taken back: through every state, with as few looks as that takes."""
    offer_second(world)
    world.go(look_s=3, watch_s=100)
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2)
    world.go(look_s=3, watch_s=100)
    world.shelf.offer(candidate("4"), golden=GOLDEN, version="4", serial=3)
    world.temper.refuses[sha(candidate("4"))] = "crashed"
    world.go(look_s=3, watch_s=100)
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2, withdrawn=True)
    world.check()


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of flushes to a real disk take minutes on a busy machine."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_power_that_fails_at_any_durable_step_leaves_the_old_good_or_the_new_good_model(quick_folder: Path) -> None:
    calm = SlotWorld(made(quick_folder / "calm"))
    whole_story(calm)
    steps = calm.disk.operations
    assert calm.running == sha(SECOND)
    assert steps == 65, "the story goes through fewer or other steps than it did"
    good = {sha(INSTALLED), sha(SECOND), sha(THIRD)}

    for cut in range(1, steps + 1):
        world = SlotWorld(made(quick_folder / str(cut)))
        world.disk.cut_at = cut
        with contextlib.suppress(PowerCut):
            whole_story(world)
        assert world.disk.operations == cut, "the power did fail"
        world.disk.cut_at = None
        world.boot()
        assert world.running in good, f"power cut at step {cut}"
        whole_story(world)
        world.boot()
        assert world.running in {sha(SECOND), sha(INSTALLED)}, f"after a power cut at step {cut}"


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_candidate_whose_bytes_the_disk_loses_comes_again(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(1)
    (world.folder / "update" / "models" / "street" / sha(SECOND)).unlink()
    world.pass_time(1)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")
    world.go()
    assert world.running == sha(SECOND)


def test_candidate_that_the_disk_loses_in_its_shadow_comes_again(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    (world.folder / "update" / "models" / "street" / sha(SECOND)).unlink()
    world.pass_time(60)
    assert (world.running, world.updater.status().reason) == (sha(INSTALLED), "vanished")


def test_repository_that_vanishes_before_a_download_leaves_it_for_the_next_check(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.updater.tell(UpdateError("unreachable", "no network"))
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "unreachable")


def test_trouble_of_the_repository_does_not_disturb_an_update_under_way(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    world.updater.tell(UpdateError("unreachable", "no network"))
    assert (world.updater.status().state, world.updater.status().reason) == ("shadow", None)
