"""How long after what it tells of an event may begin: so far back pictures must be in memory when it does."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from agent.config.schema import Camera
from agent.records import EventKind

USUAL_S: Final = 15.0
"""Most events begin no later."""
NAMED_S: Final = 12.0
"""A changed thing is told so long after it settled: looks are three seconds apart at most, and naming it takes five."""
_OF_A_THING: Final = frozenset[EventKind]({"asset_changed", "vandalism"})


def lateness_s(camera: Camera, on: Collection[EventKind]) -> float:
    """Seconds by which the latest events of a camera, of kinds that clips are kept for, follow what they tell of."""
    settle_s = [region.settle_s for region in camera.protected] if _OF_A_THING & {*on} else []
    return max([USUAL_S, *(each + NAMED_S for each in settle_s)])
