"""Carrying what was drawn over to a view that has moved, and saying what doesn't fit into it any more.

A shift is a homography, row by row, from the view that they were drawn on to the one that is seen now, both relative
to the picture. Pure; the shift is measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from agent.config.schema import Camera, Zone
from agent.records import Detail
from agent.scene import geometry
from agent.scene.geometry import Array, Mask

Shift: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
STAYED: Final[Shift] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LEAST_LEFT: Final = 0.9
"""Share of a line or zone that must still be in the picture: what passes beside it would go uncounted."""
MOST_HIDDEN: Final = 0.25
"""A protected region of which a larger share lies outside of the picture can't be judged."""
_SAMPLES: Final = 101
_GRID: Final = 64


def carry(camera: Camera, shift: Shift) -> Camera:
    """The camera's configuration with everything that was drawn moved to where it is seen now."""
    if shift == STAYED:
        return camera
    unit = np.asarray(camera.frame_size or (1, 1), np.float64)

    def points(given: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
        return tuple((float(x), float(y)) for x, y in moved(np.asarray(given, np.float64) / unit, shift) * unit)

    def zone(given: Zone) -> Zone:
        along = given.rules.wrong_way
        way = None if along is None else along.model_copy(update={"along": points(along.along)})
        rules = given.rules.model_copy(update={"wrong_way": way})
        return given.model_copy(update={"polygon": points(given.polygon), "rules": rules})

    update: dict[str, Any] = {
        "lines": tuple(line.model_copy(update={"points": points(line.points)}) for line in camera.lines),
        "zones": tuple(zone(each) for each in camera.zones),
        "protected": tuple(
            region.model_copy(update={"polygon": points(region.polygon)}) for region in camera.protected
        ),
    }
    if camera.ground is not None:
        images = points([each.image for each in camera.ground.points])
        pairs = zip(camera.ground.points, images, strict=True)
        ground = tuple(point.model_copy(update={"image": image}) for point, image in pairs)
        update["ground"] = camera.ground.model_copy(update={"points": ground, "lanes": None})
    return camera.model_copy(update=update)


def out_of_view(drawn: Camera, carried: Camera) -> str | None:
    """The first line or zone that a shift pushed out of the picture, by its kind and name; ``None`` when all are in.

    What lay outside already when it was drawn is not asked back.
    """
    unit = np.asarray(drawn.frame_size or (1, 1), np.float64)
    for before, after in zip(drawn.lines, carried.lines, strict=True):
        if _lost(*(_along(np.asarray(each.points) / unit) for each in (before, after))):
            return f"line {before.name}"
    x, y = np.meshgrid(np.linspace(-0.5, 1.5, _SAMPLES), np.linspace(-0.5, 1.5, _SAMPLES))
    grid = np.stack([x.ravel(), y.ravel()], axis=1)
    for was, now in zip(drawn.zones, carried.zones, strict=True):
        inside = [grid[geometry.inside(grid, np.asarray(each.polygon) / unit)] for each in (was, now)]
        if len(inside[0]) and _lost(*inside):
            return f"zone {was.name}"
    return None


def out_of_picture(camera: Camera) -> tuple[str, ...]:
    """The protected regions that can't be watched where they lie now: too much of each is outside of the picture."""
    unit = np.asarray(camera.frame_size or (1, 1), np.float64)
    outlines = {region.name: np.asarray(region.polygon, np.float64) / unit for region in camera.protected}
    return tuple(name for name, outline in outlines.items() if hidden_share(outline) > MOST_HIDDEN)


def hidden_share(outline: Array) -> float:
    """Share of a polygon, shape (n, 2), relative to the picture, that lies outside of the picture."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    x, y = np.meshgrid(*(np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    mine = points[geometry.inside(points, outline)]
    return 1.0 - float(_visible(mine).mean()) if len(mine) else 0.0


def moved(relative: Array, shift: Shift) -> Array:
    """Where points of the drawn view, shape (n, 2), relative to the picture, are seen now."""
    matrix = np.array(shift).reshape(3, 3)
    across = relative @ matrix[:, :2].T + matrix[:, 2]
    seen: Array = across[:, :2] / across[:, 2:]
    return seen


def told(shift: Shift) -> dict[str, Detail]:
    """A shift in words for an event: of the picture's middle, in shares of it, turned and zoomed."""
    middle, right = moved(np.array([(0.5, 0.5), (0.51, 0.5)]), shift)
    way = right - middle
    return {
        "shift_x": round(float(middle[0] - 0.5), 3),
        "shift_y": round(float(middle[1] - 0.5), 3),
        "turn_deg": round(float(np.degrees(np.arctan2(way[1], way[0]))), 1),
        "zoom": round(float(np.hypot(*way)) / 0.01, 3),
    }


def _lost(before: Array, after: Array) -> bool:
    was, now = (float(_visible(each).mean()) if len(each) else 0.0 for each in (before, after))
    return now < LEAST_LEFT * was


def _along(ends: Array) -> Array:
    return np.linspace(ends[0], ends[1], _SAMPLES)


def _visible(relative: Array) -> Mask:
    within: Mask = np.all((relative >= 0) & (relative <= 1), axis=1)
    return within
