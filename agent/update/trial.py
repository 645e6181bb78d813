"""The trial before trust: a candidate loads, sees what it must in the golden frames, and is quick enough on this box.

Pure but for the eyes it is handed. A candidate never passes for want of evidence: with no golden frames it must still
load, give finite numbers, and keep its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from agent.update.eyes import Eyes, OpenEyes, Subject
from agent.update.golden import Agreement, GoldenFrame, agreement, strong
from agent.update.refusal import UpdateError
from agent.values import Image

SURE_SCORE: Final = 0.35
"""From here on a detection is compared; weaker ones come and go with rounding."""
LEAST_RECALL: Final = 0.9
LEAST_PRECISION: Final = 0.9
_EDGE: Final = 0.1  # a detection this close to the border of being sure may be missing on another machine
_LOOKS: Final = 9  # an odd number, so that the median is a measured value
_NOISE: Final = 1.1  # two timings of one model on a busy box differ by so much
_GRACE_S: Final = 0.005  # the noise of timing, which matters for models of a few milliseconds


@dataclass(frozen=True, slots=True)
class Terms:
    """What a candidate must keep on this box.

    Attributes:
        budget_s: Longest time for a picture, from the rates its cameras ask for.
        max_slowdown_percent: Its time in per cent of that of the model in charge, at most.
    """

    budget_s: float
    max_slowdown_percent: int


@dataclass(frozen=True, slots=True)
class TrialReport:
    """What a passed trial measured.

    Attributes:
        agreement: With the golden frames.
        took_s: Median seconds for a picture.
        in_charge_took_s: The same of the model in charge.
    """

    agreement: Agreement
    took_s: float
    in_charge_took_s: float


class Trial:
    """Tries candidates.

    Args:
        open_eyes: Loads a model apart from the agent.
    """

    def __init__(self, open_eyes: OpenEyes) -> None:
        self._open = open_eyes

    def run(self, candidate: Subject, in_charge: Subject, golden: Sequence[GoldenFrame], terms: Terms) -> TrialReport:
        """Try one candidate.

        Args:
            candidate: The new model.
            in_charge: The model it would replace.
            golden: What it must see; may be empty.
            terms: What it must keep.

        Raises:
            UpdateError: It does not pass, and why.
        """
        pictures = [frame.image for frame in golden] or [_grey()]
        with closing(self._open(candidate)) as eyes:
            seen = _examine(eyes, golden)
            pace = _time(eyes, pictures)
        with closing(self._open(in_charge)) as eyes:
            before = _time(eyes, pictures)
        if _too_slow(pace, before, terms) is not None:  # the box may have been busy just then: a second look condemns
            with closing(self._open(candidate)) as eyes:
                pace = _time(eyes, pictures)
        if (why := _too_slow(pace, before, terms)) is not None:
            raise UpdateError("too_slow", why)
        return TrialReport(seen, pace.usual_s, before.usual_s)


def _examine(eyes: Eyes, golden: Sequence[GoldenFrame]) -> Agreement:
    """Hold what is seen against what is expected.

    A model that computes a little differently here may lift or drop a detection at the border of being sure. So one
    that is expected counts as seen from a little below the border, and one that is not counts as wrong from a little
    above it.

    Raises:
        UpdateError: Too much is missing, or invented (``golden_mismatch``).
    """
    missing, invented = Agreement(0, 0, 0), Agreement(0, 0, 0)
    for frame in golden:
        found = eyes.look(frame.image).found
        missing += agreement(frame.expected, strong(found, SURE_SCORE - _EDGE))
        invented += agreement(frame.expected, strong(found, SURE_SCORE + _EDGE))
    if missing.matched < LEAST_RECALL * missing.expected:
        raise UpdateError(
            "golden_mismatch", f"it sees {missing.matched} of {missing.expected} road users in the golden frames"
        )
    if invented.matched < LEAST_PRECISION * invented.seen:
        raise UpdateError(
            "golden_mismatch", f"it sees {invented.seen} road users in golden frames that show {invented.expected}"
        )
    return missing


@dataclass(frozen=True, slots=True)
class _Pace:
    """Seconds for a picture: the median, and the best, which other work on the box disturbs least."""

    usual_s: float
    best_s: float


def _time(eyes: Eyes, pictures: Sequence[Image]) -> _Pace:
    """Time some looks, after one to warm up."""
    eyes.look(pictures[0])
    taken = [eyes.look(pictures[turn % len(pictures)]).took_s for turn in range(_LOOKS)]
    return _Pace(median(taken), min(taken))


def _too_slow(pace: _Pace, before: _Pace, terms: Terms) -> str | None:
    """Why a candidate does not keep its time; ``None`` if it does.

    A box that is too slow for its cameras as it is asks no more of a candidate than to be no slower.
    """
    took = f"it takes {pace.usual_s * 1000:.0f} ms a picture"
    if pace.usual_s > max(terms.budget_s, before.usual_s * _NOISE):
        return f"{took}; this box's cameras leave {terms.budget_s * 1000:.0f} ms"
    if pace.best_s > before.best_s * terms.max_slowdown_percent / 100 + _GRACE_S:
        return f"{took}, the model in charge {before.usual_s * 1000:.0f} ms; {terms.max_slowdown_percent} % are allowed"
    return None


def _grey() -> Image:
    return np.full((720, 1280, 3), 114, np.uint8)
