"""Which detection may belong to which track, and how well it fits.

A pair's cost is the negative logarithm of how likely the detection is, given where the track should be by now: a
fast car that moved a full box length fits when the filter expected it or did not yet know the speed, although the
boxes do not overlap. Only pairs that lie near each other are ever looked at, so a thousand tracks stay cheap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.values import RoadUser
from agent.vision.kalman import Array, Beliefs, Rows, measurement_noise
from agent.vision.tracker_options import TrackerOptions

_SAME, _SLIP, _LEAP, _NEVER = 0, 1, 2, 3
_FAMILIES: Final = (
    {RoadUser.CAR, RoadUser.BUS, RoadUser.TRUCK},
    {RoadUser.BICYCLE, RoadUser.MOTORCYCLE},
)
_STRANGERS: Final = {RoadUser.CAR, RoadUser.BUS, RoadUser.TRUCK, RoadUser.OTHER}


def _kinship(one: RoadUser, other: RoadUser) -> int:
    """How a detector could take one class for the other."""
    if one == other:
        return _SAME
    if any({one, other} <= family for family in _FAMILIES):
        return _SLIP
    if RoadUser.PERSON in {one, other} and {one, other} & _STRANGERS:
        return _NEVER
    return _LEAP


_KINSHIP: Final = np.array([[_kinship(one, other) for other in RoadUser] for one in RoadUser])
#: Shape (classes, classes): detectors name both for one thing.
ALIKE: Final = _KINSHIP <= _SLIP


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs that may match: rows of the one side, rows of the other, costs; each of shape (p,)."""

    tracks: Rows
    detections: Rows
    costs: Array


def near_pairs(centres: Array, reach: Array, others: Array) -> tuple[Rows, Rows]:
    """Every pair whose centres differ by at most ``reach`` in x and in y.

    Args:
        centres: Shape (n, 2).
        reach: Of each centre, shape (n, 2).
        others: Shape (m, 2).

    Returns:
        Rows of ``centres`` and rows of ``others``, each of shape (p,). Found by a sweep over x, so far-away pairs
        cost nothing.
    """
    order = np.argsort(others[:, 0], kind="stable")
    sorted_x = others[order, 0]
    low = np.searchsorted(sorted_x, centres[:, 0] - reach[:, 0])
    high = np.searchsorted(sorted_x, centres[:, 0] + reach[:, 0], side="right")
    counts = high - low
    rows = np.repeat(np.arange(len(centres)), counts)
    starts = np.cumsum(counts) - counts
    columns = order[np.arange(len(rows)) - np.repeat(starts - low, counts)]
    close = np.abs(others[columns, 1] - centres[rows, 1]) <= reach[rows, 1]
    return rows[close], columns[close]


def _shared_area(boxes: Array, others: Array) -> Array:
    reach = (boxes[:, 2:] + others[:, 2:]) / 2 - np.abs(boxes[:, :2] - others[:, :2])
    sides = np.maximum(np.minimum(reach, np.minimum(boxes[:, 2:], others[:, 2:])), 0.0)
    area: Array = sides.prod(axis=1)
    return area


def overlaps(boxes: Array, others: Array) -> Array:
    """Intersection over union of row with row, shape (p,), of centre x, centre y, width, height, shape (p, 4)."""
    shared = _shared_area(boxes, others)
    union = boxes[:, 2:].prod(axis=1) + others[:, 2:].prod(axis=1) - shared
    share: Array = shared / union
    return share


def candidate_pairs(
    beliefs: Beliefs,
    track_classes: NDArray[np.int64],
    measured: Array,
    classes: NDArray[np.int64],
    options: TrackerOptions,
) -> Pairs:
    """All plausible pairs of n predicted tracks and m detections, with costs below ``new_object_cost``.

    The cost is half the squared Mahalanobis distance of the centres, plus the logarithm of the area of the
    prediction's uncertainty in squared box sizes, plus what a change of shape and of class costs. A pair whose boxes
    overlap by ``min_overlap`` stays possible at nearly the full price, because a box may jump when a part is hidden.

    Args:
        beliefs: Predictions for this moment.
        track_classes: Shape (n,).
        measured: Centre x, centre y, width, height, shape (m, 4).
        classes: Shape (m,).
        options: The tracker's numbers.
    """
    sizes = beliefs.sizes()
    variance = beliefs.place_var[:, :2] + measurement_noise(sizes, options)[:, None] ** 2
    vagueness = 0.5 * np.log(variance.prod(axis=1)) - 2.0 * np.log(sizes)
    slack = np.maximum(options.new_object_cost - vagueness, 0.0)
    reach = np.maximum(np.sqrt(2.0 * slack[:, None] * variance), 0.6 * beliefs.place[:, 2:])
    tracks, detections = near_pairs(beliefs.place[:, :2], reach, measured[:, :2])
    kinship = _KINSHIP[track_classes[tracks], classes[detections]]
    possible = kinship < _NEVER
    tracks, detections, kinship = tracks[possible], detections[possible], kinship[possible]
    predicted, found = beliefs.place[tracks], measured[detections]
    costs = (
        0.5 * ((found[:, :2] - predicted[:, :2]) ** 2 / variance[tracks]).sum(axis=1)
        + vagueness[tracks]
        + np.minimum(
            0.5 * (np.log(found[:, 2:] / predicted[:, 2:]) ** 2).sum(axis=1) / options.size_noise**2,
            options.size_cost_cap,
        )
        + np.array([0.0, options.class_slip_cost, options.class_leap_cost])[kinship]
    )
    overlap = overlaps(predicted, found)
    rescued = np.where(overlap >= options.min_overlap, options.new_object_cost - overlap, np.inf)
    costs = np.minimum(costs, rescued)
    fits = costs < options.new_object_cost
    return Pairs(tracks[fits], detections[fits], costs[fits])


def doubles(
    boxes: Array, classes: NDArray[np.int64], others: Array, other_classes: NDArray[np.int64], overlap: float
) -> tuple[Rows, Rows]:
    """Pairs of like classes whose boxes overlap by more than ``overlap``, which must be above a half."""
    rows, columns = near_pairs(boxes[:, :2], boxes[:, 2:] / 2, others[:, :2])
    alike = ALIKE[classes[rows], other_classes[columns]]
    rows, columns = rows[alike], columns[alike]
    same = overlaps(boxes[rows], others[columns]) > overlap
    return rows[same], columns[same]


def covered(
    weak: Rows, measured: Array, classes: NDArray[np.int64], stronger: NDArray[np.bool_], cover: float
) -> NDArray[np.bool_]:
    """Which weak detections are probably a part, or a vague outline, of something that was seen better.

    Args:
        weak: Rows in question, shape (k,), best first.
        measured: All detections, best first: centre x, centre y, width, height, shape (m, 4).
        classes: Shape (m,).
        stronger: Rows that count as better whatever their score, shape (m,); else the earlier row is the better.
        cover: Share of the smaller box that must be shared.

    Returns:
        Shape (k,).
    """
    hidden = np.zeros(len(weak), np.bool_)
    if not len(weak):
        return hidden
    reach = measured[weak, 2:] / 2 + measured[:, 2:].max(axis=0) / 2
    rows, others = near_pairs(measured[weak, :2], reach, measured[:, :2])
    mine = weak[rows]
    better = (mine != others) & (stronger[others] | (others < mine))
    better &= _KINSHIP[classes[mine], classes[others]] < _NEVER
    rows, mine, others = rows[better], mine[better], others[better]
    one, other = measured[mine], measured[others]
    smaller = np.minimum(one[:, 2:].prod(axis=1), other[:, 2:].prod(axis=1))
    hidden[rows[_shared_area(one, other) > cover * smaller]] = True
    return hidden
