"""The demo's story on one box, and a small city against one server; the full ones are commands beside the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.update_demo import BAD, GOOD, Demo, Shipment
from tests.simulate_rollout import city

REFUSED_FOR = (
    "bad_model",
    "out_of_memory",
    "too_slow",
    "golden_mismatch",
    "golden_mismatch",
    "not_finite",
    "bad_model",
    "sees_less",
    "sees_more",
)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path, 1, lambda _line: None)
    with demo.server.running():
        demo.start()
        yield demo
        demo.stop()


@pytest.mark.timeout(300)
def test_good_model_is_committed_and_taken_back_when_it_is_withdrawn(demo: Demo) -> None:
    shipped = demo.ship(GOOD)[0]
    assert (shipped.state, shipped.serial) == ("committed", 1)
    assert shipped.shadow is not None
    assert shipped.shadow.matched == shipped.shadow.in_charge
    assert demo.take_back(1)[0].model is None


QUICK = ("not_finite", "sees_less")  # the others pass the same way, and each has a quicker test of its trial
CASES = [
    pytest.param(shipment, reason, marks=() if reason in QUICK else pytest.mark.slow, id=shipment.title)
    for shipment, reason in zip(BAD, REFUSED_FOR, strict=True)
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("shipment", "reason"), CASES)
def test_bad_model_is_refused_and_the_counting_goes_on(demo: Demo, shipment: Shipment, reason: str) -> None:
    counting = demo.boxes[0].counting
    before = counting.frames
    status = demo.ship(shipment)[0]
    assert (status.state, status.reason, status.model) == ("blocked", reason, None)
    assert counting.frames > before


def test_rollout_over_a_small_city_keeps_to_its_rules_and_a_bad_release_is_held() -> None:
    with city(12) as simulated:
        story = simulated.run()
    assert story.broken_rules == []
    assert story.reached[-1] == 100
    assert story.tried_bad_after_hold == 0
