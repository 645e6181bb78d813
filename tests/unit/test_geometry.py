from __future__ import annotations

import numpy as np
import pytest

from agent.scene import geometry

SQUARE = ((0, 0), (10, 0), (10, 10), (0, 10))
BOW_TIE = ((0, 0), (10, 10), (10, 0), (0, 10))


def test_points_when_given_one_pair_becomes_one_row() -> None:
    assert geometry.points((3, 4)).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("wrong", [3.0, (1, 2, 3), ((1, 2, 3),), [[[1, 2]]]])
def test_points_when_not_pairs_then_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="pairs x, y"):
        geometry.points(wrong)  # type: ignore[arg-type]


def test_project_when_line_runs_right_then_below_is_positive() -> None:
    along, across = geometry.project(geometry.points([(5, 3), (5, -3), (20, 0)]), (0, 0), (10, 0))
    assert along.tolist() == [0.5, 0.5, 2.0]
    assert across.tolist() == [3.0, -3.0, 0.0]


def test_project_when_line_is_a_point_then_refused() -> None:
    with pytest.raises(ValueError, match="two different points"):
        geometry.project(geometry.points((1, 1)), (2, 2), (2, 2))


def test_segment_distance_measures_to_the_ends_beyond_them() -> None:
    got = geometry.segment_distance(geometry.points([(5, 2), (-3, 4), (13, 4)]), (0, 0), (10, 0))
    assert got.tolist() == [2.0, 5.0, 5.0]


def test_segment_distance_when_segment_is_a_point() -> None:
    assert geometry.segment_distance(geometry.points((3, 4)), (0, 0), (0, 0)).tolist() == [5.0]


def test_intersection_gives_both_fractions() -> None:
    start, end = (
        geometry.points([(5, -5), (5, -5), (0, 1), (20, -5)]),
        geometry.points([(5, 15), (5, -1), (9, 1), (20, 5)]),
    )
    along_a, along_b = geometry.intersection(start, end, (0, 0), (10, 0))
    assert along_a[0] == pytest.approx(0.25)
    assert along_b[0] == pytest.approx(0.5)
    assert np.isnan(along_a[1:]).all(), "too short, parallel, and beside the segment"
    assert np.isnan(along_b[1:]).all()


def test_inside_follows_a_concave_outline() -> None:
    horseshoe = ((0, 0), (10, 0), (10, 10), (7, 10), (7, 3), (3, 3), (3, 10), (0, 10))
    got = geometry.inside(geometry.points([(1, 5), (5, 5), (9, 5), (5, 1), (20, 5), (5, -1)]), horseshoe)
    assert got.tolist() == [True, False, True, True, False, False]


def test_inside_when_two_polygons_share_an_edge_then_a_point_on_it_is_in_exactly_one() -> None:
    left, right = ((0, 0), (5, 0), (5, 10), (0, 10)), ((5, 0), (10, 0), (10, 10), (5, 10))
    where = geometry.points([(5, 1), (5, 5), (5, 9.5)])
    assert (geometry.inside(where, left) ^ geometry.inside(where, right)).all()


def test_boundary_distance_is_to_the_nearest_edge() -> None:
    assert geometry.boundary_distance(geometry.points([(5, 1), (9, 5), (13, 14)]), SQUARE).tolist() == [1.0, 1.0, 5.0]


def test_area_and_its_sign() -> None:
    assert geometry.signed_area(SQUARE) == 100.0
    assert geometry.signed_area(SQUARE[::-1]) == -100.0
    assert geometry.area(SQUARE[::-1]) == 100.0
    assert geometry.length((0, 0), (3, 4)) == 5.0


@pytest.mark.parametrize(
    ("first", "second", "touch"),
    [
        (((0, 0), (10, 10)), ((0, 10), (10, 0)), True),
        (((0, 0), (10, 0)), ((5, 0), (5, 5)), True),
        (((0, 0), (10, 0)), ((5, 0), (15, 0)), True),
        (((0, 0), (10, 0)), ((11, 0), (15, 0)), False),
        (((0, 0), (10, 0)), ((0, 1), (10, 1)), False),
        (((0, 0), (10, 0)), ((11, -5), (11, 5)), False),
    ],
)
def test_segments_touch(first: tuple[object, object], second: tuple[object, object], *, touch: bool) -> None:
    assert geometry.segments_touch(first, second) is touch  # type: ignore[arg-type]
    assert geometry.segments_touch(second, first) is touch  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("polygon", "clash"),
    [
        (SQUARE, None),
        (((0, 0), (10, 0), (5, 5)), None),
        (BOW_TIE, (0, 2)),
        (((0, 0), (10, 0), (10, 0), (0, 10)), (1, 1)),
        (((0, 0), (10, 0), (5, 0)), (0, 1)),
        (((5, 0), (10, 0), (10, 10), (0, 0)), None),
        (((5, 0), (0, 0), (10, 0), (10, 10)), (0, 1)),
        (((5, 5), (10, 5), (10, 10), (5, 10), (5, 12)), (2, 4)),
        (((0, 0), (10, 0), (10, 5), (8, -5), (0, 0.5)), (0, 2)),
        (((0, 0), (10, 0), (10, 10), (5, 0)), (0, 2)),
    ],
)
def test_crossing_edges_names_the_pair(polygon: tuple[tuple[float, float], ...], clash: tuple[int, int] | None) -> None:
    assert geometry.crossing_edges(polygon) == clash


def test_crossing_edges_when_only_the_closing_edge_folds_back() -> None:
    assert geometry.crossing_edges(((0, 0), (4, 0), (6, 3), (5, 0))) == (0, 3)
    assert geometry.crossing_edges(((0, 0), (4, 0), (6, 3), (3, 5))) is None


def test_crossing_edges_when_a_corner_lies_on_the_first_edge() -> None:
    outline = ((0, 0), (10, 0), (10, 10), (20, 10), (20, 0), (15, -5), (5, -5), (5, 0))
    assert geometry.crossing_edges(outline) == (0, 6)
