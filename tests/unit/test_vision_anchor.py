"""Where a camera looks beside the view that was drawn on: small moves are measured, others never believed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from agent.values import Image
from agent.vision.anchor import STAYED, Anchor, Doubt, Standing, apart, find_corners, measure, small_grey
from agent.vision.kept_anchor import read_anchor, write_anchor
from agent.vision.kept_view import Origin
from tests.fakes.streets import HEIGHT, WIDTH, moved, noisy, street, truth

HERE = Origin("camera", "start-1")
ORIGINAL = find_corners(small_grey(street()))


def watched() -> Anchor:
    anchor = Anchor()
    look(anchor, street(), range(10))
    return anchor


def look(anchor: Anchor, picture: Image, seconds: range, doubt: Doubt = "") -> list[Standing]:
    return [anchor.look(noisy(picture, second), second, doubt) for second in seconds]


@pytest.mark.parametrize(
    "move",
    [
        {},
        {"right": 0.05, "down": -0.03},
        {"right": -0.18},
        {"turn_deg": 6},
        {"zoom": 1.12},
        {"zoom": 0.88},
        {"right": 0.06, "down": 0.04, "turn_deg": -4, "zoom": 1.06},
    ],
)
def test_given_a_small_move_then_it_is_measured_within_half_a_percent_of_the_picture(move: dict[str, float]) -> None:
    found = measure(ORIGINAL, find_corners(small_grey(noisy(moved(street(), **move), 1))))
    assert found is not None
    assert apart(found, truth(**move)) < 0.005


@pytest.mark.parametrize(
    "picture",
    [
        street(8),
        moved(street(), right=0.27),
        moved(street(), right=0.5),
        moved(street(), turn_deg=25),
        moved(street(), zoom=1.5),
        street()[:, ::-1],
        np.full((HEIGHT, WIDTH, 3), 90, np.uint8),
        np.zeros((480, WIDTH, 3), np.uint8),
    ],
)
def test_given_another_view_or_a_large_move_then_nothing_is_measured(picture: Image) -> None:
    assert measure(ORIGINAL, find_corners(small_grey(np.ascontiguousarray(picture)))) is None


def test_given_a_large_picture_then_its_corners_lie_at_the_same_relative_places() -> None:
    large = np.ascontiguousarray(street().repeat(3, axis=0).repeat(3, axis=1))
    found = measure(ORIGINAL, find_corners(small_grey(large)))
    assert found is not None
    assert apart(found, STAYED) < 0.005


def test_given_a_turned_view_then_a_shift_is_told_when_three_looks_agree_and_not_before() -> None:
    anchor = watched()
    told = look(anchor, moved(street(), right=0.08), range(20, 23), "turned")
    told += look(anchor, moved(street(), right=0.08), range(23, 24))
    assert [each.stopped for each in told] == [True, True, False, False]
    assert [each.news for each in told] == [False, False, True, False]
    assert apart(told[-1].shift, truth(right=0.08)) < 0.005


def test_given_looks_that_disagree_then_nothing_is_told_until_three_running_agree() -> None:
    anchor = watched()
    shakes = [0.05, 0.05, 0.09, 0.05, 0.09]
    told = [anchor.look(moved(street(), right=right), 20.0 + second, "turned") for second, right in enumerate(shakes)]
    assert all(each.stopped for each in told)


def test_given_a_camera_turned_away_then_it_stays_stopped_until_it_is_turned_back() -> None:
    anchor = watched()
    assert all(each.stopped for each in look(anchor, street(8), range(20, 40), "turned"))
    assert look(anchor, street(8), range(40, 45))[-1].stopped  # though it is no longer thought to be turned
    back = look(anchor, street(), range(45, 50))
    assert back[-1] == Standing(STAYED)
    assert sum(each.news for each in back) == 1


def test_given_a_second_move_then_it_is_measured_from_the_first_view_and_a_return_leaves_nothing() -> None:
    anchor = watched()
    look(anchor, moved(street(), right=0.08), range(20, 24), "turned")
    look(anchor, moved(street(), right=0.15), range(30, 34), "turned")
    assert apart(anchor.standing.shift, truth(right=0.15)) < 0.005
    look(anchor, street(), range(40, 44), "turned")
    assert anchor.standing.shift == STAYED


def test_given_a_view_that_creeps_unnoticed_then_it_is_followed_when_it_has_gone_far_enough() -> None:
    anchor = watched()
    assert not any(each.news for each in look(anchor, moved(street(), right=0.02), range(20, 60)))
    assert sum(each.news for each in look(anchor, moved(street(), right=0.04), range(60, 120))) == 1
    assert apart(anchor.standing.shift, truth(right=0.04)) < 0.005


def test_given_a_covered_view_then_nothing_is_learnt_or_measured_of_it() -> None:
    anchor = Anchor()
    look(anchor, street(8), range(5))
    look(anchor, street(8), range(5, 20), "hidden")
    assert anchor.original is None
    anchor = watched()
    assert look(anchor, moved(street(), right=0.08), range(20, 30), "hidden")[-1] == Standing(STAYED)


def test_given_a_view_that_seems_covered_and_is_not_then_corners_disprove_it() -> None:
    anchor = watched()
    assert sum(each.news for each in look(anchor, street(), range(20, 24), "covered")) == 1
    painted = street()
    painted[:, : WIDTH * 2 // 3] = 90
    assert not any(each.news for each in look(anchor, painted, range(30, 40), "covered"))


def test_given_another_resolution_while_learning_then_it_begins_again() -> None:
    anchor = Anchor()
    look(anchor, street(), range(5))
    anchor.look(street()[:320], 5, "")
    look(anchor, street()[:320], range(6, 13))
    assert anchor.original is None
    anchor.look(street()[:320], 13, "")
    assert anchor.original is not None


def test_given_a_text_then_the_same_is_known_after_a_restart() -> None:
    anchor = watched()
    look(anchor, moved(street(), right=0.08), range(20, 23), "turned")
    text = write_anchor(anchor, HERE)
    assert len(text) < 50_000
    again = read_anchor(text, Origin("camera", "start-2"))
    assert again.standing == Standing(anchor.standing.shift)
    look(again, street(), range(30, 34), "turned")
    assert again.standing.shift == STAYED


def _spoilt(**changes: Any) -> str:
    return json.dumps({**json.loads(write_anchor(watched(), HERE)), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "x" * 70_000,
        _spoilt(camera="another"),
        _spoilt(shift=[1, 0]),
        _spoilt(shift=[float("nan")] * 9),
        _spoilt(where="!"),
        _spoilt(codes="AAAA"),
        _spoilt(aspect=0),
        write_anchor(Anchor(), HERE),
    ],
)
def test_given_a_damaged_or_foreign_text_then_the_view_is_learnt_anew(text: str) -> None:
    fresh = read_anchor(text, HERE)
    assert fresh.original is None
    assert fresh.standing == Standing()
