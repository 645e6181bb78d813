from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy import report, score
from tests.fakes.simulator.scenes import main_line, parked_near_line, turning_back, waits_on_line


def test_geh_is_that_of_the_handbooks() -> None:
    assert score.geh(1000, 1000) == 0
    assert score.geh(0, 0) == 0
    assert score.geh(1100, 1000) == pytest.approx(3.086, abs=0.001)


@pytest.mark.parametrize("make", [turning_back, parked_near_line])
def test_streets_without_hiding_places_are_counted_exactly(make: object) -> None:
    street = report.seen_by(make(7), 10.0)  # type: ignore[operator]
    found = score.judge(street, main_line(street))
    assert (found.wrong, found.wrong_way) == (0, 0)


def test_a_car_that_waits_on_the_line_is_one() -> None:
    street = report.seen_by(waits_on_line(3, wait_s=90.0), 10.0)
    assert score.judge(street, main_line(street)).counted == 1


def test_free_flow_is_counted_well_and_measured_well() -> None:
    found = report.flow(seeds=1, fps=10.0, miss_rate=0.1, duration_s=90.0)
    assert found.true > 40
    assert found.gross_error <= 0.05
    assert found.class_error <= 0.02
    assert found.wrong_way == 0
    assert found.speed_error <= 0.05
    assert found.flagged == 0


def test_given_five_detections_a_second_then_every_interval_of_a_street_says_so_itself() -> None:
    found = report.flow(seeds=1, fps=5.0, miss_rate=0.1, duration_s=65.0)
    assert len(found.geh) >= 2
    assert found.flagged == len(found.geh)
    assert "say of themselves: 2 name `low_rate`, 1 are `valid`" in report._said(
        score.Score(geh=[0.0, 6.0], flagged=2, valid=1)
    )


def test_given_two_times_of_one_flow_then_its_geh_is_that_of_vehicles_an_hour() -> None:
    both = score.Score()
    both.add(score.Score(flows={("street", "a_to_b"): score.Flow(0.05, 49, 50)}))
    both.add(score.Score(flows={("street", "a_to_b"): score.Flow(0.05, 61, 50)}))
    assert both.flows["street", "a_to_b"].geh == pytest.approx(score.geh(1100, 1000))
    assert score.Flow().geh == 0.0


def test_the_report_has_a_row_per_street_and_draws_its_curves(tmp_path: Path) -> None:
    row = report._row("street", score.Score(true=100, counted=99, wrong=1, measured=33))
    assert row == "| street | 100 | 99 | 1.0% | 1.0% | 0 | 0.0% | - | 33% | 0.00 |"
    steps: list[int] = []
    report.curves(tmp_path / "accuracy.png", seeds=1, duration_s=2.0, work=map, step=lambda: steps.append(1))
    assert len(steps) == len(report.RATES) + len(report.MISSES) + len(report.DROPS)
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
