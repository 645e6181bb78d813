"""Passenger car units: what a vehicle of each class counts for on each type of road.

The factors are those of the Indonesian highway capacity manual MKJI 1997 (Direktorat Jenderal Bina Marga): tables
A-3:1 and A-3:2 of chapter 5 for urban roads, chapters 2 and 3 for junctions. docs/traffic-numbers.md says which of them
were compared with what. Who works by its successor, PKJI 2023, compares them with the tables there and puts what
differs into the configuration, which comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.errors import ConfigError
from agent.records import ClassName


@dataclass(frozen=True, slots=True)
class PcuTable:
    """The factors of one type of road.

    Attributes:
        name: Its name in configurations.
        what: The road it is for.
        factors: By class; a class that is missing is no part of the volume in PCU (pedestrians).
    """

    name: str
    what: str
    factors: Mapping[ClassName, float]

    def pcu(self, counts: Mapping[ClassName, int]) -> float:
        """A count by class in passenger car units."""
        return round(sum(self.factors.get(name, 0.0) * count for name, count in counts.items()), 3)


def _table(name: str, what: str, heavy: float, motorcycle: float) -> PcuTable:
    """A manual's row: light vehicles count 1; bicycles are side friction there, not traffic, and count 0."""
    factors: dict[ClassName, float] = {"motorcycle": motorcycle, "car": 1.0, "other": 1.0, "bus": heavy, "truck": heavy}
    return PcuTable(name, what, factors)


DEFAULT_ROAD: Final = "urban-divided"
TABLES: Final[Mapping[str, PcuTable]] = {
    table.name: table
    for table in (
        _table("urban-divided", "urban, divided or one way, from about 1050 vehicles an hour and lane", 1.2, 0.25),
        _table("urban-divided-light", "urban, divided or one way, fewer vehicles", 1.3, 0.40),
        _table("urban-undivided", "urban, two lanes two ways, over 6 m wide, from 1800 vehicles an hour", 1.2, 0.25),
        _table("urban-undivided-narrow", "the same, at most 6 m wide", 1.2, 0.35),
        _table("urban-undivided-light", "urban, two lanes two ways, over 6 m wide, fewer vehicles", 1.3, 0.40),
        _table("urban-undivided-narrow-light", "the same, at most 6 m wide", 1.3, 0.50),
        _table("signal-protected", "signalised junction, no conflict with oncoming traffic", 1.3, 0.20),
        _table("signal-opposed", "signalised junction, turning against oncoming traffic", 1.3, 0.40),
        _table("junction", "junction without signals", 1.3, 0.50),
    )
}


def table_for(road: str | None, custom: Mapping[str, Mapping[ClassName, float]]) -> PcuTable:
    """The table of a road type: one of the configuration's own, or one of the manuals'.

    Raises:
        ConfigError: There is none of that name.
    """
    name = road or DEFAULT_ROAD
    if name in custom:
        return PcuTable(name, "of the configuration", custom[name])
    if name in TABLES:
        return TABLES[name]
    known = ", ".join(sorted({*TABLES, *custom}))
    raise ConfigError(f"no PCU table is called {name!r}; write one of {known}, or add it under pcu")
