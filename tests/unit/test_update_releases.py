"""Which release a box takes, leaves, or goes back from: withdrawn, older, held, blocked, renumbered."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.fixture
def world(tmp_path: Path) -> SlotWorld:
    return SlotWorld(tmp_path)


def test_withdrawn_model_gives_way_to_the_one_before_it_at_the_next_check(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    offer_second(world, withdrawn=True, why="blind in the rain")
    world.check()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "withdrawn")
    assert status.detail is not None
    assert "blind in the rain" in status.detail
    assert world.running == sha(INSTALLED)


def test_candidate_that_is_withdrawn_in_its_shadow_never_comes_into_charge(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    assert world.updater.status().state == "shadow"
    offer_second(world, withdrawn=True)
    world.check()
    world.pass_time(60)
    assert world.refused_by("withdrawn")


def test_candidate_in_its_shadow_begins_anew_when_the_model_in_charge_is_withdrawn(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2)
    world.check()
    world.pass_time(8)
    assert world.updater.status().state == "shadow"
    offer_second(world, withdrawn=True, why="blind in the rain")
    world.check()

    status = world.updater.status()
    assert status.candidate is not None
    assert (status.state, status.reason, status.candidate.version) == ("rolled_back", "withdrawn", "2")
    assert (world.running, world.temper.open_now) == (sha(INSTALLED), 0)
    assert world.updater.wants_check, "the one that was under way waits for no schedule"

    world.go()
    assert world.running == sha(THIRD)


def test_older_version_under_a_higher_number_is_refused_unless_signed_as_a_way_back(world: SlotWorld) -> None:
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=1)
    world.go()
    assert world.running == sha(THIRD)
    offer_second(world, serial=2)
    world.go()
    assert world.running == sha(THIRD)
    assert world.updater.status().reason == "downgrade"

    offer_second(world, serial=2, back=True)
    world.go()
    assert world.running == sha(SECOND)


def test_release_below_one_that_was_in_charge_is_never_taken(world: SlotWorld) -> None:
    world.shelf.offer(SECOND, golden=GOLDEN, version="2", serial=5)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=4)
    world.go()
    assert world.running == sha(SECOND)


def test_same_file_under_a_new_number_only_takes_the_number(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    offer_second(world, serial=7)
    tries = len(world.temper.opened)
    world.check()
    assert (world.updater.status().serial, len(world.temper.opened)) == (7, tries)


def test_blocked_file_is_tried_again_when_a_newer_release_says_so(world: SlotWorld) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = "timed_out"
    world.go()
    assert world.refused_by("timed_out")
    world.temper.refuses.clear()
    offer_second(world, serial=2, again=True)
    world.go()
    assert world.running == sha(SECOND)


def test_release_that_fails_on_too_many_boxes_is_held(world: SlotWorld) -> None:
    offer_second(world)
    world.shelf.outcomes("street", {1: (40, 4)})
    world.go()
    assert (world.updater.status().reason, world.running) == ("held", sha(INSTALLED))

    world.shelf.outcomes("street", {1: (100, 4)})
    world.go()
    assert world.running == sha(SECOND)


def test_signed_data_of_a_newer_kind_is_not_guessed_at(world: SlotWorld) -> None:
    path = world.shelf.offer(SECOND, version="2", serial=1)
    world.shelf.files[path][1]["kentongan"]["only_on_sundays"] = True
    world.go()
    assert (world.updater.status().reason, world.running) == ("malformed", sha(INSTALLED))


def test_offer_that_changes_between_check_and_download_is_left_for_the_next_check(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    offer_second(world, candidate("2.1"))
    world.pass_time(1)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")
