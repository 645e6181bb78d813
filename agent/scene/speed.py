"""Speed over the ground, from where a track was at which capture times.

Uses the times at which frames were captured, never an assumed frame rate. A speed is the slope of a straight line
through a track's positions on the road around a moment, as far before it as after it, made robust against single wild
ones. Positions of a box that is not whole say nothing. Who was not seen whole on both sides of the moment, or too
briefly, is looked for further before and after it; a track that was not seen whole for long enough has no speed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.scene.geometry import Array
from agent.scene.ground import Ground
from agent.scene.roster import Roster, Sight
from agent.scene.whole import seen_whole

WINDOW_S: Final = 0.8
"""Positions this far on either side of a moment speak for the speed at it: who brakes or starts does so evenly then."""
WIDE_S: Final = 1.6
"""So far for who is hidden at the moment: its mean speed from where it was whole before to where it is again after."""
FEWEST: Final = 4
SHORTEST_S: Final = 0.3
OUTLIER: Final = 3.0
"""Positions further from the fitted path than so many times the median distance are left out of a second fit."""


class Pace:
    """Speeds of one camera's tracks on its road."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._size = (1, 1)

    def see(self, sight: Sight) -> None:
        """Learn the size of the picture."""
        self._size = sight.size

    def metres(self, feet: Array) -> Array:
        """Where pixels lie on the road; nan at the horizon."""
        return self._ground.metres(feet / np.asarray(self._size, np.float64))

    def told(self, roster: Roster, slot: int, mono_s: float, now_s: float) -> bool:
        """Whether waiting longer tells no more of a track's speed at a moment: the path before it is forgotten else."""
        times, _ = roster.recent(np.array([slot]))
        after_s = now_s - mono_s
        return bool(after_s >= WIDE_S or (np.isfinite(times).all() and after_s >= mono_s - times.min()))

    def at_crossing(self, roster: Roster, slot: int, mono_s: float) -> float | None:
        """Speed of one track around a moment, metres per second; ``None`` when its path says too little."""
        times, feet = roster.recent(np.array([slot]))
        where = self.metres(feet[0])
        usable = seen_whole(roster, slot, self._size) & np.isfinite(where[:, 0])
        after_s, where = times[0][usable] - mono_s, where[usable]
        near, wide = np.abs(after_s) <= WINDOW_S, np.abs(after_s) <= WIDE_S
        wide = wide if _spans(after_s[wide]) else near
        # Seen on one side only, a thing is coming out from behind another, or about to vanish: the worst to go by.
        first, second = (near, wide) if _spans(after_s[near]) else (wide, near)
        speed = _robust_speed(after_s[first], where[first])
        return _robust_speed(after_s[second], where[second]) if speed is None else speed

    def now(self, sight: Sight) -> Array:
        """Speed of every track of a sight, metres per second, shape (n,); nan where its path says too little."""
        then, last, between_s = sight.roster.trail(sight.slots)
        speed: Array = np.hypot(*(self.metres(last) - self.metres(then)).T) / between_s
        return speed


def _spans(after_s: Array) -> bool:
    """Whether some sightings lie before a moment and some after it."""
    return bool((after_s <= 0).any() and (after_s >= 0).any())


def _robust_speed(times: Array, where: Array) -> float | None:
    if len(times) < FEWEST or np.ptp(times) < SHORTEST_S:
        return None
    order = np.argsort(times)
    times, where = times[order] - times.mean(), where[order]
    start, velocity = _line(times, where)
    off = np.hypot(*(where - start - times[:, np.newaxis] * velocity).T)
    keep = off <= OUTLIER * max(float(np.median(off)), 1e-9)
    return float(np.hypot(*_line(times[keep], where[keep])[1]))


def _line(times: Array, where: Array) -> tuple[Array, Array]:
    """Place at time 0 and velocity of the straight line through positions, by least squares."""
    design = np.stack([np.ones(len(times)), times], axis=1)
    start, velocity = np.linalg.lstsq(design, where, rcond=None)[0]
    return start, velocity


def velocity_px(sight: Sight) -> Array:
    """How every track moves in the picture, pixels per second, shape (n, 2); nan where its path says too little."""
    then, last, between_s = sight.roster.trail(sight.slots)
    velocity: Array = (last - then) / between_s[:, np.newaxis]
    return velocity
