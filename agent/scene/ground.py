"""The plane of the road: from pixels to metres, by a homography.

Coordinates of points in the picture are relative to its size (0 to 1), so a calibration outlives a change of
resolution. Refuses what can't be a road seen by a camera: points on one line, a flipped plane, a horizon among them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from agent.errors import ConfigError
from agent.scene import geometry
from agent.scene.geometry import Array, Mask

LEAST_SPREAD: Final = 0.02
"""Points whose narrow extent is a smaller share of their wide one lie on a line for all purposes."""
WORST_CONDITION: Final = 1e6
"""A normalised system worse conditioned than this has no answer worth using."""
NEAREST_HORIZON: Final = 0.02
"""A point whose depth is a smaller share of the nearest calibration point's depth is at the horizon."""

PERSON_M: Final = 1.6
"""Height of a person, children and caps included; what is wanted is a scale, not a measurement."""
PERSON_STEP: Final = 0.005
"""Half the distance over which the width of a metre is judged, relative to the picture's width."""


class Ground:
    """The map from the picture to the road.

    Args:
        homography: float64, shape (3, 3), from relative picture coordinates to metres, of positive depth on the road.
        deepest: Depth (third homogeneous coordinate) of the calibration point nearest to the horizon.
    """

    def __init__(self, homography: Array, deepest: float) -> None:
        self._homography = homography
        self._least = deepest * NEAREST_HORIZON

    @property
    def homography(self) -> Array:
        """float64, shape (3, 3)."""
        return self._homography

    def metres(self, relative: Array) -> Array:
        """Where points of the picture lie on the road, shape (..., 2) each; nan at or above the horizon."""
        across = relative @ self._homography[:, :2].T + self._homography[:, 2]
        depth = across[..., 2:]
        below = depth > self._least
        metres: Array = np.where(below, across[..., :2] / np.where(below, depth, 1.0), np.nan)
        return metres

    def picture(self, metres: Array) -> Array:
        """The inverse of :meth:`metres`, shape (..., 2)."""
        back = np.linalg.inv(self._homography)
        across = metres @ back[:, :2].T + back[:, 2]
        relative: Array = across[..., :2] / across[..., 2:]
        return relative

    def horizon(self) -> Array:
        """Where the road ends at the left and at the right edge of the picture, shape (2, 2); nan if nowhere."""
        by_x, by_y, rest = self._homography[2]
        if abs(by_y) < geometry.TINY:
            return np.full((2, 2), np.nan)
        return np.array([(x, (self._least - rest - by_x * x) / by_y) for x in (0.0, 1.0)])

    def below_horizon(self, relative: Array) -> Mask:
        """Which points of the picture lie on the road, shape (n,)."""
        depth = relative @ self._homography[2, :2] + self._homography[2, 2]
        below: Mask = depth > self._least
        return below


def fit_ground(relative: ArrayLike, metres: ArrayLike) -> Ground:
    """The plane through four or more pairs of points, by least squares.

    Normalised direct linear transform: Hartley and Zisserman, Multiple View Geometry, 2nd edition, algorithm 4.2.

    Args:
        relative: Points of the picture, shape (n, 2), 0 to 1.
        metres: The same points on the road, shape (n, 2).

    Raises:
        ConfigError: The points can't be a road.
    """
    image, road = geometry.points(relative), geometry.points(metres)
    if len(image) != len(road) or len(image) < 4:
        raise ConfigError(f"ground needs four or more pairs of points, not {len(image)}; add points")
    _refuse_line(image, "in the picture")
    _refuse_line(road, "in metres")
    to_image, to_road = _normaliser(image), _normaliser(road)
    matrix = _equations(_apply(to_image, image), _apply(to_road, road))
    _, singular, rows = np.linalg.svd(matrix)
    if singular[7] <= singular[0] / WORST_CONDITION:
        raise ConfigError("three of the four ground points lie on one line; move one of them, or add a fifth")
    homography = np.linalg.inv(to_road) @ rows[-1].reshape(3, 3) @ to_image
    return _upright(homography, image, road)


def residuals_m(ground: Ground, relative: ArrayLike, metres: ArrayLike) -> Array:
    """How far each calibration point is from where the plane puts it, metres, shape (n,)."""
    off: Array = np.hypot(*(ground.metres(geometry.points(relative)) - geometry.points(metres)).T)
    return off


def _refuse_line(where: Array, what: str) -> None:
    wide, narrow = np.linalg.svd(where - where.mean(axis=0), compute_uv=False)[:2]
    if narrow <= LEAST_SPREAD * wide:
        raise ConfigError(f"the ground points lie on one line {what}; choose points that span an area of the road")


def _normaliser(where: Array) -> Array:
    centre = where.mean(axis=0)
    scale = np.sqrt(2) / np.hypot(*(where - centre).T).mean()
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1.0]])


def _apply(matrix: Array, where: Array) -> Array:
    moved: Array = where @ matrix[:2, :2].T + matrix[:2, 2]
    return moved


def _equations(image: Array, road: Array) -> Array:
    ones, zeros = np.ones((len(image), 1)), np.zeros((len(image), 3))
    flat = np.hstack([image, ones])
    for_x = np.hstack([flat, zeros, -road[:, :1] * flat])
    for_y = np.hstack([zeros, flat, -road[:, 1:] * flat])
    return np.vstack([for_x, for_y])


def _upright(homography: Array, image: Array, road: Array) -> Ground:
    """Give the homography the sign that makes depths positive, and refuse what no camera above a road can see."""
    depth = image @ homography[2, :2] + homography[2, 2]
    homography = homography * np.sign(depth[0]) / np.abs(depth).max()
    depth = image @ homography[2, :2] + homography[2, 2]
    if depth.min() <= 0:
        raise ConfigError("the ground points put the horizon between them; check which metres belong to which point")
    ground = Ground(homography, float(depth.min()))
    off = residuals_m(ground, image, road)
    extent = float(np.hypot(*np.ptp(road, axis=0)))
    if off.max() > 0.1 * extent:
        worst = int(off.argmax())
        raise ConfigError(
            f"ground point {worst + 1} is {off[worst]:.1f} m from where the others put it; measure it again"
        )
    return ground


def person_heights(ground: Ground, feet: Array, aspect: float) -> Array:
    """How high people who stand at some points should be in the picture, judged by how wide a metre is there.

    Good to a fifth for cameras that look down less than steeply: a metre across and a metre up are then alike.

    Args:
        ground: The plane of the road.
        feet: Points, relative to the picture, shape (n, 2).
        aspect: The picture's width by its height.

    Returns:
        Pairs of row and height, both relative to the picture's height, shape (m, 2): of the points on the road.
    """
    step = np.array([PERSON_STEP, 0.0])
    apart_m = np.hypot(*(ground.metres(feet + step) - ground.metres(feet - step)).T)
    known = np.isfinite(apart_m) & (apart_m > 0)
    heights = PERSON_M * aspect * 2 * PERSON_STEP / np.where(known, apart_m, 1.0)
    pairs: Array = np.stack([feet[:, 1], heights], axis=1)[known]
    return pairs
