"""Which new track is a lost one that came a long way unseen: a rider who went past a bus in a queue.

The roster finds heirs near where a lost track was heading. This looks further: somebody of the same kind, lost for up
to three seconds, who would have come here at a speed between the one it had and the one it has now. Pure.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.scene.geometry import Array
from agent.scene.roster import Sight, cut
from agent.values import Ints, RoadUser

SAME_WAY: Final = 0.9
"""Cosine of the angle between the way it came unseen and the way it goes now, at least."""
LARGEST_CHANGE: Final = 0.9
"""Its box may have changed its size by so much, as a natural logarithm: by 2.5 times, coming nearer."""
WORST_MISFIT: Final = 0.5
"""Its mean speed unseen may be off the mean of before and after by this share of the faster of the two."""
_KIN: Final = {
    RoadUser.PERSON: 0,
    RoadUser.BICYCLE: 1,
    RoadUser.MOTORCYCLE: 1,
    RoadUser.CAR: 2,
    RoadUser.BUS: 2,
    RoadUser.TRUCK: 2,
    RoadUser.OTHER: 3,
}


def hidden_heirs(sight: Sight, lost: Ints) -> list[tuple[int, int]]:
    """Pairs (row, slot): the fresh track of that row most likely is the lost one of that slot.

    Args:
        sight: Now. A fresh track that is an heir already, or that comes in over the picture's edge, is left out.
        lost: Slots of tracks that are remembered but not seen; those that left over the edge are left out.
    """
    fresh = sight.fresh & ~cut(sight.boxes, sight.size)
    fresh[[row for row, _ in sight.heirs]] = False
    if not fresh.any():
        return []
    lost = lost[~cut(sight.roster.last_box(lost), sight.size)]
    pairs = []
    for row in fresh.nonzero()[0].tolist():
        misfits = _misfits(sight, row, lost)
        if not (misfits <= WORST_MISFIT).any():
            continue
        best = int(misfits.argmin())
        pairs.append((row, int(lost[best])))
        lost = np.delete(lost, best)
    return pairs


def _misfits(sight: Sight, row: int, lost: Ints) -> Array:
    """How badly a fresh track goes on for each lost one, shape (n,); infinite where it can't."""
    roster = sight.roster
    away_s = np.maximum(sight.at.mono_s - roster.last_seen_s(lost), 1e-3)
    mean = (sight.feet[row] - roster.last_foot(lost)) / away_s[:, np.newaxis]
    then, now = roster.velocity(lost), sight.velocities[row]
    fastest = np.maximum(np.maximum(np.hypot(*then.T), np.hypot(*now)), 1e-6)
    off: Array = np.hypot(*(mean - (then + now) / 2).T) / fastest
    kin = [_KIN[RoadUser(roster.class_of(slot))] for slot in lost.tolist()]
    same_kind = np.array(kin, np.int64) == _KIN[RoadUser(int(sight.classes[row]))]
    change = np.abs(np.log(sight.scale[row] / roster.last_size(lost)))
    same_way = (mean @ now > SAME_WAY * np.hypot(*mean.T) * np.hypot(*now)) & ((then * mean).sum(axis=1) >= 0)
    return np.where(same_kind & same_way & (change <= LARGEST_CHANGE), off, np.inf)
