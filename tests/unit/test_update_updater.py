"""One slot from release to release: every state of a good model, and every reason why a candidate is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.update.eyes import Subject
from agent.update.looks import LiveLooks
from agent.update.plan import SlotPlan
from agent.update.refusal import Kind
from agent.update.updater import SlotUpdater
from agent.values import Detections
from tests.fakes.update_models import BRIGHT, Street, another_family, candidate, unknown_family
from tests.fakes.update_slot import (
    GOLDEN,
    INSTALLED,
    SECOND,
    THIRD,
    SlotWorld,
    commit_second,
    offer_second,
    sha,
)
from tests.fakes.updates import nothing


@pytest.fixture
def world(tmp_path: Path) -> SlotWorld:
    return SlotWorld(tmp_path)


def test_good_model_goes_through_every_state_and_is_in_charge(world: SlotWorld) -> None:
    offer_second(world)
    world.pass_time(60)
    states = []
    world.check()
    for _ in range(80):
        states.append(world.updater.status().state)
        world.pass_time(1)

    assert [state for at, state in enumerate(states) if at == 0 or states[at - 1] != state] == [
        "downloading", "verifying", "trial", "shadow", "committed",
    ]  # fmt: skip
    assert world.running == sha(SECOND)
    assert world.temper.open_now == 0
    status = world.updater.status()
    assert status.model is not None
    assert (status.model.version, status.serial, status.reason) == ("2", 1, None)
    assert status.shadow is not None
    assert status.shadow.in_charge == status.shadow.candidate == status.shadow.matched


def test_next_check_after_a_commit_finds_nothing_and_downloads_nothing(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    downloads = list(world.shelf.downloads)

    world.check()
    world.pass_time(10)

    assert world.shelf.downloads == downloads
    assert world.updater.status().state == "committed"


def test_third_model_replaces_the_second_and_the_installed_one_is_no_longer_needed(world: SlotWorld) -> None:
    offer_second(world)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2)
    world.go()

    assert world.running == sha(THIRD)
    kept = {path.name for path in (world.folder / "update" / "models" / "street").iterdir()}
    assert kept == {sha(SECOND), sha(THIRD)}


@pytest.mark.parametrize("kind", ["crashed", "out_of_memory", "timed_out", "not_finite", "bad_model"])
def test_candidate_that_fails_its_trial_is_blocked_and_not_tried_again(world: SlotWorld, kind: Kind) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = kind

    world.go()
    assert world.refused_by(kind)
    tries = len(world.temper.opened)

    world.check()
    world.pass_time(10)
    assert len(world.temper.opened) == tries
    assert world.updater.status().reason == "known_bad"


def test_candidate_ten_times_slower_is_refused_though_its_cameras_have_the_time(world: SlotWorld) -> None:
    offer_second(world)
    world.temper.took_s[sha(SECOND)] = 0.09
    world.temper.took_s[None] = 0.009

    world.go()

    assert world.refused_by("too_slow")


def test_candidate_beyond_the_budget_of_its_cameras_is_refused(world: SlotWorld) -> None:
    offer_second(world, max_slowdown_percent=10_000)
    world.temper.took_s[sha(SECOND)] = 0.11

    world.go()

    assert world.refused_by("too_slow")


@pytest.mark.parametrize("users", [0, 3, 9])
def test_candidate_that_disagrees_with_the_golden_frames_is_refused(world: SlotWorld, users: int) -> None:
    offer_second(world)
    world.temper.sees[sha(SECOND)] = Street(users)

    world.go()

    assert world.refused_by("golden_mismatch")


@pytest.mark.parametrize(
    ("live", "kind"), [(Street(40), "sees_less"), (Street(2), "sees_more"), (Street(4, shift_px=9), "sees_less")]
)
def test_candidate_that_sees_otherwise_on_the_street_is_refused_in_the_shadow(
    world: SlotWorld, live: Street, kind: Kind
) -> None:
    offer_second(world)
    world.live = live

    world.go()

    assert world.refused_by(kind)
    assert world.updater.status().shadow is not None


def test_quiet_road_lengthens_the_shadow_and_then_has_to_do(world: SlotWorld) -> None:
    world.shelf.offer(SECOND, version="2", serial=1)
    world.live = Street(0)
    world.temper.sees[sha(SECOND)] = Street(0)
    world.check()

    world.pass_time(100)
    assert world.updater.status().state == "shadow"
    world.pass_time(30)
    assert world.running == sha(SECOND)


def test_candidate_that_crashes_in_the_shadow_is_refused(world: SlotWorld) -> None:
    offer_second(world)
    world.check()
    world.pass_time(3)
    assert world.updater.status().state == "shadow"
    world.temper.refuses[sha(SECOND)] = "crashed"
    world.pass_time(5)

    assert world.refused_by("crashed")


def test_model_of_another_name_than_signed_is_the_wrong_target(world: SlotWorld) -> None:
    offer_second(world, THIRD)
    world.go()
    assert world.refused_by("wrong_target")


def test_model_of_another_family_than_signed_is_the_wrong_target(world: SlotWorld) -> None:
    offer_second(world, another_family("2"))
    world.go()
    assert world.refused_by("wrong_target")


@pytest.mark.parametrize("data", [unknown_family("2"), b"<html>no model</html>"])
def test_file_that_no_agent_can_read_is_refused(world: SlotWorld, data: bytes) -> None:
    offer_second(world, data)
    world.go()
    assert world.refused_by("bad_model")


def test_golden_frames_that_are_none_are_refused(world: SlotWorld) -> None:
    world.shelf.offer(SECOND, golden=b"no archive", version="2", serial=1)
    world.go()
    assert world.refused_by("malformed")


def test_model_that_is_too_big_is_never_downloaded(world: SlotWorld) -> None:
    offer_second(world)
    world.updater._parts = replace(world.updater._parts, largest_bytes=100)
    world.go()
    assert world.refused_by("too_big")
    assert world.shelf.downloads == []


def test_model_that_does_not_load_in_the_pipeline_leaves_the_old_one_counting(world: SlotWorld) -> None:
    offer_second(world)
    world.host.fails.add(sha(SECOND))

    world.go()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "load_failed")
    assert world.running == sha(INSTALLED)


def test_two_slots_keep_their_models_apart(world: SlotWorld) -> None:
    commit_second(world)
    world.pass_time(700, 5)
    parts = world.updater._parts
    other = SlotUpdater(SlotPlan("night", Subject(world.installed, None), budget_s=0.1), parts)
    other.at_start()
    world.shelf.offer(candidate("9"), slot="night", version="9", serial=1)
    other.consider()
    for _ in range(60):
        other.saw(BRIGHT, Street().detections(), 0.01)
        other.step()
        world.clock.advance(1)
    assert other.status().state == "committed"
    world.boot()
    assert world.running == sha(SECOND), "the other slot's tidying left it alone"


def test_shadow_of_a_box_that_never_rests_sees_every_tenth_of_its_frames(world: SlotWorld) -> None:
    looks = LiveLooks()
    looks.keep_live(1.0)
    seen = {}
    for rested in (True, False):
        seen[rested] = 0
        for at in range(1000):
            looks.saw(BRIGHT, Street().detections(), 0.01, 10_000.0 * rested + at * 0.1, rested=rested)
            seen[rested] += looks.live() is not None
        looks = LiveLooks()
        looks.keep_live(1.0)
    assert 95 <= seen[True] <= 100
    assert 9 <= seen[False] <= 11


def test_nothing_seen_by_either_is_no_division_by_zero(world: SlotWorld) -> None:
    found: Detections = nothing()
    world.updater.saw(BRIGHT, found, 0.01)
    world.updater.step()
    assert world.updater.status().state == "idle"
