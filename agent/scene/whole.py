"""Which sightings of a track show all of it.

The middle of a box's lower edge is where something stands only when the box holds all of it. Where the picture's
edge cuts it, or something in front of it hides a part, the edge of the box is the edge of what can be seen, and moves
at half the speed, or with the other thing. Pure.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.scene.geometry import Array, Mask
from agent.scene.roster import Roster, cut

TOUCH: Final = 0.05
"""Boxes nearer than this share of a box's size touch: what hides a part of a thing ends where its box begins."""

MOST: Final = 0.7
"""An edge is hidden when so much of its length is."""


def seen_whole(roster: Roster, slot: int, size: tuple[int, int]) -> Mask:
    """Which of a track's last sightings, in the order of :meth:`Roster.recent`, show all of it.

    Args:
        roster: Holds its sightings and those of everybody else.
        slot: Whose.
        size: Of the picture, width and height in pixels.

    Returns:
        bool, shape (RECENT,): neither the picture's edge nor a box that stands in front cuts an edge of its box.
    """
    times, boxes = roster.sightings()
    known = np.isfinite(times[slot])
    whole: Mask = known & ~cut(boxes[slot], size)
    when = np.where(known, times[slot], np.inf)
    order = np.argsort(when)
    place = np.minimum(np.searchsorted(when[order], times), len(order) - 1)
    same = when[order][place] == times
    same[slot] = False
    others, column = same.nonzero()
    mine = order[place[others, column]]
    whole[mine[_hides(boxes[others, column], boxes[slot, mine])]] = False
    return whole


def _hides(others: Array, boxes: Array) -> Mask:
    """Which of some boxes stand in front of others, row by row, and cut one of their edges; both of shape (n, 4).

    An edge is cut when it is hidden over its length: beside a rider who hides the corner of a car all of it is seen.
    """
    span = boxes[:, 2:] - boxes[:, :2]
    reach = TOUCH * np.sqrt(span.prod(axis=1))[:, np.newaxis]
    shared = (np.minimum(others[:, 2:], boxes[:, 2:]) - np.maximum(others[:, :2], boxes[:, :2])) / span
    meets = ((others[:, :2] < boxes[:, 2:] + reach) & (others[:, 2:] > boxes[:, :2] - reach)).all(axis=1)
    at_side = (others[:, 0] <= boxes[:, 0] + reach[:, 0]) | (others[:, 2] >= boxes[:, 2] - reach[:, 0])
    cuts = (shared[:, 0] >= MOST) | ((shared[:, 1] >= MOST) & at_side)
    hides: Mask = (others[:, 3] > boxes[:, 3]) & meets & cuts
    return hides
