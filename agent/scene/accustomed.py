"""What an alarm must beat on a camera: what has looked as much like a fight there lately, and was ordinary life.

People who walk past each other all day look like a fight now and then on one camera, and never on another. Each time
they do for long enough is an episode, whether it became an alarm or not; the next one must beat all but the highest of
the last hours. So the same life over and over makes ever fewer alarms, and one real fight makes the box no blinder to
the next one. Hours in which nobody was judged aren't counted. Bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.scene.rule import State

FIRST_S: Final = 20 * 60.0
"""Before so much time was judged too little is known of the camera …"""
REMEMBERED_S: Final = 25 * 3600.0
"""… and then so much counts."""
RANK: Final = 2
"""The second highest episode counts."""
ABOVE: Final = 0.01
HIGHEST: Final = 0.99
"""Whatever a camera is accustomed to, this is an alarm."""
LONGEST_STEP_S: Final = 0.5
"""A longer time between two moments was a gap."""


class Accustomed:
    """The level of one camera.

    Args:
        least: The level of a camera where nothing looks like a fight, 0 to 1.
        first: The level as long as too little is known.
        enter_s: An episode is what stays there for so long …
        leave_s: … and has been over for so long.
        kept_for: What the episodes hold for; others are forgotten.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(
        self, least: float, first: float, enter_s: float, leave_s: float, kept_for: str, state: Mapping[str, Any]
    ) -> None:
        self._least, self._first = least, first
        self._enter_s, self._leave_s, self._kept_for = enter_s, leave_s, kept_for
        kept = state if state.get("kept_for") == kept_for else {}
        self._judged_s = float(kept.get("judged_s", 0))
        self._episodes = [(float(at_s), float(peak)) for at_s, peak in kept.get("episodes", ())]
        self._last_s: float | None = None
        self._began_s: float | None = None
        self._above_s = self._peak = 0.0

    @property
    def level(self) -> float:
        """What a likeness must reach to be more than ordinary here."""
        least = self._least if self._judged_s >= FIRST_S else max(self._least, self._first)
        lately = sorted(peak for at_s, peak in self._episodes if self._judged_s - at_s <= REMEMBERED_S)
        if len(lately) < RANK:
            return least
        return max(least, min(HIGHEST, lately[-RANK] + ABOVE))

    def state(self) -> State:
        """For how long people were judged, and the episodes that may still count; empty when nobody ever was."""
        if not self._judged_s:
            return {}
        episodes = [[round(at_s, 1), round(peak, 3)] for at_s, peak in self._episodes]
        return {"kept_for": self._kept_for, "judged_s": round(self._judged_s, 1), "episodes": episodes}

    def learn(self, now_s: float, likeness: float) -> None:
        """Take in one moment of a steady clock; a likeness of 0 is told of nobody."""
        passed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if likeness > 0 and 0 < passed_s <= LONGEST_STEP_S:
            self._judged_s += passed_s
        if likeness >= self._least:
            if self._began_s is None:
                self._began_s, self._peak = now_s, 0.0
            self._peak, self._above_s = max(self._peak, likeness), now_s
        elif self._began_s is not None and now_s - self._above_s >= self._leave_s:
            if self._above_s - self._began_s >= self._enter_s:
                self._episodes = _without_those_that_never_count([*self._episodes, (self._judged_s, self._peak)])
            self._began_s = None


def _without_those_that_never_count(episodes: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out what two newer ones are as high as: it is never again the second highest of any last hours."""
    kept: list[tuple[float, float]] = []
    for at_s, peak in reversed(episodes):
        if episodes[-1][0] - at_s <= REMEMBERED_S and sum(newer >= peak for _, newer in kept) < RANK:
            kept.append((at_s, peak))
    return kept[::-1]
