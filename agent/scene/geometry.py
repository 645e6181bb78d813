"""Plane geometry of lines and zones: the primitives under every count, over whole columns of points at once.

Coordinates are pixels with y pointing down, so the right-hand side of a walk from a line's start to its end has a
positive signed distance. Pure functions of arrays; nothing here knows of tracks, time or configuration.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

TINY: Final = 1e-12


def points(values: ArrayLike) -> Array:
    """Anything that reads as points, as float64 of shape (n, 2).

    Raises:
        ValueError: It does not read as pairs of numbers.
    """
    array = np.asarray(values, np.float64)
    if array.ndim == 1 and array.size == 2:
        array = array[np.newaxis, :]
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"expected points as pairs x, y, but the shape is {array.shape}")
    return array


def cross(first: ArrayLike, second: ArrayLike) -> Array:
    """The z of the cross product of plane vectors, broadcast over leading axes; positive turns right on a screen."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    product: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return product


def length(start: ArrayLike, end: ArrayLike) -> float:
    """The length of one segment."""
    return float(np.hypot(*(np.asarray(end, np.float64) - np.asarray(start, np.float64))))


def project(where: Array, start: ArrayLike, end: ArrayLike) -> tuple[Array, Array]:
    """Coordinates of points with respect to a line from start to end.

    Args:
        where: float64, shape (n, 2).
        start: x, y of the first point.
        end: x, y of the second point.

    Returns:
        Two columns of shape (n,): ``along``, the fraction of the segment (0 at start, 1 at end, beyond either
        outside it), and ``across``, the signed distance from the infinite line in the unit of the points, positive
        on the right-hand side.

    Raises:
        ValueError: The two points are the same.
    """
    base = np.asarray(start, np.float64)
    direction = np.asarray(end, np.float64) - base
    size = float(np.hypot(*direction))
    if size < TINY:
        raise ValueError("a line needs two different points")
    offset = where - base
    along: Array = offset @ direction / (size * size)
    return along, cross(direction, offset) / size


def segment_distance(where: Array, start: ArrayLike, end: ArrayLike) -> Array:
    """Distance from points, shape (n, 2), to the nearest point of a segment, shape (n,). The segment may be a point."""
    base = np.asarray(start, np.float64)
    direction = np.asarray(end, np.float64) - base
    square = float(direction @ direction)
    along = np.zeros(len(where)) if square < TINY else np.clip((where - base) @ direction / square, 0.0, 1.0)
    nearest = base + along[:, np.newaxis] * direction
    distance: Array = np.hypot(*(where - nearest).T)
    return distance


def intersection(a_start: Array, a_end: Array, b_start: ArrayLike, b_end: ArrayLike) -> tuple[Array, Array]:
    """Where segments a, shape (n, 2) each, meet one segment b.

    Returns:
        Two columns of shape (n,): the fraction along each a and along b at which the two meet; nan where they do
        not meet within both segments or are parallel.
    """
    a = a_end - a_start
    b0 = np.asarray(b_start, np.float64)
    b = np.asarray(b_end, np.float64) - b0
    turn = cross(a, b)
    scale = np.hypot(*a.T) * np.hypot(*b)
    parallel = np.abs(turn) <= TINY * np.maximum(scale, TINY)
    divisor = np.where(parallel, 1.0, turn)
    offset = b0 - a_start
    along_a = cross(offset, b) / divisor
    along_b = cross(offset, a) / divisor
    meets = ~parallel & (along_a >= 0) & (along_a <= 1) & (along_b >= 0) & (along_b <= 1)
    return np.where(meets, along_a, np.nan), np.where(meets, along_b, np.nan)


def inside(where: Array, polygon: ArrayLike) -> Mask:
    """Which points, shape (n, 2), lie in a polygon, shape (m, 2), by the even-odd rule; shape (n,).

    A point on an edge shared by two polygons belongs to exactly one of them.
    """
    corners = points(polygon)
    following = np.roll(corners, -1, axis=0)
    x, y = where[:, :1], where[:, 1:]
    straddles = (corners[:, 1] > y) != (following[:, 1] > y)
    rise = following[:, 1] - corners[:, 1]
    run = following[:, 0] - corners[:, 0]
    edge_x = corners[:, 0] + (y - corners[:, 1]) * run / np.where(rise == 0, 1.0, rise)
    odd: Mask = np.count_nonzero(straddles & (x < edge_x), axis=1) % 2 == 1
    return odd


def boundary_distance(where: Array, polygon: ArrayLike) -> Array:
    """Distance from points, shape (n, 2), to the nearest edge of a polygon, shape (n,)."""
    corners = points(polygon)
    following = np.roll(corners, -1, axis=0)
    distances = [segment_distance(where, a, b) for a, b in zip(corners, following, strict=True)]
    nearest: Array = np.stack(distances).min(axis=0)
    return nearest


def signed_area(polygon: ArrayLike) -> float:
    """The area by the shoelace formula, positive when the corners run clockwise on a screen (y down)."""
    corners = points(polygon)
    corners = corners - corners[0]  # near the origin the products keep their digits
    return float(np.sum(cross(corners, np.roll(corners, -1, axis=0)))) / 2


def area(polygon: ArrayLike) -> float:
    """The area of a simple polygon, in the square of its unit."""
    return abs(signed_area(polygon))


def segments_touch(first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]) -> bool:
    """Whether two segments share any point, overlap on one line included."""
    a0, a1 = (np.asarray(end, np.float64) for end in first)
    b0, b1 = (np.asarray(end, np.float64) for end in second)
    a, b = a1 - a0, b1 - b0
    sides = np.sign([cross(a, b0 - a0), cross(a, b1 - a0), cross(b, a0 - b0), cross(b, a1 - b0)])
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    lies = ((b0, a0, a1), (b1, a0, a1), (a0, b0, b1), (a1, b0, b1))
    return any(side == 0 and _within(*three) for side, three in zip(sides, lies, strict=True))


def _within(where: Array, start: Array, end: Array) -> bool:
    low, high = np.minimum(start, end), np.maximum(start, end)
    return bool(np.all((low <= where) & (where <= high)))


def crossing_edges(polygon: ArrayLike) -> tuple[int, int] | None:
    """The first pair of edges of a polygon that meet where they shouldn't; ``None`` when it is simple.

    Edge i runs from corner i to the next corner. Neighbouring edges share their corner and nothing else; an edge
    without length meets itself.
    """
    corners = points(polygon)
    count = len(corners)
    edges = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
    for i, (start, end) in enumerate(edges):
        if length(start, end) < TINY:
            return i, i
    for i, j in combinations(range(count), 2):
        if _edges_clash(edges, i, j):
            return i, j
    return None


def _edges_clash(edges: list[tuple[Array, Array]], i: int, j: int) -> bool:
    if j == i + 1:
        return _folds_back(edges[i], edges[j])
    if i == 0 and j == len(edges) - 1:
        return _folds_back(edges[j], edges[i])
    return segments_touch(edges[i], edges[j])


def _folds_back(first: tuple[Array, Array], second: tuple[Array, Array]) -> bool:
    """Whether an edge runs back over the one before it."""
    a, b = first[1] - first[0], second[1] - second[0]
    return bool(cross(a, b) == 0 and a @ b < 0)


def extent(polygon: ArrayLike) -> float:
    """The longest distance between two corners, which for a stretch of road is its length."""
    corners = points(polygon)
    apart = corners[:, np.newaxis] - corners
    return float(np.hypot(apart[..., 0], apart[..., 1]).max())
