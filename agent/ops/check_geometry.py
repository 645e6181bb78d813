"""Geometry that can never count is an error; geometry that will count badly is a warning. Each says why.

A line or zone that silently counts nothing is worse than none. Works on the configuration alone, and better where
the size of the source's pictures is known. Opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import gcd
from typing import Final

import numpy as np

from agent.config.fault import Path
from agent.config.schema import Camera, Line, Zone
from agent.errors import ConfigError
from agent.ops.check_protected import check_protected
from agent.ops.findings import Finding, Level
from agent.scene import geometry
from agent.scene.geometry import Array
from agent.scene.ground import Ground, fit_ground

SHORTEST_LINE: Final = 0.05
"""Of the picture's width. Shorter than a vehicle is wide, so most would pass beside it."""
SMALLEST_ZONE: Final = 0.001
"""Of the picture's area: about a fortieth of its width by a twenty-fifth of its height, less than one vehicle."""
LEAST_ROOM: Final = 0.04
"""Of the picture's height. With less room on a side of a line, no ground point gets clear of the line there."""
HIGHEST_GROUND_POINT: Final = 0.03
"""Of the picture's height. A box has some height, so its lower edge is never nearer to the upper edge than this."""
TOLERANCE: Final = 0.02
"""Of the picture. Points this far outside are a hand that slipped over the edge."""
SAME_LINE: Final = 0.01
MOST_RELATIVE: Final = 2.0
"""A coordinate above this was surely meant in pixels."""
USUAL_SIZE: Final = (1280, 720)
_SAMPLES: Final = 41


def check_geometry(camera: Camera, where: Path, source_size: tuple[int, int] | None = None) -> list[Finding]:
    """Everything wrong with a camera's lines, zones, protected regions and calibration.

    Args:
        camera: The camera.
        where: Its path in the configuration.
        source_size: Width and height of its pictures, where known.
    """
    units = list(_check_units(camera, where, source_size))
    if any(finding.level is Level.ERROR for finding in units):
        return units  # in the wrong unit every other finding would only repeat it
    scope = _Scope(camera, source_size or camera.frame_size or USUAL_SIZE)
    findings = [*units, *_check_ground(scope, where)]
    for number, line in enumerate(camera.lines):
        findings += _check_line(scope, line, (*where, "lines", number))
    for number, zone in enumerate(camera.zones):
        findings += _check_zone(scope, zone, (*where, "zones", number))
    findings += check_protected(camera, where, source_size or camera.frame_size or USUAL_SIZE)
    return [*findings, *_check_same_lines(scope, where)]


class _Scope:
    """A camera's points in one unit: pixels of its pictures, or of usual ones of that shape."""

    def __init__(self, camera: Camera, size: tuple[int, int]) -> None:
        self.camera = camera
        self.size = np.asarray(size, np.float64)
        self._unit = np.asarray(camera.frame_size or (1, 1), np.float64)
        self.ground: Ground | None = None

    def pixels(self, points: object) -> Array:
        scaled: Array = np.asarray(points, np.float64) / self._unit * self.size
        return scaled

    def relative(self, points: object) -> Array:
        scaled: Array = np.asarray(points, np.float64) / self._unit
        return scaled


# Units: relative, or pixels of which resolution


def _check_units(camera: Camera, where: Path, source_size: tuple[int, int] | None) -> Iterator[Finding]:
    given = [*_all_points(camera, where)]
    if camera.frame_size is None:
        for path, point in given:
            if max(map(abs, point)) > MOST_RELATIVE:
                wrong = f"{point[0]:g}, {point[1]:g} are pixels, but the camera names no frame_size"
                hint = "add frame_size: [width, height] of the picture they were taken from, or write 0 to 1"
                yield Finding(Level.ERROR, path, wrong, hint)
                return
        return
    width, height = camera.frame_size
    for path, (x, y) in given:
        if x > width * (1 + TOLERANCE) or y > height * (1 + TOLERANCE):
            wrong = f"{x:g}, {y:g} lie outside of frame_size {width}x{height}: pixels of another resolution"
            yield Finding(Level.ERROR, path, wrong, "write the frame_size of the picture the points were taken from")
            return
    if given and all(max(map(abs, point)) <= 1 for _, point in given):
        wrong = f"all points are within one pixel of the corner of frame_size {width}x{height}"
        yield Finding(Level.ERROR, (*where, "frame_size"), wrong, "delete frame_size: these points are relative")
    if source_size is not None and not _same_shape((width, height), source_size):
        wrong = (
            f"frame_size {width}x{height} ({_shape(width, height)}) has another shape than the source's "
            f"{source_size[0]}x{source_size[1]} ({_shape(*source_size)})"
        )
        yield Finding(Level.ERROR, (*where, "frame_size"), wrong, "take the points from a picture of this source")


def _all_points(camera: Camera, where: Path) -> Iterator[tuple[Path, tuple[float, float]]]:
    for number, line in enumerate(camera.lines):
        yield from (((*where, "lines", number, "points"), point) for point in line.points)
    for number, zone in enumerate(camera.zones):
        yield from (((*where, "zones", number, "polygon"), point) for point in zone.polygon)
        along = () if zone.rules.wrong_way is None else zone.rules.wrong_way.along
        yield from (((*where, "zones", number, "rules", "wrong_way", "along"), point) for point in along)
    for number, region in enumerate(camera.protected):
        yield from (((*where, "protected", number, "polygon"), point) for point in region.polygon)
    for number, pair in enumerate(camera.ground.points if camera.ground is not None else ()):
        yield (*where, "ground", "points", number, "image"), pair.image


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) <= TOLERANCE


def _shape(width: int, height: int) -> str:
    divisor = gcd(width, height)
    return f"{width // divisor}:{height // divisor}"


# Lines


def _check_line(scope: _Scope, line: Line, path: Path) -> Iterator[Finding]:
    points_path = (*path, "points")
    start, end = scope.pixels(line.points)
    length = geometry.length(start, end)
    visible = _visible(start, end, scope.size)
    least = SHORTEST_LINE * scope.size[0]
    if length < least:
        wrong = f"line {line.name} is {length / scope.size[0]:.1%} of the picture's width, shorter than an object"
        yield Finding(Level.ERROR, points_path, wrong, f"make it at least {SHORTEST_LINE:.0%}")
        return
    if visible is None or (visible[1] - visible[0]) * length < least:
        wrong = f"line {line.name} lies outside the picture, so nothing can cross it"
        yield Finding(Level.ERROR, points_path, wrong, "move it to where objects pass")
        return
    hidden = 1 - (visible[1] - visible[0])
    if hidden > TOLERANCE:
        wrong = f"{hidden:.0%} of line {line.name} lies outside the picture, where nothing can cross it"
        yield Finding(Level.WARNING, points_path, wrong, "end it at the picture's edge")
    yield from _check_room(scope, line, points_path, visible)
    yield from _check_horizon(scope, np.linspace(start, end, _SAMPLES), f"line {line.name}", points_path)


def _visible(start: Array, end: Array, size: Array) -> tuple[float, float] | None:
    """The part of a segment within the picture, as fractions from its start; ``None`` when there is none.

    The parametric clipping of Liang and Barsky, ACM Transactions on Graphics 3(1), 1984.
    """
    low, high = 0.0, 1.0
    for begin, step, limit in zip(start, end - start, size, strict=True):
        for away, room in ((-step, begin), (step, limit - begin)):
            if away == 0:
                if room < 0:
                    return None
            elif away < 0:
                low = max(low, room / away)
            else:
                high = min(high, room / away)
    return (low, high) if low < high else None


def _check_room(scope: _Scope, line: Line, path: Path, visible: tuple[float, float]) -> Iterator[Finding]:
    """Warn where the ground point of a box could hardly lie on one side."""
    start, end = scope.pixels(line.points)
    along = end - start
    right = np.array([-along[1], along[0]]) / np.hypot(*along)
    feet = start + np.linspace(*visible, _SAMPLES)[:, np.newaxis] * along
    least = LEAST_ROOM * scope.size[1]
    for side, direction, name in ((right, "b", line.a_to_b), (-right, "a", line.b_to_a)):
        if np.median(_room(feet, side, scope.size)) < least:
            called = f" ({name})" if name else ""
            wrong = f"along most of line {line.name} there is no room for an object on its side {direction}{called}"
            yield Finding(Level.WARNING, path, wrong, "move the line away from the picture's edge")


def _room(feet: Array, direction: Array, size: Array) -> Array:
    """How far one can go from points in a direction and still be where ground points are, shape (n,)."""
    room = np.full(len(feet), np.inf)
    lower = (0.0, HIGHEST_GROUND_POINT * size[1])
    for axis in (0, 1):
        step = direction[axis]
        if abs(step) > geometry.TINY:
            limit = size[axis] if step > 0 else lower[axis]
            room = np.minimum(room, (limit - feet[:, axis]) / step)
    return room


def _check_same_lines(scope: _Scope, where: Path) -> Iterator[Finding]:
    for (first, one), (second, other) in combinations(enumerate(scope.camera.lines), 2):
        a, b = scope.relative(one.points), scope.relative(other.points)
        if min(np.abs(a - b).max(), np.abs(a - b[::-1]).max()) <= SAME_LINE:
            wrong = f"lines {one.name} and {other.name} are the same line (number {first + 1} and {second + 1})"
            hint = "delete one; each line counts both directions by itself"
            yield Finding(Level.ERROR, (*where, "lines", second, "points"), wrong, hint)


# Zones


def _check_zone(scope: _Scope, zone: Zone, path: Path) -> Iterator[Finding]:
    yield from _check_density(scope.camera, zone, path)
    polygon_path = (*path, "polygon")
    relative, outline = scope.relative(zone.polygon), scope.pixels(zone.polygon)
    problem = _shape_problem(zone, relative)
    if problem is not None:
        yield Finding(Level.ERROR, polygon_path, *problem)
        return
    covered = _share_inside(relative)
    if covered == 0 or relative[:, 1].max() < HIGHEST_GROUND_POINT:
        wrong = f"zone {zone.name} lies where no object can stand: outside the picture"
        yield Finding(Level.ERROR, polygon_path, wrong, "draw it on the ground in the picture")
        return
    if relative.min() < -TOLERANCE or relative.max() > 1 + TOLERANCE:
        wrong = f"zone {zone.name} reaches outside the picture"
        yield Finding(
            Level.WARNING, polygon_path, wrong, "end it at the picture's edge, or its density will be too low"
        )
    edges = np.concatenate([np.linspace(a, b, _SAMPLES) for a, b in zip(outline, np.roll(outline, -1, 0), strict=True)])
    yield from _check_horizon(scope, edges, f"zone {zone.name}", polygon_path)


def _check_density(camera: Camera, zone: Zone, path: Path) -> Iterator[Finding]:
    """A density that was asked for and can't be known; its rule still has a number of people, written or usual."""
    crowd = zone.rules.crowd
    if crowd is None or crowd.per_m2 is None or camera.ground is not None:
        return
    wrong = f"zone {zone.name}: the density for crowd.per_m2 can't be known, the camera has no ground"
    if "people" in crowd.model_fields_set:
        hint = f"add ground, four points measured on the road; until then only {crowd.people} people start the event"
        yield Finding(Level.WARNING, (*path, "rules", "crowd", "per_m2"), wrong, hint)
    else:
        hint = "add ground, four points measured on the road, or write people in place of per_m2"
        yield Finding(Level.ERROR, (*path, "rules", "crowd", "per_m2"), wrong, hint)


def _shape_problem(zone: Zone, relative: Array) -> tuple[str, str] | None:
    crossing = geometry.crossing_edges(relative)
    if crossing is not None:
        first, second = crossing
        if first == second:
            return f"zone {zone.name} names the same corner twice (corner {first + 1})", "delete one of them"
        wrong = f"zone {zone.name}: the edge from corner {first + 1} crosses the edge from corner {second + 1}"
        return wrong, "list the corners in order around the zone"
    share = geometry.area(relative)
    if share < SMALLEST_ZONE:
        return f"zone {zone.name} is {share:.2%} of the picture, less than one object", "draw it larger"
    return None


def _share_inside(relative: Array) -> float:
    """The share of the picture's points, on a grid, that lie in a zone."""
    x, y = np.meshgrid((np.arange(96) + 0.5) / 96, (np.arange(54) + 0.5) / 54)
    return float(geometry.inside(np.stack([x.ravel(), y.ravel()], axis=1), relative).mean())


# The plane of the road


def _check_ground(scope: _Scope, where: Path) -> Iterator[Finding]:
    ground = scope.camera.ground
    if ground is None:
        return
    path = (*where, "ground", "points")
    image = scope.relative([point.image for point in ground.points])
    metres = np.array([point.metres for point in ground.points], np.float64)
    if not metres.any():
        yield Finding(Level.ERROR, path, "all ground points are at 0, 0 metres", "measure where each lies on the road")
        return
    twice = [*_twice(image, "the picture", path), *_twice(metres, "metres", path)]
    yield from twice
    if twice:
        return
    try:
        scope.ground = fit_ground(image, metres)
    except ConfigError as error:
        wrong, _, hint = str(error).partition("; ")
        yield Finding(Level.ERROR, path, wrong, hint)
        return
    if image.min() < -TOLERANCE or image.max() > 1 + TOLERANCE:
        wrong = "a ground point lies outside the picture, where nobody could have measured it"
        yield Finding(Level.WARNING, path, wrong, "take points that can be seen")


def _twice(points: Array, what: str, path: Path) -> Iterator[Finding]:
    for first, second in combinations(range(len(points)), 2):
        if np.abs(points[first] - points[second]).max() < geometry.TINY:
            wrong = f"ground points {first + 1} and {second + 1} are the same point in {what}"
            yield Finding(Level.ERROR, (*path, second), wrong, "measure each point once, or delete one")


def _check_horizon(scope: _Scope, points: Array, what: str, path: Path) -> Iterator[Finding]:
    if scope.ground is not None and not scope.ground.below_horizon(points / scope.size).all():
        wrong = f"the horizon of the calibrated road runs through {what}: parts of it are no road"
        yield Finding(Level.ERROR, path, wrong, "keep it below the horizon, or correct the ground points")


def errors_of(findings: Sequence[Finding]) -> list[Finding]:
    """Only those findings that can't work."""
    return [finding for finding in findings if finding.level is Level.ERROR]
