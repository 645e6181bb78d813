from __future__ import annotations

from pathlib import Path

import pytest

from tests.accuracy import report
from tests.fakes.simulator.scenes import parked_near_line, turning_back, waits_on_line


def test_geh_is_that_of_the_handbooks() -> None:
    assert report.geh(1000, 1000) == 0
    assert report.geh(0, 0) == 0
    assert report.geh(1100, 1000) == pytest.approx(3.086, abs=0.001)


@pytest.mark.parametrize("make", [turning_back, parked_near_line])
def test_streets_without_hiding_places_are_counted_exactly(make: object) -> None:
    street = report.seen_by(make(7), 10.0)  # type: ignore[operator]
    score = report.judge(street, report.main_line(street))
    assert (score.wrong, score.wrong_way) == (0, 0)


def test_a_car_that_waits_on_the_line_is_one() -> None:
    street = report.seen_by(waits_on_line(3, wait_s=90.0), 10.0)
    assert report.judge(street, report.main_line(street)).counted == 1


def test_free_flow_is_counted_well_and_measured_well() -> None:
    score = report.flow(seeds=1, fps=10.0, miss_rate=0.1, duration_s=90.0)
    assert score.true > 40
    assert score.gross_error <= 0.05
    assert score.class_error <= 0.02
    assert score.wrong_way == 0


def test_the_report_has_a_row_per_street_and_draws_its_curves(tmp_path: Path) -> None:
    row = report._row("street", "10", report.Score(true=100, counted=99, wrong=1))
    assert row.startswith("| street | 10 | 100 | 99 | 1.0% |")
    steps: list[int] = []
    report.curves(tmp_path / "accuracy.png", seeds=1, duration_s=2.0, step=lambda: steps.append(1))
    assert len(steps) == len(report.RATES) + len(report.MISSES) + len(report.DROPS)
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
