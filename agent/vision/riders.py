"""Joins riders to their motorcycles and bicycles, for models that see the two apart.

Road authorities count a motorcycle with its riders as one motorcycle and its rider as no pedestrian. A person is
taken for a rider when the body stands over the machine and the feet above its wheels' lowest point; everybody else
stays a pedestrian. Promises that every machine that went in comes out, and that each person rides at most one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.values import Bools, Detections, Floats, RoadUser

RIDERS_LIMIT: Final = 4
"""Riders on one machine; a family on one motorcycle is an everyday sight."""

# Geometry of a rider relative to the machine's box, and scores relative to each other. Chosen on street cameras with
# two general detectors: without the score rules, faint ghosts of persons and bicycles spoil good boxes.
_SIDE_REACH: Final = 0.15  # the rider's middle may lie so far outside the machine's sides, in machine widths
_FEET_ABOVE: Final = 0.02  # the feet end at least so far above the wheels' lowest point, in machine heights
_SEAT_DEPTH: Final = 0.25  # and reach at least so deep into the machine from its top, in machine heights
_TALLEST: Final = 2.0  # a rider's height at most, in machine heights
_SHORTEST: Final = 0.45  # and at least
_RIDER_SCORE: Final = 0.6  # a rider's score at least, in scores of the machine
_MACHINE_SCORE: Final = 0.4  # a machine's score at least, in scores of the rider


def join_riders(found: Detections) -> Detections:
    """Make each machine and its riders one machine.

    Args:
        found: Detections of a model that boxes riders and machines apart.

    Returns:
        The machines with boxes that cover their riders too, and everything else but the riders; order is kept.
    """
    persons = (found.classes == RoadUser.PERSON).nonzero()[0]
    machines = ((found.classes == RoadUser.BICYCLE) | (found.classes == RoadUser.MOTORCYCLE)).nonzero()[0]
    if not len(persons) or not len(machines):
        return found
    fits = _rides(found.boxes[persons], found.boxes[machines])
    fits &= _equally_sure(found.scores[persons], found.scores[machines])
    distance = np.where(fits, _distance(found.boxes[persons], found.boxes[machines]), np.inf)
    boxes = found.boxes.copy()
    kept: Bools = np.ones(len(found), np.bool_)
    riders = np.zeros(len(machines), np.int64)
    for row in np.argsort(distance.min(axis=1), kind="stable"):  # the surest riders choose first
        machine = int(distance[row].argmin())
        if np.isinf(distance[row, machine]):
            break
        if riders[machine] == RIDERS_LIMIT:
            continue
        riders[machine] += 1
        kept[persons[row]] = False
        target = boxes[machines[machine]]
        target[:2] = np.minimum(target[:2], found.boxes[persons[row], :2])
        target[2:] = np.maximum(target[2:], found.boxes[persons[row], 2:])
    return Detections(boxes, found.scores, found.classes).select(kept)


def _rides(persons: Floats, machines: Floats) -> Bools:
    """Whether each person may ride each machine, by geometry alone; bool, shape (persons, machines)."""
    width = machines[:, 2] - machines[:, 0]
    height = np.maximum(machines[:, 3] - machines[:, 1], 1e-3)
    middle = (persons[:, 0:1] + persons[:, 2:3]) / 2
    reach = _SIDE_REACH * width
    over = (middle > machines[:, 0] - reach) & (middle < machines[:, 2] + reach)
    feet = (persons[:, 3:4] - machines[:, 1]) / height  # 0 at the machine's top, 1 at the ground
    higher = persons[:, 1:2] < machines[:, 1]
    tall = (persons[:, 3:4] - persons[:, 1:2]) / height
    fits: Bools = over & (feet > _SEAT_DEPTH) & (feet < 1 - _FEET_ABOVE) & higher
    fits &= (tall > _SHORTEST) & (tall < _TALLEST)
    return fits


def _equally_sure(persons: Floats, machines: Floats) -> Bools:
    """Whether neither is a ghost beside the other, by their scores; bool, shape (persons, machines)."""
    sure: Bools = (persons[:, None] >= _RIDER_SCORE * machines) & (machines >= _MACHINE_SCORE * persons[:, None])
    return sure


def _distance(persons: Floats, machines: Floats) -> Floats:
    """How far each person's middle is from each machine's, sideways, in machine widths; shape (persons, machines)."""
    width = np.maximum(machines[:, 2] - machines[:, 0], 1e-3)
    middle = (persons[:, 0:1] + persons[:, 2:3]) / 2
    sideways: Floats = np.abs(middle - (machines[:, 0] + machines[:, 2]) / 2) / width
    return sideways
