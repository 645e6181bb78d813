"""Level of service, A (free) to F (broken down), from density.

Thresholds of the Highway Capacity Manual 2000: for vehicles exhibit 23-2 (passenger cars per kilometre and lane), for
people on foot exhibit 18-3 (square metres per person). docs/traffic-numbers.md says with what they were compared.
"""

from __future__ import annotations

from typing import Final

from agent.records import LevelOfService

VEHICLES_PER_KM_LANE: Final[tuple[tuple[LevelOfService, float], ...]] = (
    ("A", 7.0),
    ("B", 11.0),
    ("C", 16.0),
    ("D", 22.0),
    ("E", 28.0),
)
"""The densest traffic at each level."""
SPACE_M2: Final[tuple[tuple[LevelOfService, float], ...]] = (
    ("A", 5.6),
    ("B", 3.7),
    ("C", 2.2),
    ("D", 1.4),
    ("E", 0.75),
)
"""The least space per person at each level."""


def of_vehicles(per_km_lane: float) -> LevelOfService:
    """The level of a density in passenger cars per kilometre and lane."""
    return next((level for level, most in VEHICLES_PER_KM_LANE if per_km_lane <= most), "F")


def of_walkers(per_m2: float) -> LevelOfService:
    """The level of a density in people per square metre."""
    return next((level for level, least in SPACE_M2 if per_m2 * least <= 1.0), "F")
