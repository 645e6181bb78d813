"""What is usual for one zone at one hour: a small robust baseline, learned on the box.

It keeps a level and a spread for every hour of every weekday, and of every kind of special day in the calendar. One
unusual minute moves them hardly; a day is enough to begin with, because an hour that was never seen on this weekday
is judged by the same hour of the other days. Bounded: 24 hours times at most 7 weekdays and 16 kinds of days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

MOST_KINDS: Final = 16
ENOUGH: Final = 20
"""Minutes of an hour that must have been learned before it says what is usual."""
SLOWEST: Final = 1 / 600
"""Share by which a new minute counts in the long run: about ten weeks of one hour."""
OUTLIER: Final = 3.0
"""A minute moves the level by no more than this many spreads' worth."""
LEAST_SPREAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Level:
    """What is usual.

    Attributes:
        level: People, close to the median.
        spread: People, mean distance from it.
    """

    level: float
    spread: float


class Usual:
    """The baseline of one zone.

    Args:
        utc_offset_h: Local time minus UTC, hours.
        calendar: Kinds of special days by local date as ``YYYY-MM-DD``.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, utc_offset_h: float, calendar: Mapping[str, str], state: Mapping[str, Any]) -> None:
        self._offset = timedelta(hours=utc_offset_h)
        self._calendar = calendar
        self._hours: dict[str, list[float]] = {
            str(key): [float(each) for each in kept] for key, kept in state.items() if len(kept) == 3
        }

    def state(self) -> dict[str, list[float]]:
        """Number of minutes, level and spread by day and hour."""
        return {key: [round(each, 3) for each in kept] for key, kept in self._hours.items()}

    def learn(self, utc_s: float, people: float) -> None:
        """Take in one minute's mean."""
        day, hour = self._when(utc_s)
        key = f"{day}-{hour}"
        if key not in self._hours and len(self._hours) >= (7 + MOST_KINDS) * 24:
            return
        count, level, spread = self._hours.get(key, [0.0, people, LEAST_SPREAD])
        count += 1
        share = max(1 / count, SLOWEST)
        reach = OUTLIER * max(spread, LEAST_SPREAD) if count > ENOUGH else float("inf")
        off = min(max(people - level, -reach), reach)
        self._hours[key] = [min(count, 1 / SLOWEST), level + share * off, spread + share * (abs(off) - spread)]

    def at(self, utc_s: float) -> Level | None:
        """What is usual at a moment; ``None`` while too little is known."""
        day, hour = self._when(utc_s)
        own = self._hours.get(f"{day}-{hour}")
        if own is not None and own[0] >= ENOUGH:
            return Level(own[1], max(own[2], LEAST_SPREAD))
        if not day.isdigit():
            return None  # a market day is nothing like the days before it
        others = [kept for key, kept in self._hours.items() if _is_weekday_hour(key, hour) and kept[0] >= ENOUGH]
        if not others:
            return None
        busiest = max(others, key=lambda kept: kept[1])
        return Level(busiest[1], max(LEAST_SPREAD, *(kept[2] for kept in others)))

    def _when(self, utc_s: float) -> tuple[str, int]:
        local = datetime.fromtimestamp(utc_s, UTC) + self._offset
        return self._calendar.get(f"{local:%Y-%m-%d}", str(local.weekday())), local.hour


def _is_weekday_hour(key: str, hour: int) -> bool:
    day, _, of = key.rpartition("-")
    return day.isdigit() and of == str(hour)
