from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.scene import geometry

coordinate = st.floats(-1000, 1000, allow_nan=False, width=32)
point = st.tuples(coordinate, coordinate)
many = st.lists(point, min_size=1, max_size=20)


@given(many, point, point)
def test_turning_a_line_round_swaps_its_sides(
    where: list[tuple[float, float]], a: tuple[float, float], b: tuple[float, float]
) -> None:
    assume(math.dist(a, b) > 0.1)
    along, across = geometry.project(geometry.points(where), a, b)
    back_along, back_across = geometry.project(geometry.points(where), b, a)
    np.testing.assert_allclose(across, -back_across, atol=1e-6)
    np.testing.assert_allclose(along, 1 - back_along, atol=1e-3, rtol=1e-6)


@given(many, point, point)
def test_no_point_is_nearer_to_a_segment_than_to_its_line(
    where: list[tuple[float, float]], a: tuple[float, float], b: tuple[float, float]
) -> None:
    assume(math.dist(a, b) > 0.1)
    columns = geometry.points(where)
    _, across = geometry.project(columns, a, b)
    assert (geometry.segment_distance(columns, a, b) >= np.abs(across) - 1e-6).all()


@given(point, point, point, point)
def test_two_segments_meet_the_same_way_from_either_end(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> None:
    there, _ = geometry.intersection(geometry.points(a), geometry.points(b), c, d)
    back, _ = geometry.intersection(geometry.points(b), geometry.points(a), c, d)
    if 1e-6 < there[0] < 1 - 1e-6:
        assert math.isclose(there[0], 1 - back[0], abs_tol=1e-6) or math.isnan(back[0])


@given(point, st.floats(1, 300), st.integers(3, 20), many)
def test_a_regular_polygon_holds_its_inner_circle_and_nothing_outside_its_outer(
    centre: tuple[float, float], radius: float, corners: int, where: list[tuple[float, float]]
) -> None:
    turn = np.arange(corners) * 2 * np.pi / corners
    polygon = np.asarray(centre) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    columns = geometry.points(where)
    distance = np.hypot(*(columns - centre).T)
    got = geometry.inside(columns, polygon)
    assert got[distance < radius * math.cos(math.pi / corners) * 0.999].all()
    assert not got[distance > radius * 1.001].any()
    assert geometry.crossing_edges(polygon) is None
    assert math.isclose(geometry.area(polygon), corners / 2 * radius**2 * math.sin(2 * math.pi / corners), rel_tol=1e-6)


@given(many, st.tuples(coordinate, coordinate), st.lists(point, min_size=3, max_size=8))
def test_moving_everything_changes_no_membership(
    where: list[tuple[float, float]], by: tuple[float, float], polygon: list[tuple[float, float]]
) -> None:
    columns, outline = geometry.points(where), geometry.points(polygon)
    far = geometry.boundary_distance(columns, outline) > 1e-3
    before = geometry.inside(columns, outline)
    after = geometry.inside(columns + np.asarray(by), outline + np.asarray(by))
    assert (before == after)[far].all()
