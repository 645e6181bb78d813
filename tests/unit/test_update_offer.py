"""Which boxes may take a release: the same signed data gives the same decision, and nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update.offer import (
    Box,
    Hold,
    ModelOffer,
    Rollout,
    Tally,
    is_held,
    read_custom,
    share_percent,
    version_key,
    why_not_this_box,
)
from agent.update.refusal import UpdateError

BOX = Box("box-1", ("aarch64", "raspberry-pi-5"), "1.4.2", ("north", "rain"))


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        ({}, None),
        ({"hardware": ("raspberry-pi-5", "jetson")}, None),
        ({"hardware": ("jetson",)}, "not_for_this_box"),
        ({"groups": ("rain",)}, None),
        ({"groups": ("south",)}, "not_for_this_box"),
        ({"min_agent": "1.4"}, None),
        ({"min_agent": "1.10"}, "not_for_this_box"),
        ({"max_agent": "1.4.2"}, "not_for_this_box"),
        ({"max_agent": "2"}, None),
        ({"percent": 0}, "not_yet"),
    ],
)
def test_rule_lets_a_box_in_or_says_why_not(rules: dict[str, object], kind: str | None) -> None:
    refusal = why_not_this_box(Rollout.model_validate(rules), BOX, "street/1")
    assert (refusal and refusal[0]) == kind


@given(st.text(min_size=1), st.text())
def test_share_of_a_device_is_stable_and_within_the_fleet(device: str, seed: str) -> None:
    assert 0 <= share_percent(device, seed) < 100
    assert share_percent(device, seed) == share_percent(device, seed)


@given(st.integers(0, 100), st.integers(0, 100))
def test_larger_percentage_keeps_every_box_of_the_smaller(one: int, other: int) -> None:
    small, large = sorted([one, other])
    for number in range(50):
        box = Box(f"box-{number}", (), "1")
        if why_not_this_box(Rollout(percent=small), box, "s/1") is None:
            assert why_not_this_box(Rollout(percent=large), box, "s/1") is None


def test_percentage_of_a_thousand_boxes_is_about_that_many() -> None:
    chosen = sum(share_percent(f"box-{number}", "street/3") < 10 for number in range(1000))
    assert 70 < chosen < 130


def test_two_releases_begin_with_different_boxes() -> None:
    first = {n for n in range(1000) if share_percent(f"box-{n}", "street/1") < 5}
    second = {n for n in range(1000) if share_percent(f"box-{n}", "street/2") < 5}
    assert len(first & second) < len(first) / 2


@pytest.mark.parametrize(
    ("tally", "held"),
    [
        (None, False),
        (Tally(tried=0, failed=0), False),
        (Tally(tried=1, failed=1), False),
        (Tally(tried=2, failed=2), True),
        (Tally(tried=100, failed=5), False),
        (Tally(tried=100, failed=6), True),
    ],
)
def test_release_is_held_when_more_than_its_share_failed(tally: Tally | None, *, held: bool) -> None:
    assert is_held(Hold(failed_percent=5, min_failed=2), tally) is held


@pytest.mark.parametrize(
    ("low", "high"), [("1.9", "1.10"), ("1.0.0", "1.0.1"), ("0+unknown", "0.1"), ("1", "2-rc1"), ("rain", "0.1")]
)
def test_versions_compare_by_their_numbers(low: str, high: str) -> None:
    assert version_key(low) < version_key(high)


def test_trailing_zeros_make_no_version_newer() -> None:
    assert version_key("1.4.0") == version_key("1.4")


@pytest.mark.parametrize("custom", [None, [], {}, {"kentongan": None}, {"kentongan": {"kind": "golden"}}])
def test_signed_data_that_is_no_offer_is_malformed(custom: object) -> None:
    with pytest.raises(UpdateError, match="not understood") as caught:
        read_custom(ModelOffer, custom, "models/street/a.onnx")
    assert caught.value.kind == "malformed"
