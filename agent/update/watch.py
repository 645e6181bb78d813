"""The watch after a commit: the new model keeps its pace and keeps seeing, or it is taken back within a minute.

Pure: it is told of every look the new model takes, and compares with what was usual before. It judges by the model's
own looks, so that a camera that is lost, or an empty road, never counts against a model.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from agent.update.refusal import Kind

_WINDOW_S: Final = 40.0
_SETTLE_S: Final = 2.0  # loading and warming up are no sign of its pace
_LEAST_LOOKS: Final = 20
_LEAST_SLOW_LOOKS: Final = 3  # of a model that has no time for more
_FILLED_SHARE: Final = 0.5
_SLOWER: Final = 1.5  # beside the budget: a box that was late before is no fault of the model
_LEAST_EXPECTED: Final = 60.0  # road users in the window, before their absence means anything
_COLLAPSE_SHARE: Final = 0.1
_FLOOD: Final = 5.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What was usual before the commit.

    Attributes:
        took_s: Median seconds for a picture; ``None`` if nothing was looked at.
        seen_per_look: Mean road users in a picture; ``None`` if nothing was looked at.
        budget_s: What the cameras leave for a picture.
    """

    took_s: float | None
    seen_per_look: float | None
    budget_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the model in charge: when, how long it took, how many road users it surely saw."""

    at_s: float
    took_s: float
    seen: int


class Gauge:
    """The looks of the model in charge over the last minutes."""

    def __init__(self, span_s: float, most: int = 8192) -> None:
        self._span_s = span_s
        self._looks: deque[Look] = deque(maxlen=most)  # full: the oldest look is forgotten

    def saw(self, look: Look) -> None:
        """Note a look."""
        self._looks.append(look)
        while self._looks[0].at_s < look.at_s - self._span_s:
            self._looks.popleft()

    def since(self, at_s: float) -> list[Look]:
        """The looks from a moment on."""
        return [look for look in self._looks if look.at_s >= at_s]

    def usual(self, budget_s: float) -> Usual:
        """What is usual, from all looks it knows."""
        if not self._looks:
            return Usual(None, None, budget_s)
        looks = list(self._looks)
        seen = sum(look.seen for look in looks) / len(looks)
        return Usual(median(look.took_s for look in looks), seen, budget_s)


def judge(usual: Usual, gauge: Gauge, committed_s: float, now_s: float) -> tuple[Kind, str] | None:
    """What speaks against the new model by now; ``None`` while nothing does.

    Args:
        usual: What was usual before.
        gauge: The looks since the commit.
        committed_s: When it came into charge.
        now_s: The present, on the same clock.
    """
    since_s = max(committed_s + _SETTLE_S, now_s - _WINDOW_S)
    looks = gauge.since(since_s)
    if len(looks) < _LEAST_LOOKS and not _filled(looks, now_s - since_s):
        return None
    took_s = median(look.took_s for look in looks)
    if took_s > usual.budget_s and took_s > _SLOWER * (usual.took_s or 0.0):
        return (
            "rate_low",
            f"it takes {took_s * 1000:.0f} ms a picture; the cameras of this box leave {usual.budget_s * 1000:.0f} ms",
        )
    if usual.seen_per_look is None:
        return None
    seen, expected = sum(look.seen for look in looks), usual.seen_per_look * len(looks)
    told = f"it saw {seen} road users in {len(looks)} pictures where {expected:.0f} are usual"
    watched_long = now_s - committed_s >= _WINDOW_S
    if watched_long and expected >= _LEAST_EXPECTED and seen < _COLLAPSE_SHARE * expected:
        return "detections_collapsed", told
    if seen > _FLOOD * max(expected, _LEAST_EXPECTED):
        return "sees_more", told
    return None


def _filled(looks: list[Look], span_s: float) -> bool:
    """Whether looks are few because each takes so long, and not because there is little to look at."""
    spent_s = sum(look.took_s for look in looks)
    return len(looks) >= _LEAST_SLOW_LOOKS and span_s >= _SETTLE_S and spent_s >= _FILLED_SHARE * span_s
