"""Who was near a place lately: track numbers, classes, when and for how long; never more than that about anybody.

Bounded by number and by age. A track that was lost and found under a new number is two visitors: an event that names
both is right, one that takes them for one person may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.clock import Instant
from agent.records import Scalar, utc_text
from agent.scene.geometry import Array
from agent.scene.roster import Sight
from agent.values import CLASS_NAMES

NEAR: Final = 0.25
"""Near is within this share of the place's longer side …"""
LEAST_NEAR: Final = 0.02
"""… and at least this share of the picture's width."""
MOST: Final = 32
"""Visitors remembered of one place, the latest."""
NAMED: Final = 5
BEFORE_S: Final = 120.0
"""Who left longer before than this is not named."""
GAP_S: Final = 2.0
"""Sightings further apart add no dwell."""


@dataclass(slots=True)
class Visitor:
    """Somebody who was near.

    Attributes:
        track: Its number.
        category: What it is.
        first: When it came.
        last: When it was last there.
        dwell_s: How long it was there altogether.
    """

    track: int
    category: str
    first: Instant
    last: Instant
    dwell_s: float = 0.0


class Visitors:
    """Those near one place.

    Args:
        outline: The place, shape (n, 2), relative to the picture.
    """

    def __init__(self, outline: Array) -> None:
        low, high = outline.min(axis=0), outline.max(axis=0)
        room = max(LEAST_NEAR, NEAR * float((high - low).max()))
        self._box = np.concatenate([low - room, high + room])
        self._who: dict[int, Visitor] = {}

    def see(self, sight: Sight) -> None:
        """Note whose box touches the place."""
        if not len(sight):
            return
        left, top, right, bottom = (self._box * (*sight.size, *sight.size)).tolist()
        boxes = sight.boxes
        near = (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)
        for row in (near & sight.observed).nonzero()[0].tolist():
            self._note(int(sight.ids[row]), CLASS_NAMES[int(sight.classes[row])], sight.at)

    def _note(self, track: int, category: str, at: Instant) -> None:
        who = self._who.pop(track, None) or Visitor(track, category, at, at)
        gap_s = at.mono_s - who.last.mono_s
        who.dwell_s += gap_s if 0 <= gap_s <= GAP_S else 0.0
        who.category, who.last = category, at
        self._who[track] = who
        while len(self._who) > MOST:
            del self._who[next(iter(self._who))]

    def before(self, onset: Instant) -> list[dict[str, Scalar]]:
        """Who was there shortly before a moment or at it: those who stayed longest first."""
        near = [
            who
            for who in self._who.values()
            if who.first.mono_s <= onset.mono_s + GAP_S and who.last.mono_s >= onset.mono_s - BEFORE_S
        ]
        near.sort(key=lambda who: (-who.dwell_s, who.track))
        return [
            {
                "track": who.track,
                "class": who.category,
                "from": utc_text(who.first.utc_s),
                "to": utc_text(who.last.utc_s),
                "dwell_s": round(who.dwell_s, 1),
            }
            for who in near[:NAMED]
        ]
