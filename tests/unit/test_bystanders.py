"""A line that counted nothing says who passed it, so that it is no silence."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config.schema import Camera
from agent.ops.bystanders import Bystanders
from agent.values import RoadUser
from tests.fakes.walkers import SIZE, Body, film, path, straight

LINE = {"name": "main", "points": [(100, 240), (540, 240)]}


def said(*walks: list[list[Body]], crossed: int = 0, **line: Any) -> list[str]:
    """What is said of a line, after some walks one by one."""
    camera = Camera.model_validate({"name": "c", "source": "x", "frame_size": SIZE, "lines": [{**LINE, **line}]})
    watch = Bystanders(camera)
    for seen, _ in film([frame for walk in walks for frame in walk]):
        watch.see(seen, SIZE)
    return watch.sentences({("main", "a_to_b"): crossed})


def over(track: int, x: float, kind: RoadUser = RoadUser.CAR) -> list[list[Body]]:
    return path(track, straight((x, 100), (x, 400), 20), kind=kind)


def test_given_a_line_that_counts_or_an_empty_street_then_nothing_is_said() -> None:
    assert said(over(1, 300), crossed=1) == []
    assert said([[]] * 5) == []


def test_given_road_users_that_pass_beside_a_line_then_how_often_is_told() -> None:
    (sentence,) = said(over(1, 50), over(2, 600))
    assert sentence.startswith("line main counted nothing, though 2 road users were seen: some passed beyond its ends")
    assert "2 times" in sentence


def test_given_only_classes_that_a_line_does_not_count_then_they_are_named() -> None:
    (sentence,) = said(over(1, 300, RoadUser.TRUCK), over(2, 50, RoadUser.TRUCK), classes=["bus"])
    assert "went over it that it does not count (truck 1; see its classes)" in sentence
    assert "some passed beyond its ends (1 times" in sentence


def test_given_somebody_who_only_touches_the_line_then_that_is_told() -> None:
    (sentence,) = said(path(1, straight((300, 200), (300, 243), 10) + straight((300, 236), (300, 200), 10)))
    assert "some touched it and did not go on (2 times" in sentence


@pytest.mark.parametrize("end", [(300.0, 230.0), (300.0, 100.0)])
def test_given_nobody_who_comes_to_its_other_side_then_that_is_told(end: tuple[float, float]) -> None:
    (sentence,) = said(path(1, straight((300, 60), end, 20)))
    assert "though 1 road user was seen: none came from one of its sides to the other" in sentence


def test_given_a_track_that_is_gone_then_nothing_of_it_is_kept() -> None:
    camera = Camera.model_validate({"name": "c", "source": "x", "frame_size": SIZE, "lines": [LINE]})
    watch = Bystanders(camera)
    for seen, _ in film([frame for track in range(1, 40) for frame in over(track, 300)]):
        watch.see(seen, SIZE)
        assert len(watch._sides[0]) <= 1
