"""The plane through what the detector's layers answer, on one side of which lie fights: logistic regression.

There are ten times as many answers as clips, so only the directions in which they vary most are used, each scaled to
vary alike, and the slope along each is held small (L. le Cessie, J. C. van Houwelingen, Ridge estimators in logistic
regression, 1992; solved by Newton's method).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DIRECTIONS: Final = 48
PULL: Final = 0.1
"""Half of this times the squared slope is added to the mean loss."""
_ROUNDS: Final = 25
_STEADY: Final = 1e-3
"""Added to each answer's spread: what hardly varies is no sign of anything."""


def fit_plane(seen: Array, fight: Array, *, directions: int = DIRECTIONS, pull: float = PULL) -> tuple[Array, float]:
    """Fit a plane.

    Args:
        seen: Shape (n, m): answers, a row a window.
        fight: bool, shape (n,).
        directions: How many are used.
        pull: How small slopes are held.

    Returns:
        Slopes, float64, shape (m,), and an offset: ``seen @ slopes + offset`` are log odds.
    """
    middle, spread = seen.mean(axis=0), seen.std(axis=0) + _STEADY
    alike = (seen - middle) / spread
    _, sizes, ways = np.linalg.svd(alike, full_matrices=False)
    base = ways[:directions].T / (sizes[:directions] / np.sqrt(len(seen)))
    slopes = _regress(alike @ base, fight.astype(np.float64), pull)
    whole = base @ slopes[:-1] / spread
    return whole, float(slopes[-1] - middle @ whole)


def _regress(values: Array, wanted: Array, pull: float) -> Array:
    """Slopes and, last, an offset, which is free."""
    rows = np.column_stack([values, np.ones(len(values))])
    held = np.diag([*[pull] * values.shape[1], 1e-9])
    slopes = np.zeros(rows.shape[1])
    for _ in range(_ROUNDS):
        odds = 1 / (1 + np.exp(-np.clip(rows @ slopes, -30, 30)))
        downhill = rows.T @ (odds - wanted) / len(rows) + held @ slopes
        bend = (rows * (odds * (1 - odds))[:, np.newaxis]).T @ rows / len(rows) + held
        slopes -= np.linalg.solve(bend, downhill)
    return slopes
