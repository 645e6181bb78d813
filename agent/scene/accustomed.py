"""How much a camera's ordinary life looks like a fight, learnt on the box: an alarm must be more than that.

People who walk past each other all day look a little like a fight on one camera and not at all on another. So the level
of an alarm is the camera's own: what was seen but twice in the last hours in which people were close to each other.
Whoever beats it is rarer than that, by construction. Hours with nobody close teach nothing and aren't counted. Bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from agent.scene.rule import State

BLOCK_S: Final = 600.0
"""Of time that was judged, the highest likeness of so much is kept …"""
MOST_BLOCKS: Final = 150
"""… for so many of them: 25 hours in which people were close to each other."""
ENOUGH: Final = 6
"""Before one such hour is known nothing is concluded from it."""
RANK: Final = 2
"""The second highest counts: one real fight makes the box no blinder to the next."""
ABOVE: Final = 0.01
HIGHEST: Final = 0.99
LONGEST_STEP_S: Final = 0.5
"""A longer time between two moments was a gap."""


class Accustomed:
    """The level of one camera.

    Args:
        start: The level as long as too little is known, 0 to 1.
        least: It never goes below this one.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, start: float, least: float, state: Mapping[str, Any]) -> None:
        self._start, self._least = start, min(start, least)
        self._peaks: deque[float] = deque((float(each) for each in state.get("peaks", ())), MOST_BLOCKS)
        self._peak, self._judged_s = float(state.get("peak", 0)), float(state.get("judged_s", 0))
        self._last_s: float | None = None

    @property
    def level(self) -> float:
        """What a likeness must reach to be more than ordinary here."""
        if len(self._peaks) < ENOUGH:
            return self._start
        return min(HIGHEST, max(self._least, sorted(self._peaks)[-RANK] + ABOVE))

    def state(self) -> State:
        """What was learnt; empty when nothing was."""
        if not self._peaks and not self._judged_s:
            return {}
        peaks = [round(each, 3) for each in self._peaks]
        return {"peaks": peaks, "peak": round(self._peak, 3), "judged_s": round(self._judged_s, 1)}

    def learn(self, now_s: float, likeness: float) -> None:
        """Take in one moment of a steady clock; a likeness of 0 is told of nobody."""
        passed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if likeness <= 0 or not 0 < passed_s <= LONGEST_STEP_S:
            return
        self._judged_s += passed_s
        self._peak = max(self._peak, likeness)
        if self._judged_s >= BLOCK_S:
            self._peaks.append(self._peak)
            self._peak = self._judged_s = 0.0
