"""A small campaign of each kind on every run; the report runs them at full size."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.fakes.tcp_proxy import FAULTS, Fault
from tests.faults import campaigns
from tests.faults.backlog import outage

SEED = 20260319


def test_given_a_recorded_seed_then_the_moments_of_killing_are_the_same_again() -> None:
    lives = [list(islice(campaigns.lifetimes(SEED, device, 8.0), 50)) for device in ("pole-0", "pole-0", "pole-1")]
    assert lives[0] == lives[1]
    assert lives[0] != lives[2], "each victim has its own"
    assert 6 < sum(lives[0]) / 50 < 10


@pytest.mark.timeout(180)
def test_given_agents_killed_under_load_then_no_committed_record_is_lost(tmp_path: Path) -> None:
    # Few at once, and lives longer than a start takes beside other tests: one killed before it counts proves nothing.
    outcome = campaigns.kill_agents(tmp_path, kills=12, seed=SEED, at_once=4, per_s=100, life_s=1.5)
    assert outcome.committed > 50, "next to nothing was recorded: the kills prove nothing"
    assert (outcome.lost, outcome.wrong) == (0, 0), outcome


@pytest.mark.timeout(180)
def test_given_brokers_killed_then_application_delivery_loses_nothing(tmp_path: Path) -> None:
    outcome = campaigns.kill_broker(tmp_path, kills=4, seed=SEED, delivery="application")
    assert outcome.committed > 100
    assert (outcome.lost, outcome.wrong) == (0, 0), outcome


@pytest.mark.timeout(180)
def test_given_brokers_killed_then_broker_delivery_does_lose_and_so_the_other_proves_something(tmp_path: Path) -> None:
    outcome = campaigns.kill_broker(tmp_path, kills=4, seed=SEED, delivery="broker")
    assert outcome.lost > 0, outcome
    assert outcome.wrong == 0, outcome


@pytest.mark.timeout(180)
def test_given_receivers_killed_then_the_other_of_the_group_loses_nothing(tmp_path: Path) -> None:
    outcome = campaigns.kill_receivers(tmp_path, kills=3, seed=SEED)
    assert (outcome.lost, outcome.wrong) == (0, 0), outcome


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAULTS)
def test_given_a_network_fault_then_nothing_is_lost_and_it_goes_on(tmp_path: Path, fault: Fault) -> None:
    outcome = campaigns._network_fault(tmp_path, fault, "publish", SEED, per_s=100, hold_s=0.6)
    assert (outcome.lost, outcome.wrong) == (0, 0), outcome
    assert outcome.notes["resumed_s"] != "never", outcome


@pytest.mark.timeout(120)
def test_given_the_faults_of_a_network_then_each_is_told_before_the_next_begins(tmp_path: Path) -> None:
    outcomes = campaigns.network_faults(tmp_path, seed=SEED, hold_s=0.1)
    first = next(outcomes)
    assert [path.name for path in tmp_path.iterdir()] == [first.name.replace(" at ", "-")]


@pytest.mark.timeout(120)
def test_given_days_without_a_network_then_all_fits_and_arrives_in_order(tmp_path: Path) -> None:
    finding = outage(tmp_path, share=0.001, seed=SEED)
    assert finding.missed == (), finding
    assert finding.figures["arrived"] == 2592
