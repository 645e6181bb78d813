"""Says of which protected regions nothing can be said for long, because something stands in front of them.

A lorry that unloads is no trouble and a region behind people is seen again within seconds; what stands there for a
quarter of an hour is for a person to look at. Pure: it is told what is seen, and says one sentence for each region.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from agent.clock import Instant
from agent.scene.assets import SEEN

LONG_S: Final = 900.0
"""A region hidden for so long is told of."""
BACK_S: Final = 10.0
"""A region is in view again once it was seen for so long: boxes flicker."""
_TO_DO: Final = "have it moved away, or draw the region where it can be seen and send accept"


class Hidden:
    """What of one camera's protected regions is hidden, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, Instant] = {}
        self._last_s: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def note(self, region: str, seen: float, at: Instant) -> None:
        """Take in which share of a region is seen."""
        if seen < SEEN:
            since = self._since.setdefault(region, at)
            self._last_s[region] = at.mono_s
            if region not in self._told and at.mono_s - since.mono_s >= LONG_S:
                self._told[region] = _sentence(region, since)
        elif region in self._since and not 0 <= at.mono_s - self._last_s[region] < BACK_S:
            for each in (self._since, self._last_s, self._told):
                each.pop(region, None)

    @property
    def trouble(self) -> str:
        """A sentence for each region that is hidden for long; empty when none is."""
        return "; ".join(self._told.values())


def _sentence(region: str, since: Instant) -> str:
    clock = f"since {datetime.fromtimestamp(since.utc_s, UTC):%H:%M} UTC"
    long = clock if since.synced else f"for over {LONG_S / 60:.0f} minutes"
    return f"protected {region}: not judged, hidden by something that stands in front of it {long}; {_TO_DO}"
