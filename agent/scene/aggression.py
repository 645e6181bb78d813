"""The event that people seem to attack each other or a protected thing: only when it looks so for seconds on end.

How much it looks so is judged elsewhere. The event names who was there by track number and where in the picture; it
is a reason for a person to look, never a verdict. When they move on or others join them it is told anew, so that nobody
is sent to where they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from agent.config.rules import Aggression as Settings
from agent.records import Body, Detail, Scalar
from agent.scene.accustomed import Accustomed
from agent.scene.episode import Episode
from agent.scene.roster import as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.values import Likeness

MOST_NAMED: Final = 8
"""Tracks named in one event; more are a brawl, whoever they are."""
MOVED: Final = 0.05
"""Of the picture's width or height: who is so far from where they were told to be is elsewhere."""
ELSEWHERE_S: Final = 2.0
"""It must have been so for so long: two groups that look alike take turns, and a track may change its number."""
WHY: Final = "violent movement of persons close to each other"
WHY_AT_A_THING: Final = "violent movement of a person at a protected thing"


class Aggression:
    """Watches one camera.

    Args:
        setting: Which.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, state: Mapping[str, Any]) -> None:
        self._wish = setting.camera.aggression
        wish = self._wish or Settings()
        kept = {} if self._wish is None else state  # what is switched off, the ledger ends
        self._episode = Episode(setting, "aggression", None, enter_s=wish.enter_s, leave_s=wish.leave_s, state=kept)
        learnt = as_state(kept.get("accustomed"))
        self._accustomed = Accustomed(
            wish.likeness, wish.first_likeness, wish.enter_s, wish.leave_s, _kept_for(setting, learnt), learnt
        )
        self._leave_s = wish.leave_s
        self._unjudged_s: float | None = None
        self._elsewhere_s: float | None = None

    def state(self) -> State:
        """The open event, and what this camera is accustomed to."""
        learnt = self._accustomed.state()
        return self._episode.state() | ({"accustomed": learnt} if learnt else {})

    def step(self, moment: Moment) -> list[Body]:
        """Start, update or end the event."""
        fight = moment.fight
        if self._wish is None:
            return []
        if fight is None:
            return self._go_unjudged(moment)
        self._unjudged_s = None
        level = self._wish.likeness
        if self._wish.learns:
            level = self._accustomed.level
            self._accustomed.learn(moment.at.mono_s, fight.value)
        details: dict[str, Detail] | None = None
        if fight.value >= level:
            named: list[Scalar] = list(fight.tracks[:MOST_NAMED])
            details = {
                "likeness": round(fight.value, 2),
                "level": round(level, 2),
                "tracks": named,
                "place": {"x": round(fight.place[0], 3), "y": round(fight.place[1], 3)},
                "why": WHY_AT_A_THING if fight.at_thing else WHY,
            }
        soon = self._has_moved_on(moment.at.mono_s, None if details is None else fight)
        confidence = min(1.0, fight.value)
        return list(self._episode.feed(moment.at, details, severity="alarm", confidence=confidence, soon=soon))

    def _has_moved_on(self, now_s: float, fight: Likeness | None) -> bool:
        """Whether it has been elsewhere, or with more persons, than was told last, for long enough."""
        if fight is None or not self._is_elsewhere(fight):
            self._elsewhere_s = None
            return False
        if self._elsewhere_s is None:
            self._elsewhere_s = now_s
        return now_s - self._elsewhere_s >= ELSEWHERE_S

    def _is_elsewhere(self, fight: Likeness) -> bool:
        place, tracks = self._episode.details.get("place"), self._episode.details.get("tracks")
        if not isinstance(place, dict) or not isinstance(tracks, list):
            return False
        away = max(abs(float(place[axis]) - value) for axis, value in zip("xy", fight.place, strict=True))
        return away >= MOVED or len(fight.tracks[:MOST_NAMED]) > len(tracks)

    def _go_unjudged(self, moment: Moment) -> list[Body]:
        """End an event from before a restart when frames come and nobody judges them: its model is refused now."""
        if moment.sight is None or not self._episode.is_open:
            return []
        if self._unjudged_s is None:
            self._unjudged_s = moment.at.mono_s
        if moment.at.mono_s - self._unjudged_s < self._leave_s:
            return []
        return [self._episode.end(moment.at, why="no longer judged: the clip model can't be used")]


def _kept_for(setting: Setting, learnt: Mapping[str, Any]) -> str:
    """What was learnt holds for this source and clip model; while that is refused, what was learnt waits for it."""
    if not setting.clip_model:
        return str(learnt.get("kept_for", ""))
    wish = setting.camera.aggression or Settings()
    what = f"{setting.camera.source} {setting.clip_model} {wish.likeness}"
    return hashlib.sha256(what.encode()).hexdigest()[:16]
