"""Geometry that can never count is refused, geometry that will count badly is warned of, the rest is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from agent.config.schema import Camera
from agent.ops.check_geometry import check_geometry, errors_of
from agent.ops.findings import Finding, Level

SQUARE = [[0.2, 0.4], [0.8, 0.4], [0.8, 0.9], [0.2, 0.9]]
ROAD = [((0.35, 0.5), (0, 40)), ((0.65, 0.5), (7, 40)), ((0.95, 0.95), (7, 0)), ((0.05, 0.95), (0, 0))]


def camera(**parts: Any) -> Camera:
    return Camera.model_validate({"name": "a", "source": "x", **parts})


def line(*points: tuple[float, float], name: str = "l", **parts: Any) -> dict[str, Any]:
    return {"name": name, "points": points, **parts}


def zone(polygon: Any, name: str = "z", **parts: Any) -> dict[str, Any]:
    return {"name": name, "polygon": polygon, **parts}


def ground(*pairs: Any) -> dict[str, Any]:
    return {"points": [{"image": image, "metres": metres} for image, metres in pairs]}


def found(shown: Camera, size: tuple[int, int] | None = None) -> list[Finding]:
    return check_geometry(shown, ("cameras", 0), size)


def the_finding(shown: Camera, size: tuple[int, int] | None = None) -> Finding:
    (finding,) = found(shown, size)
    return finding


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"lines": [line((0.1, 0.6), (0.9, 0.6)), line((0.5, 0.9), (0.5, 0.3), name="m")]},
        {"lines": [line((-0.01, 0.6), (1.01, 0.6))]},
        {"zones": [zone(SQUARE)], "ground": ground(*ROAD)},
        {"zones": [zone([[0, 0], [1, 0], [1, 1], [0, 1]])]},
        {"frame_size": [1280, 720], "lines": [line((100, 500), (1200, 500))]},
        {"zones": [zone(SQUARE, rules={"wrong_way": {"along": [[0.5, 0.9], [0.5, 0.4]]}})]},
        {"ground": ground(*[(image, (x, -y)) for image, (x, y) in ROAD]), "lines": [line((0.1, 0.6), (0.9, 0.6))]},
    ],
)
def test_given_good_geometry_then_nothing_is_found(parts: dict[str, Any]) -> None:
    assert found(camera(**parts)) == []


@pytest.mark.parametrize(
    ("points", "sign"),
    [
        (((1.1, 0.2), (1.4, 0.9)), "lies outside the picture"),
        (((-0.5, 0.5), (0.02, 0.5)), "lies outside the picture"),
        (((0.2, 1.2), (0.9, 1.2)), "lies outside the picture"),
        (((0.2, -1.2), (0.9, -0.2)), "lies outside the picture"),
        (((1.2, 0.5), (1.2, 0.9)), "lies outside the picture"),
        (((0.5, 0.5), (0.54, 0.5)), "line l is 4.0% of the picture's width, shorter than an object"),
        (((0.5, 0.5), (0.5, 0.55)), "shorter than an object"),
        (((0.5, 0.5), (0.5, 0.5)), "line l is 0.0% of the picture's width"),
    ],
)
def test_given_a_line_that_can_never_count_then_it_is_an_error(points: Any, sign: str) -> None:
    finding = the_finding(camera(lines=[line(*points)]))
    assert finding.level is Level.ERROR
    assert sign in finding.text()
    assert finding.path == ("cameras", 0, "lines", 0, "points")


@pytest.mark.parametrize(
    ("points", "side"),
    [
        (((0.1, 0.98), (0.9, 0.98)), "side b"),
        (((0.9, 0.98), (0.1, 0.98)), "side a"),
        (((0.1, 0.02), (0.9, 0.02)), "side a"),
        (((0.01, 0.9), (0.01, 0.1)), "side a"),
        (((0.99, 0.9), (0.99, 0.1)), "side b"),
    ],
)
def test_given_a_line_along_an_edge_then_the_side_without_room_is_named(points: Any, side: str) -> None:
    finding = the_finding(camera(lines=[line(*points)]))
    assert finding.level is Level.WARNING
    assert side in finding.wrong


def test_given_a_named_direction_without_room_then_its_name_is_told() -> None:
    assert "side b (ke kota)" in the_finding(camera(lines=[line((0.1, 0.99), (0.9, 0.99), a_to_b="ke kota")])).wrong


def test_given_a_line_that_leaves_the_picture_then_the_lost_share_is_told() -> None:
    finding = the_finding(camera(lines=[line((0.5, 0.6), (1.5, 0.6))]))
    assert finding.level is Level.WARNING
    assert "50% of line l lies outside" in finding.wrong


def test_given_the_same_line_twice_then_it_is_an_error_in_either_direction() -> None:
    one, other = line((0.1, 0.6), (0.9, 0.6)), line((0.9, 0.6), (0.1, 0.605), name="m")
    finding = the_finding(camera(lines=[one, other]))
    assert finding.level is Level.ERROR
    assert "lines l and m are the same line" in finding.wrong
    assert finding.path == ("cameras", 0, "lines", 1, "points")


@pytest.mark.parametrize(
    ("polygon", "sign"),
    [
        ([[0.2, 0.4], [0.8, 0.9], [0.8, 0.4], [0.2, 0.9]], "the edge from corner 1 crosses the edge from corner 3"),
        ([[0.2, 0.4], [0.2, 0.4], [0.8, 0.9]], "names the same corner twice (corner 1)"),
        ([[0.2, 0.2], [0.5, 0.5], [0.8, 0.8]], "crosses"),
        ([[0.5, 0.5], [0.51, 0.5], [0.51, 0.51]], "of the picture, less than one object"),
        ([[1.1, 0.4], [1.8, 0.4], [1.8, 0.9]], "lies where no object can stand"),
        ([[0.1, 0.0], [0.9, 0.0], [0.9, 0.02], [0.1, 0.02]], "lies where no object can stand"),
    ],
)
def test_given_a_zone_nothing_can_be_in_then_it_is_an_error(polygon: Any, sign: str) -> None:
    finding = the_finding(camera(zones=[zone(polygon)]))
    assert finding.level is Level.ERROR
    assert sign in finding.wrong
    assert finding.path == ("cameras", 0, "zones", 0, "polygon")


def test_given_a_zone_that_leaves_the_picture_then_it_is_warned_of() -> None:
    finding = the_finding(camera(zones=[zone([[0.2, 0.4], [1.3, 0.4], [1.3, 0.9], [0.2, 0.9]])]))
    assert finding.level is Level.WARNING
    assert "reaches outside" in finding.wrong


@pytest.mark.parametrize(
    ("parts", "size", "sign"),
    [
        ({"lines": [line((100, 400), (900, 400))]}, None, "are pixels, but the camera names no frame_size"),
        ({"zones": [zone([[9, 9], [90, 9], [90, 90]])]}, None, "are pixels"),
        ({"ground": ground(((100, 100), (0, 0)), *ROAD[1:])}, None, "are pixels"),
        (
            {"zones": [zone(SQUARE, rules={"wrong_way": {"along": [[300, 300], [1, 1]]}})]},
            None,
            "are pixels",
        ),
        ({"frame_size": [640, 360], "lines": [line((100, 500), (1200, 500))]}, None, "pixels of another resolution"),
        ({"frame_size": [640, 360], "lines": [line((0.1, 0.5), (0.9, 0.5))]}, None, "within one pixel of the corner"),
        (
            {"frame_size": [640, 480], "lines": [line((50, 300), (600, 300))]},
            (1920, 1080),
            "frame_size 640x480 (4:3) has another shape than the source's 1920x1080 (16:9)",
        ),
    ],
)
def test_given_points_of_another_unit_then_only_that_is_told(
    parts: dict[str, Any], size: tuple[int, int] | None, sign: str
) -> None:
    finding = the_finding(camera(**parts), size)
    assert finding.level is Level.ERROR
    assert sign in finding.wrong


def test_given_a_frame_size_of_the_same_shape_then_another_resolution_is_no_fault() -> None:
    assert found(camera(frame_size=[640, 360], lines=[line((50, 300), (600, 300))]), (1920, 1080)) == []


@pytest.mark.parametrize(
    ("pairs", "sign"),
    [
        ([(image, (0, 0)) for image, _ in ROAD], "all ground points are at 0, 0 metres"),
        ([*ROAD[:3], (ROAD[3][0], (7, 0))], "ground points 3 and 4 are the same point in metres"),
        ([*ROAD[:3], (ROAD[2][0], (0, 0))], "ground points 3 and 4 are the same point in the picture"),
        ([((0.1 * i, 0.5), (i, i * i)) for i in range(1, 5)], "lie on one line in the picture"),
        ([(image, (i, 2 * i)) for i, (image, _) in enumerate(ROAD)], "lie on one line in metres"),
        ([(ROAD[0][0], (0, 0)), *ROAD[1:3], (ROAD[3][0], (0, 40))], "horizon between them"),
    ],
)
def test_given_a_calibration_that_can_be_no_road_then_it_is_an_error(pairs: Any, sign: str) -> None:
    (first, *_) = errors_of(found(camera(ground=ground(*pairs))))
    assert sign in first.wrong
    assert first.hint


def test_given_a_horizon_in_a_zone_or_on_a_line_then_each_is_an_error() -> None:
    high = [[0.2, 0.05], [0.8, 0.05], [0.8, 0.9], [0.2, 0.9]]
    shown = camera(zones=[zone(high)], lines=[line((0.5, 0.9), (0.5, 0.1))], ground=ground(*ROAD))
    findings = found(shown)
    assert [finding.level for finding in findings] == [Level.ERROR, Level.ERROR]
    assert "the horizon of the calibrated road runs through line l" in findings[0].wrong
    assert "zone z" in findings[1].wrong


def test_given_ground_points_outside_the_picture_then_it_is_warned_of() -> None:
    shown = camera(ground=ground(*ROAD[:2], ((1.3, 1.2), (7, 0)), ((-0.3, 1.2), (0, 0))))
    assert the_finding(shown).level is Level.WARNING


def test_given_a_density_that_no_ground_lets_be_known_then_its_rule_is_refused_or_warned_of() -> None:
    alone = the_finding(camera(zones=[zone(SQUARE, rules={"crowd": {"per_m2": 2}})]))
    assert alone.level is Level.ERROR
    assert alone.path == ("cameras", 0, "zones", 0, "rules", "crowd", "per_m2")
    assert "zone z: the density for crowd.per_m2 can't be known, the camera has no ground" in alone.wrong
    assert "add ground" in alone.hint
    beside = the_finding(camera(zones=[zone(SQUARE, rules={"crowd": {"people": 40, "per_m2": 2}})]))
    assert beside.level is Level.WARNING
    assert "only 40 people start the event" in beside.hint
    assert found(camera(zones=[zone(SQUARE, rules={"crowd": {"per_m2": 2}})], ground=ground(*ROAD))) == []
    assert found(camera(zones=[zone(SQUARE, rules={"crowd": {"people": 40}})])) == []
