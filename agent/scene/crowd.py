"""Crowds: too many people in a zone, too dense, or many more than is usual at this hour.

``crowd`` starts when number or density reaches its level and ends well below it; ``surge`` compares with what the box
has learned of this hour. Both say how many, how dense, how many stand, and who comes and goes. Counts are smoothed
over some seconds, so that a person hidden for a moment changes nothing. Where people are so small or so many that the
zone is looked at a second time, closer, that count is the better one and takes the place of the tracks'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.config.rules import Crowd as Settings
from agent.config.rules import Surge
from agent.config.schema import Zone
from agent.records import Body, Detail, LevelOfService, Severity
from agent.scene import geometry
from agent.scene.episode import Episode
from agent.scene.places import Places
from agent.scene.roster import Sight, as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.usual import Usual
from agent.scene.values import SecondLook
from agent.values import RoadUser

SMOOTH_S: Final = 3.0
"""Counts are the median over so long."""
FLOW_S: Final = 60.0
"""Who came and went is told of the last minute."""
STANDS_KMH: Final = 1.5
"""Slower than this is standing: a third of a stroll."""
CLOSER_S: Final = 6.0
"""Second looks, about one a second, count by their median over so long …"""
FEWEST_LOOKS: Final = 2
"""… when there are so many of them; else the tracks count."""
HIDDEN_S: Final = 1.0
"""Somebody not observed for longer than this is not counted."""
UNUSUAL: Final = 4.0
"""A surge is this many spreads above what is usual."""
WALKING_M2: Final[tuple[tuple[LevelOfService, float], ...]] = (
    ("A", 3.25),
    ("B", 2.32),
    ("C", 1.39),
    ("D", 0.93),
    ("E", 0.46),
)
"""The least space per person of each level on a walkway (J. J. Fruin, Pedestrian Planning and Design, 1971)."""
QUEUING_M2: Final[tuple[tuple[LevelOfService, float], ...]] = (
    ("A", 1.21),
    ("B", 0.93),
    ("C", 0.65),
    ("D", 0.28),
    ("E", 0.19),
)
"""The same for people who stand and wait."""


def fruin(per_m2: float, *, standing: bool) -> LevelOfService:
    """Fruin's level of service of a density, for people who walk or who stand."""
    return next((level for level, least in (QUEUING_M2 if standing else WALKING_M2) if per_m2 * least <= 1.0), "F")


class _Zone:
    """One zone: its recent counts, and its events."""

    def __init__(self, setting: Setting, index: int, zone: Zone, state: Mapping[str, Any]) -> None:
        self.index, self.zone = index, zone
        self.crowd, self.surge = zone.rules.crowd, zone.rules.surge
        self._counts: deque[tuple[float, int, int]] = deque()
        self._moves: deque[tuple[float, int]] = deque()
        self._inside: set[int] = set()
        self._closer: deque[tuple[float, int]] = deque()
        self._minute: tuple[int, float, int] | None = None
        crowd, surge = self.crowd or Settings(), self.surge or Surge()
        self.usual = Usual(surge.utc_offset_h, surge.calendar, as_state(state.get("usual")))
        self.episodes = {
            "crowd": Episode(
                setting,
                "crowd",
                zone.name,
                enter_s=crowd.enter_s,
                leave_s=crowd.leave_s,
                update_s=crowd.update_s,
                state=as_state(state.get("crowd")),
            ),
            "surge": Episode(
                setting,
                "surge",
                zone.name,
                enter_s=surge.enter_s,
                leave_s=surge.leave_s,
                state=as_state(state.get("surge")),
            ),
        }

    def state(self) -> State:
        kept: State = {kind: episode.state() for kind, episode in self.episodes.items() if episode.is_open}
        if self.surge is not None:
            kept["usual"] = self.usual.state()
        return kept

    def see_closer(self, closer: SecondLook, outline: Any, size: tuple[int, int]) -> None:
        """Take in a second look."""
        feet = np.array(closer.feet, np.float64).reshape(-1, 2) * size
        self._closer.append((closer.at_s, int(geometry.inside(feet, outline).sum())))

    def counted(self, now_s: float, people: int, standing: int) -> tuple[int, int | None, str]:
        """The better of the two counts, how many of them stand if that is known, and which it is."""
        while self._closer and not 0 <= now_s - self._closer[0][0] <= CLOSER_S:
            self._closer.popleft()
        if len(self._closer) < FEWEST_LOOKS:
            return people, standing, "tracks"
        there = round(float(np.median([count for _, count in self._closer])))
        if 2 * people < there:
            return there, None, "tiles"
        # Who stands is known of those with a track; where these are most, the others are taken to do as they do.
        return there, round(standing / max(people, 1) * there), "tiles"

    def see(self, sight: Sight, inside: Any, kmh: Callable[[Sight], Any]) -> tuple[int, int]:
        """How many are there now, and how many of them stand, both smoothed; ``kmh`` is asked only about somebody."""
        recent = sight.at.mono_s - sight.roster.last_seen_s(sight.slots) <= HIDDEN_S
        here = inside & recent & (sight.classes == RoadUser.PERSON)
        slots = {int(each) for each in sight.ids[here]}
        now_s = sight.at.mono_s
        self._moves.extend((now_s, 1) for _ in slots - self._inside)
        self._moves.extend((now_s, -1) for _ in self._inside - slots)
        self._inside = slots
        standing = int((kmh(sight)[here] < STANDS_KMH).sum()) if slots else 0
        self._counts.append((now_s, len(slots), standing))
        for kept, seconds in ((self._counts, SMOOTH_S), (self._moves, FLOW_S)):
            while kept and now_s - kept[0][0] > seconds:
                kept.popleft()
        # Of thirty plain numbers this is ten times as fast as with arrays, and it is done for every frame.
        return round(median(each[1] for each in self._counts)), round(median(each[2] for each in self._counts))

    def flows(self) -> dict[str, Detail]:
        """Who came and who went within the last minute."""
        came = sum(1 for _, way in self._moves if way > 0)
        return {"came_per_min": came, "went_per_min": len(self._moves) - came}

    def learn(self, at: Instant, people: int) -> None:
        """Add to the open minute, and let the baseline have it when it is over."""
        minute = int(at.utc_s // 60)
        if self._minute is not None and self._minute[0] != minute:
            self.usual.learn(self._minute[0] * 60.0, self._minute[1] / self._minute[2])
            self._minute = None
        _, total, looks = self._minute or (minute, 0.0, 0)
        self._minute = (minute, total + people, looks + 1)


class Crowds:
    """Watches every zone that asks for it.

    Args:
        setting: Which camera.
        places: Who is where, and how fast.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, places: Places, state: Mapping[str, Any]) -> None:
        self._places = places
        self._zones = [
            _Zone(setting, index, zone, as_state(state.get(zone.name)))
            for index, zone in enumerate(setting.camera.zones)
            if zone.rules.crowd is not None or zone.rules.surge is not None
        ]

    def state(self) -> State:
        """Open events and baselines by zone."""
        return {each.zone.name: each.state() for each in self._zones}

    def step(self, moment: Moment) -> list[Body]:
        """Start, update and end crowds and surges."""
        if moment.sight is None or not self._zones:
            return []
        for each in self._zones:
            if moment.closer is not None and each.zone.name in moment.closer.zones:
                outline = self._places.polygon(each.index, moment.sight.size)
                each.see_closer(moment.closer, outline, moment.sight.size)
        inside = self._places.inside(moment.sight)
        return [event for each in self._zones for event in self._see(each, moment.sight, inside[:, each.index])]

    def _see(self, each: _Zone, sight: Sight, inside: Any) -> list[Body]:
        people, standing, by = each.counted(sight.at.mono_s, *each.see(sight, inside, self._places.kmh))
        details: dict[str, Detail] = {"people": people, "counted_by": by}
        if standing is not None:  # else too few have a track to say what people do
            details |= {"standing": standing, **each.flows()}
        per_m2 = self._density(each.index, people, sight.size)
        if per_m2 is not None:
            details["per_m2"] = round(per_m2, 2)
            details["level_of_service"] = fruin(per_m2, standing=2 * (standing or 0) > people)
        events: list[Body] = []
        if each.crowd is not None:
            share = _fill(each.crowd, people, per_m2)
            holds = share >= (each.crowd.release if each.episodes["crowd"].is_open else 1.0)
            severity: Severity = "alarm" if share >= each.crowd.alarm_at else "warning"
            events += each.episodes["crowd"].feed(sight.at, details if holds else None, severity=severity)
        if each.surge is not None:
            events += self._surge(each, each.surge, sight.at, people, details)
        return events

    def _surge(self, each: _Zone, wish: Surge, at: Instant, people: int, details: Mapping[str, Detail]) -> list[Body]:
        usual = each.usual.at(at.utc_s)
        told: dict[str, Detail] | None = None
        if usual is not None:
            over = people - usual.level
            needed = max(wish.least_people, UNUSUAL * usual.spread, (wish.times - 1) * usual.level)
            if over >= needed * (0.7 if each.episodes["surge"].is_open else 1.0):
                told = {**details, "usual": round(usual.level, 1)}
        if at.synced:  # without a clock nobody knows which hour it is
            each.learn(at, people)
        return list(each.episodes["surge"].feed(at, told))

    def _density(self, index: int, people: int, size: tuple[int, int]) -> float | None:
        """People per square metre; ``None`` without calibration."""
        if self._places.pace is None:
            return None
        outline = self._places.pace.metres(self._places.polygon(index, size))
        if not np.isfinite(outline).all():
            return None
        return people / max(float(geometry.area(outline)), 1e-6)


def _fill(wish: Settings, people: int, per_m2: float | None) -> float:
    """How full the zone is, relative to the nearest of its levels."""
    number = people / wish.people
    return number if per_m2 is None or wish.per_m2 is None else max(number, per_m2 / wish.per_m2)
