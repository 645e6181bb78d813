"""Carrying what was drawn over to a moved view, and telling when it no longer fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agent.config.schema import Camera
from agent.scene.carry import STAYED, carry, moved, out_of_view, told
from agent.scene.rule import Setting
from agent.scene.rules import ground_of
from tests.fakes.streets import truth

ROAD = [((0.35, 0.5), (0, 40)), ((0.65, 0.5), (7, 40)), ((0.95, 0.95), (7, 0)), ((0.05, 0.95), (0, 0))]
AREA = [[0.3, 0.4], [0.7, 0.4], [0.7, 0.8], [0.3, 0.8]]


def camera(unit: tuple[int, int] | None = None, **more: Any) -> Camera:
    scale = np.array(unit or (1, 1))
    zone = {
        "name": "box",
        "polygon": (np.array(AREA) * scale).tolist(),
        "rules": {"wrong_way": {"along": (np.array([[0.5, 0.5], [0.5, 0.7]]) * scale).tolist()}, "queue": {}},
    }
    plain = {
        "name": "a",
        "source": "x",
        "frame_size": unit,
        "lines": [{"name": "near", "points": (np.array([[0.3, 0.6], [0.7, 0.6]]) * scale).tolist()}],
        "zones": [zone],
        "ground": {"points": [{"image": (np.array(at) * scale).tolist(), "metres": m} for at, m in ROAD]},
        **more,
    }
    return Camera.model_validate(plain)


@pytest.mark.parametrize("unit", [None, (1280, 720)])
def test_given_a_shift_then_all_that_was_drawn_lies_where_it_is_seen_now(unit: tuple[int, int] | None) -> None:
    drawn, scale = camera(unit), np.array(unit or (1, 1))
    carried = carry(drawn, truth(right=0.1, down=-0.05))
    by = np.array([0.1, -0.05]) * scale
    wrong_way = (drawn.zones[0].rules.wrong_way, carried.zones[0].rules.wrong_way)
    assert wrong_way[0] is not None
    assert wrong_way[1] is not None
    np.testing.assert_allclose(carried.lines[0].points, np.array(drawn.lines[0].points) + by, atol=1e-6)
    np.testing.assert_allclose(carried.zones[0].polygon, np.array(drawn.zones[0].polygon) + by, atol=1e-6)
    np.testing.assert_allclose(wrong_way[1].along, np.array(wrong_way[0].along) + by, atol=1e-6)
    assert carried.zones[0].rules.queue == drawn.zones[0].rules.queue


def test_given_a_turned_and_zoomed_view_then_the_same_things_have_the_same_metres() -> None:
    shift = truth(right=0.04, turn_deg=5, zoom=1.1)
    grounds = [ground_of(Setting("d", each)) for each in (camera(), carry(camera(), shift))]
    assert grounds[0] is not None
    assert grounds[1] is not None
    where = np.array([[0.4, 0.6], [0.5, 0.8], [0.6, 0.9]])
    np.testing.assert_allclose(grounds[1].metres(moved(where, shift)), grounds[0].metres(where), atol=1e-6)


def test_given_lanes_instead_of_points_then_they_are_carried_as_well() -> None:
    left, right = [[0.2, 0.9], [0.4, 0.4]], [[0.8, 0.9], [0.6, 0.4]]
    drawn = camera(ground={"lanes": {"left": left, "right": right, "width_m": 7, "length_m": 40}})
    carried = carry(drawn, truth(right=0.1))
    assert carried.ground is not None
    assert [point.image[0] for point in carried.ground.points] == pytest.approx([0.3, 0.9, 0.7, 0.5])


def test_given_no_shift_then_the_configuration_is_the_very_same() -> None:
    drawn = camera()
    assert carry(drawn, STAYED) is drawn


@pytest.mark.parametrize(
    ("right", "outside"), [(0.0, None), (0.19, None), (0.36, "line near"), (-0.36, "line near"), (0.2, None)]
)
def test_given_a_line_pushed_out_of_the_picture_then_it_is_named(right: float, outside: str | None) -> None:
    drawn = camera()
    assert out_of_view(drawn, carry(drawn, truth(right=right))) == outside


def test_given_a_zone_pushed_out_then_it_is_named_and_what_was_outside_before_is_not_asked_back() -> None:
    drawn = camera(lines=[{"name": "l", "points": [[-0.2, 0.5], [0.4, 0.5]]}])
    assert out_of_view(drawn, carry(drawn, truth(right=-0.01))) is None
    assert out_of_view(drawn, carry(drawn, truth(down=0.3))) == "zone box"


def test_given_a_shift_then_it_is_told_in_words() -> None:
    assert told(truth(right=0.08, down=-0.03, zoom=1.1)) == {
        "shift_x": 0.08,
        "shift_y": -0.03,
        "turn_deg": 0.0,
        "zoom": 1.1,
    }
