"""One slot from release to release: every state, every way back, and the power failing at every single step."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from agent.changes import StuckError
from agent.clock import Instant
from agent.errors import KentonganError, ModelError
from agent.update.eyes import Subject
from agent.update.golden import GoldenFrame, write_golden
from agent.update.looks import LiveLooks
from agent.update.offer import Box
from agent.update.plan import Parts, SlotPlan
from agent.update.refusal import Kind, UpdateError
from agent.update.shadow import ShadowRules
from agent.update.trial import Trial
from agent.update.updater import SlotUpdater
from agent.values import Detections
from tests.fakes.clock import ManualClock
from tests.fakes.update_models import BRIGHT, Street, another_family, candidate, unknown_family
from tests.fakes.updates import CountingHost, CuttingDisk, FullDisk, PowerCut, ShelfRepository, Temper, nothing

INSTALLED, SECOND, THIRD = candidate("1"), candidate("2"), candidate("3")
GOLDEN = write_golden([GoldenFrame(BRIGHT, Street().detections())])
RULES = ShadowRules(period_s=1, least_s=30, most_s=120, least_frames=10, least_seen=20)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class World:
    """One box with one slot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.shelf = ShelfRepository()
        self.temper = Temper()
        self.host = CountingHost()
        self.disk: CuttingDisk | FullDisk = CuttingDisk()
        self.installed = folder / "installed.onnx"
        self.installed.write_bytes(INSTALLED)
        self.live = Street()
        self.took_s = 0.01
        self.boot()

    def boot(self) -> None:
        """The agent starts."""
        parts = Parts(
            repository=self.shelf,
            folder=self.folder / "update",
            host=self.host,
            trial=Trial(self.temper),
            open_eyes=self.temper,
            box=Box("box-1", ("x86_64",), "1.0", ("north",)),
            clock=self.clock,
            disk=self.disk,
            shadow=RULES,
            watch_s=600,
        )
        self.updater = SlotUpdater(SlotPlan("street", Subject(self.installed, None), budget_s=0.1), parts)
        model = self.updater.at_start()
        self.host.running["street"] = model.description.sha256

    def pass_time(self, seconds_s: float, step_s: float = 1.0) -> Instant:
        """The pipeline runs, and the updater beside it."""
        passed = 0.0
        while passed < seconds_s:
            self.updater.saw(BRIGHT, self.live.detections(), self.took_s)
            self.updater.step()
            self.clock.advance(step_s)
            passed += step_s
        return self.clock.now()

    def check(self) -> None:
        try:
            self.shelf.refresh()
        except UpdateError as error:
            self.updater.tell(error)
        else:
            self.updater.consider()

    def go(self) -> None:
        """A whole update, from the check to the end of the watch."""
        self.check()
        self.pass_time(60)
        self.pass_time(700, 5)

    @property
    def running(self) -> str:
        return self.host.running["street"]

    def refused_by(self, kind: Kind) -> bool:
        status = self.updater.status()
        return status.state == "blocked" and status.reason == kind and self.running == sha(INSTALLED)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def offer_second(world: World, data: bytes = SECOND, **fields: object) -> None:
    world.shelf.offer(data, golden=GOLDEN, **{"version": "2", "serial": 1, **fields})


def test_good_model_goes_through_every_state_and_is_in_charge(world: World) -> None:
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


def test_next_check_after_a_commit_finds_nothing_and_downloads_nothing(world: World) -> None:
    offer_second(world)
    world.go()
    downloads = list(world.shelf.downloads)

    world.check()
    world.pass_time(10)

    assert world.shelf.downloads == downloads
    assert world.updater.status().state == "committed"


def test_third_model_replaces_the_second_and_the_installed_one_is_no_longer_needed(world: World) -> None:
    offer_second(world)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2)
    world.go()

    assert world.running == sha(THIRD)
    kept = {path.name for path in (world.folder / "update" / "models" / "street").iterdir()}
    assert kept == {sha(SECOND), sha(THIRD)}


@pytest.mark.parametrize("kind", ["crashed", "out_of_memory", "timed_out", "not_finite", "bad_model"])
def test_candidate_that_fails_its_trial_is_blocked_and_not_tried_again(world: World, kind: Kind) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = kind

    world.go()
    assert world.refused_by(kind)
    tries = len(world.temper.opened)

    world.check()
    world.pass_time(10)
    assert len(world.temper.opened) == tries
    assert world.updater.status().reason == "known_bad"


def test_candidate_ten_times_slower_is_refused_though_its_cameras_have_the_time(world: World) -> None:
    offer_second(world)
    world.temper.took_s[sha(SECOND)] = 0.09
    world.temper.took_s[None] = 0.009

    world.go()

    assert world.refused_by("too_slow")


def test_candidate_beyond_the_budget_of_its_cameras_is_refused(world: World) -> None:
    offer_second(world, max_slowdown_percent=10_000)
    world.temper.took_s[sha(SECOND)] = 0.11

    world.go()

    assert world.refused_by("too_slow")


@pytest.mark.parametrize("users", [0, 3, 9])
def test_candidate_that_disagrees_with_the_golden_frames_is_refused(world: World, users: int) -> None:
    offer_second(world)
    world.temper.sees[sha(SECOND)] = Street(users)

    world.go()

    assert world.refused_by("golden_mismatch")


@pytest.mark.parametrize(
    ("live", "kind"), [(Street(40), "sees_less"), (Street(2), "sees_more"), (Street(4, shift_px=9), "sees_less")]
)
def test_candidate_that_sees_otherwise_on_the_street_is_refused_in_the_shadow(
    world: World, live: Street, kind: Kind
) -> None:
    offer_second(world)
    world.live = live

    world.go()

    assert world.refused_by(kind)
    assert world.updater.status().shadow is not None


def test_quiet_road_lengthens_the_shadow_and_then_has_to_do(world: World) -> None:
    world.shelf.offer(SECOND, version="2", serial=1)
    world.live = Street(0)
    world.temper.sees[sha(SECOND)] = Street(0)
    world.check()

    world.pass_time(100)
    assert world.updater.status().state == "shadow"
    world.pass_time(30)
    assert world.running == sha(SECOND)


def test_candidate_that_crashes_in_the_shadow_is_refused(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(3)
    assert world.updater.status().state == "shadow"
    world.temper.refuses[sha(SECOND)] = "crashed"
    world.pass_time(5)

    assert world.refused_by("crashed")


def test_model_of_another_name_than_signed_is_the_wrong_target(world: World) -> None:
    offer_second(world, THIRD)
    world.go()
    assert world.refused_by("wrong_target")


def test_model_of_another_family_than_signed_is_the_wrong_target(world: World) -> None:
    offer_second(world, another_family("2"))
    world.go()
    assert world.refused_by("wrong_target")


@pytest.mark.parametrize("data", [unknown_family("2"), b"<html>no model</html>"])
def test_file_that_no_agent_can_read_is_refused(world: World, data: bytes) -> None:
    offer_second(world, data)
    world.go()
    assert world.refused_by("bad_model")


def test_golden_frames_that_are_none_are_refused(world: World) -> None:
    world.shelf.offer(SECOND, golden=b"no archive", version="2", serial=1)
    world.go()
    assert world.refused_by("malformed")


def test_model_that_is_too_big_is_never_downloaded(world: World) -> None:
    offer_second(world)
    world.updater._parts = replace(world.updater._parts, largest_bytes=100)
    world.go()
    assert world.refused_by("too_big")
    assert world.shelf.downloads == []


def test_model_that_does_not_load_in_the_pipeline_leaves_the_old_one_counting(world: World) -> None:
    offer_second(world)
    world.host.fails.add(sha(SECOND))

    world.go()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "load_failed")
    assert world.running == sha(INSTALLED)


def commit_second(world: World) -> None:
    offer_second(world)
    world.pass_time(300)
    world.check()
    world.pass_time(40)
    assert world.running == sha(SECOND)


def fail(world: World) -> None:
    """Three pictures in a row."""
    for _ in range(3):
        world.updater.failed("its output makes no sense")


def rolled_back_within(world: World, seconds_s: float, kind: Kind) -> bool:
    world.pass_time(seconds_s)
    status = world.updater.status()
    return (status.state, status.reason) == ("rolled_back", kind) and world.running == sha(INSTALLED)


def test_detections_that_collapse_after_the_commit_bring_the_old_model_back_within_a_minute(world: World) -> None:
    commit_second(world)
    world.live = Street(0)
    assert rolled_back_within(world, 60, "detections_collapsed")


def test_detections_that_collapse_after_a_restart_under_watch_are_noticed_too(world: World) -> None:
    commit_second(world)
    world.boot()
    world.live = Street(0)
    assert rolled_back_within(world, 60, "detections_collapsed")


def test_starts_that_the_agent_was_told_to_end_are_no_crashes(world: World) -> None:
    commit_second(world)
    for _ in range(6):
        world.boot()
        world.updater.ended_well()
    assert world.running == sha(SECOND)
    for _ in range(3):
        world.boot()
    assert world.running == sha(INSTALLED)


def test_two_slots_keep_their_models_apart(world: World) -> None:
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


def test_shadow_of_a_box_that_never_rests_sees_every_tenth_of_its_frames(world: World) -> None:
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


def test_flood_of_detections_after_the_commit_brings_the_old_model_back(world: World) -> None:
    commit_second(world)
    world.live = Street(60)
    assert rolled_back_within(world, 60, "sees_more")


def test_rate_below_need_after_the_commit_brings_the_old_model_back_within_a_minute(world: World) -> None:
    commit_second(world)
    world.took_s = 0.4
    assert rolled_back_within(world, 60, "rate_low")


def test_model_that_fails_while_it_runs_is_taken_back_at_once(world: World) -> None:
    commit_second(world)
    fail(world)
    assert rolled_back_within(world, 1, "load_failed")


def test_one_odd_picture_and_the_failures_of_the_old_model_condemn_nobody(world: World) -> None:
    offer_second(world)
    world.host.on_swap = lambda: fail(world)
    world.pass_time(300)
    world.check()
    world.pass_time(60)
    for _ in range(5):
        world.updater.failed("one odd picture")
        world.pass_time(40)
    assert (world.running, world.updater.status().state) == (sha(SECOND), "committed")


def test_model_that_fails_at_every_look_is_taken_back_though_it_looks_seldom(world: World) -> None:
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
def test_way_back_that_the_pipeline_refuses_is_tried_until_it_works(world: World, trouble: KentonganError) -> None:
    commit_second(world)
    world.host.trouble = trouble
    fail(world)
    world.pass_time(20)
    assert (world.running, world.updater.busy, world.updater.urgent) == (sha(SECOND), True, True)
    world.host.trouble = None
    assert rolled_back_within(world, 1, "load_failed")
    assert not world.updater.busy


def test_way_back_from_a_withdrawn_model_is_tried_until_it_works_too(world: World) -> None:
    commit_second(world)
    offer_second(world, withdrawn=True)
    world.host.trouble = UpdateError("not_now", "the agent was too busy")
    world.check()
    assert (world.running, world.updater.urgent) == (sha(SECOND), True)
    world.host.trouble = None
    assert rolled_back_within(world, 1, "withdrawn")


def test_installed_model_that_can_not_be_read_now_is_tried_again(world: World) -> None:
    commit_second(world)
    world.installed.rename(world.folder / "away")
    fail(world)
    world.pass_time(5)
    assert world.running == sha(SECOND)
    (world.folder / "away").rename(world.installed)
    assert rolled_back_within(world, 1, "load_failed")


def test_pipeline_that_is_too_busy_for_a_good_model_leaves_it_for_the_next_check(world: World) -> None:
    offer_second(world)
    world.host.trouble = UpdateError("not_now", "the agent was too busy")
    world.go()
    status = world.updater.status()
    assert (world.running, status.state, status.reason) == (sha(INSTALLED), "idle", "not_now")
    world.host.trouble = None
    world.go()
    assert world.running == sha(SECOND)


def test_box_that_can_not_start_a_trial_now_tries_again(world: World) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = "not_now"
    for _ in range(5):
        world.go()
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "not_now")
    world.temper.refuses.clear()
    world.go()
    assert world.running == sha(SECOND)


def test_camera_that_is_lost_after_the_commit_speaks_against_nobody(world: World) -> None:
    commit_second(world)
    for _ in range(200):
        world.updater.step()
        world.clock.advance(1)
    assert world.running == sha(SECOND)


def test_crash_loop_ends_with_the_old_model(world: World) -> None:
    commit_second(world)
    for _ in range(3):
        assert world.running == sha(SECOND)
        world.boot()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "crash_loop")
    assert world.running == sha(INSTALLED)


def test_power_cuts_far_apart_are_no_crash_loop(world: World) -> None:
    commit_second(world)
    for _ in range(5):
        world.boot()
        world.pass_time(70)
    assert world.running == sha(SECOND)


def test_box_that_goes_down_in_every_trial_blames_the_candidate(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(2)
    for _ in range(3):
        slot = world.updater._slot
        world.updater._file.save(replace(slot, attempts=slot.attempts + 1))
        world.boot()
    world.pass_time(2)

    assert world.refused_by("crashed")


def test_withdrawn_model_gives_way_to_the_one_before_it_at_the_next_check(world: World) -> None:
    offer_second(world)
    world.go()
    offer_second(world, withdrawn=True, why="blind in the rain")
    world.check()

    status = world.updater.status()
    assert (status.state, status.reason) == ("rolled_back", "withdrawn")
    assert status.detail is not None
    assert "blind in the rain" in status.detail
    assert world.running == sha(INSTALLED)


def test_candidate_that_is_withdrawn_in_its_shadow_never_comes_into_charge(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    assert world.updater.status().state == "shadow"
    offer_second(world, withdrawn=True)
    world.check()
    world.pass_time(60)
    assert world.refused_by("withdrawn")


def test_candidate_in_its_shadow_begins_anew_when_the_model_in_charge_is_withdrawn(world: World) -> None:
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


def test_older_version_under_a_higher_number_is_refused_unless_signed_as_a_way_back(world: World) -> None:
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


def test_release_below_one_that_was_in_charge_is_never_taken(world: World) -> None:
    world.shelf.offer(SECOND, golden=GOLDEN, version="2", serial=5)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=4)
    world.go()
    assert world.running == sha(SECOND)


def test_same_file_under_a_new_number_only_takes_the_number(world: World) -> None:
    offer_second(world)
    world.go()
    offer_second(world, serial=7)
    tries = len(world.temper.opened)
    world.check()
    assert (world.updater.status().serial, len(world.temper.opened)) == (7, tries)


def test_blocked_file_is_tried_again_when_a_newer_release_says_so(world: World) -> None:
    offer_second(world)
    world.temper.refuses[sha(SECOND)] = "timed_out"
    world.go()
    assert world.refused_by("timed_out")
    world.temper.refuses.clear()
    offer_second(world, serial=2, again=True)
    world.go()
    assert world.running == sha(SECOND)


def test_release_that_fails_on_too_many_boxes_is_held(world: World) -> None:
    offer_second(world)
    world.shelf.outcomes("street", {1: (40, 4)})
    world.go()
    assert (world.updater.status().reason, world.running) == ("held", sha(INSTALLED))

    world.shelf.outcomes("street", {1: (100, 4)})
    world.go()
    assert world.running == sha(SECOND)


def test_signed_data_of_a_newer_kind_is_not_guessed_at(world: World) -> None:
    path = world.shelf.offer(SECOND, version="2", serial=1)
    world.shelf.files[path][1]["kentongan"]["only_on_sundays"] = True
    world.go()
    assert (world.updater.status().reason, world.running) == ("malformed", sha(INSTALLED))


def test_repository_that_is_away_is_a_reason_in_the_status_and_nothing_else(world: World) -> None:
    world.shelf.refusal = UpdateError("unreachable", "no network")
    world.check()
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "unreachable")
    world.shelf.refusal = None
    world.check()
    assert world.updater.status().reason is None


def test_download_that_fails_is_tried_again_at_the_next_check(world: World) -> None:
    offer_second(world)
    world.shelf.broken = UpdateError("vanished", "half of it is gone")
    world.check()
    world.pass_time(2)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")
    world.shelf.broken = None
    world.go()
    assert world.running == sha(SECOND)


def test_bytes_that_change_on_the_disk_are_never_loaded(world: World) -> None:
    offer_second(world)
    world.go()
    (world.folder / "update" / "models" / "street" / sha(SECOND)).write_bytes(SECOND + b"x")
    world.boot()
    assert world.running == sha(INSTALLED)
    assert world.updater.status().reason == "load_failed"


def test_full_disk_is_a_reason_and_the_update_goes_on_when_there_is_room(world: World) -> None:
    world.disk = disk = FullDisk()
    world.boot()
    offer_second(world)
    disk.full = True
    world.go()
    assert (world.updater.status().reason, world.running) == ("disk_full", sha(INSTALLED))
    disk.full = False
    world.go()
    assert world.running == sha(SECOND)


def test_slot_file_that_a_broken_disk_ruined_starts_over_with_the_installed_model(world: World) -> None:
    offer_second(world)
    world.go()
    (world.folder / "update" / "slots" / "street.json").write_bytes(b"\0" * 100)
    world.boot()
    assert world.running == sha(INSTALLED)
    assert world.updater.status().reason == "malformed"


def whole_story(world: World) -> None:
    """Two good updates, one refused, one taken back: through every state."""
    offer_second(world)
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2)
    world.go()
    world.shelf.offer(candidate("4"), golden=GOLDEN, version="4", serial=3)
    world.temper.refuses[sha(candidate("4"))] = "crashed"
    world.go()
    world.shelf.offer(THIRD, golden=GOLDEN, version="3", serial=2, withdrawn=True)
    world.check()


def test_power_that_fails_at_any_durable_step_leaves_the_old_good_or_the_new_good_model(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    calm = World(tmp_path / "calm")
    whole_story(calm)
    steps = calm.disk.operations
    assert calm.running == sha(SECOND)
    assert steps > 40
    good = {sha(INSTALLED), sha(SECOND), sha(THIRD)}

    for cut in range(1, steps + 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        world = World(folder)
        world.disk.cut_at = cut
        with contextlib.suppress(PowerCut):
            whole_story(world)
        world.disk.cut_at = None
        world.boot()
        assert world.running in good, f"power cut at step {cut}"
        whole_story(world)
        world.boot()
        assert world.running in {sha(SECOND), sha(INSTALLED)}, f"after a power cut at step {cut}"


def test_nothing_seen_by_either_is_no_division_by_zero(world: World) -> None:
    found: Detections = nothing()
    world.updater.saw(BRIGHT, found, 0.01)
    world.updater.step()
    assert world.updater.status().state == "idle"


def test_offer_that_changes_between_check_and_download_is_left_for_the_next_check(world: World) -> None:
    offer_second(world)
    world.check()
    offer_second(world, candidate("2.1"))
    world.pass_time(1)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")


def test_candidate_whose_bytes_the_disk_loses_comes_again(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(1)
    (world.folder / "update" / "models" / "street" / sha(SECOND)).unlink()
    world.pass_time(1)
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "vanished")
    world.go()
    assert world.running == sha(SECOND)


def test_candidate_that_the_disk_loses_in_its_shadow_comes_again(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    (world.folder / "update" / "models" / "street" / sha(SECOND)).unlink()
    world.pass_time(60)
    assert (world.running, world.updater.status().reason) == (sha(INSTALLED), "vanished")


def test_repository_that_vanishes_before_a_download_leaves_it_for_the_next_check(world: World) -> None:
    offer_second(world)
    world.check()
    world.updater.tell(UpdateError("unreachable", "no network"))
    assert (world.updater.status().state, world.updater.status().reason) == ("idle", "unreachable")


def test_trouble_of_the_repository_does_not_disturb_an_update_under_way(world: World) -> None:
    offer_second(world)
    world.check()
    world.pass_time(8)
    world.updater.tell(UpdateError("unreachable", "no network"))
    assert (world.updater.status().state, world.updater.status().reason) == ("shadow", None)


def test_full_disk_can_not_keep_a_bad_model_in_charge(world: World) -> None:
    world.disk = disk = FullDisk()
    world.boot()
    commit_second(world)
    disk.full = True
    fail(world)
    assert rolled_back_within(world, 1, "load_failed")
