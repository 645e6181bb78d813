"""The machine's clock is believed only while there is reason to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import KernelClocks, Reading, SystemClock, machine_boot

NOON = 1_800_000_000.0
DAY_S = 86_400.0


class Machine:
    """The clocks of a machine, set by a test."""

    def __init__(self, *, synced: bool = True, utc_s: float = NOON) -> None:
        self.reading = Reading(mono_s=100.0, utc_s=utc_s, synced=synced, error_ms=2.0 if synced else None)

    def read(self) -> Reading:
        return self.reading

    def run(self, seconds_s: float) -> None:
        self.reading = replace(
            self.reading, mono_s=self.reading.mono_s + seconds_s, utc_s=self.reading.utc_s + seconds_s
        )

    def step(self, seconds_s: float) -> None:
        self.reading = replace(self.reading, utc_s=self.reading.utc_s + seconds_s)

    def sync(self, *, synced: bool, error_ms: float | None = 2.0) -> None:
        self.reading = replace(self.reading, synced=synced, error_ms=error_ms if synced else None)


def test_given_a_set_clock_then_its_time_is_passed_on() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    machine.run(5)
    now = clock.now()
    assert (now.utc_s, now.mono_s, now.synced, now.error_ms) == (NOON + 5, 105.0, True, 2.0)
    assert clock.problem() is None


def test_given_a_clock_that_is_not_set_then_every_instant_says_so() -> None:
    clock = SystemClock(Machine(synced=False))
    assert (clock.now().synced, clock.now().error_ms) == (False, None)
    assert "not set" in (clock.problem() or "")


def test_given_the_clock_is_set_at_last_then_the_new_time_is_adopted() -> None:
    machine = Machine(synced=False, utc_s=NOON - 40 * DAY_S)
    clock = SystemClock(machine)
    machine.run(10)
    assert clock.now().utc_s == NOON - 40 * DAY_S + 10
    machine.step(40 * DAY_S)
    assert clock.now().utc_s == NOON - 40 * DAY_S + 10, "not believed before it is called set"
    machine.sync(synced=True)
    assert (clock.now().utc_s, clock.now().synced) == (NOON + 10, True)


def test_given_ntp_slews_then_time_follows() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    for _ in range(100):
        machine.run(1)
        machine.step(0.1)
        now = clock.now()
    assert now.utc_s == pytest.approx(machine.reading.utc_s)
    assert now.synced


def test_given_a_clock_set_back_a_day_then_it_is_not_believed_and_time_goes_on() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    clock.now()
    machine.step(-DAY_S)
    machine.run(10)
    now = clock.now()
    assert (now.utc_s, now.synced) == (NOON + 10, False)
    assert "set back" in (clock.problem() or "")
    machine.run(3600)
    later = clock.now()
    assert later.utc_s == NOON + 3610
    assert later.error_ms is not None
    assert later.error_ms > 1000, "the error grows by the drift of a crystal"
    machine.step(DAY_S)
    assert clock.now().synced
    assert clock.problem() is None


def test_given_a_clock_set_forward_then_it_is_believed_only_when_ntp_stands_by_it() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    clock.now()
    machine.step(DAY_S)
    assert clock.now().utc_s == NOON
    assert "jumped" in (clock.problem() or "")
    machine.run(899)
    assert not clock.now().synced
    machine.step(5)
    clock.now()
    machine.run(899)
    assert not clock.now().synced, "another step starts the wait anew"
    machine.run(2)
    assert (clock.now().synced, clock.now().utc_s) == (True, machine.reading.utc_s)


def test_given_small_steps_back_then_synced_time_never_runs_backwards() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    times = []
    for step in (0.0, -0.3, 0.1, -0.4, 0.2):
        machine.step(step)
        machine.run(0.01)
        times.append(clock.now().utc_s)
    assert times == sorted(times)


def test_given_ntp_is_lost_then_time_goes_on_unsynced_with_a_growing_error() -> None:
    machine = Machine()
    clock = SystemClock(machine)
    clock.now()
    machine.sync(synced=False)
    machine.run(1000)
    now = clock.now()
    assert (now.utc_s, now.synced, now.error_ms) == (NOON + 1000, False, 502.0)
    machine.sync(synced=True, error_ms=None)
    assert (clock.now().synced, clock.now().error_ms) == (True, 0.0)


def test_given_a_record_from_the_future_then_the_clock_lost_its_battery() -> None:
    clock = SystemClock(Machine(utc_s=NOON - 3 * DAY_S), not_before_s=NOON)
    assert not clock.now().synced
    assert "set back" in (clock.problem() or "")


def test_the_kernels_clocks_can_be_read() -> None:
    kernel = KernelClocks()
    first, second = kernel.read(), kernel.read()
    assert second.mono_s >= first.mono_s
    assert first.utc_s > 1_600_000_000
    assert (first.error_ms is None) != first.synced
    assert SystemClock().now().mono_s > 0


def test_the_machines_start_has_an_id(tmp_path: Path) -> None:
    assert machine_boot() == machine_boot()
    assert machine_boot(tmp_path / "none") != machine_boot(tmp_path / "none")
