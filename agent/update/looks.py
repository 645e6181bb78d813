"""What the running pipeline tells of the model in charge, handed from its thread to the updater's.

Quick for the pipeline: a look is noted, and now and then one live frame is kept for the shadow, the newest only.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

from agent.update.golden import strong
from agent.update.refusal import Kind
from agent.update.trial import SURE_SCORE
from agent.update.watch import Gauge, Look, Usual, judge
from agent.values import Detections, Image

USUAL_SPAN_S: Final = 600.0
"""Over how long is measured what is usual."""
BUSY_PERIODS: Final = 10
"""A box that never rests still shows the shadow every tenth of the frames that it would see, so that it ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A live frame and what the model in charge saw in it."""

    image: Image
    found: Detections


class LiveLooks:
    """The looks of the model in charge of one slot; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gauge = Gauge(USUAL_SPAN_S)
        self._period_s: float | None = None
        self._due_s = 0.0
        self._live: Live | None = None
        self._failure: str | None = None

    def saw(self, image: Image, found: Detections, took_s: float, now_s: float, *, rested: bool) -> None:
        """Note a look.

        Args:
            image: uint8, shape (height, width, 3), BGR; not changed afterwards.
            found: What was seen.
            took_s: Seconds from pixels to detections.
            now_s: The present.
            rested: Whether there was nothing to do just before it.
        """
        with self._lock:
            self._gauge.saw(Look(now_s, took_s, len(strong(found, SURE_SCORE))))
            if self._period_s is None or now_s < self._due_s:
                return
            if rested or now_s >= self._due_s + (BUSY_PERIODS - 1) * self._period_s:
                self._live, self._due_s = Live(image, found), now_s + self._period_s

    def failed(self, why: str) -> None:
        """Note that the model in charge failed while it ran."""
        with self._lock:
            self._failure = why

    def failure(self) -> str | None:
        """Why it failed since the last call."""
        with self._lock:
            why, self._failure = self._failure, None
        return why

    def keep_live(self, period_s: float | None) -> None:
        """Keep a live frame each so many seconds from now on; ``None`` keeps none."""
        with self._lock:
            self._period_s, self._live = period_s, None

    def live(self) -> Live | None:
        """The live frame that was kept since the last call."""
        with self._lock:
            live, self._live = self._live, None
        return live

    def usual(self, budget_s: float) -> Usual:
        """What was usual until now; from here on another model is measured."""
        with self._lock:
            usual = self._gauge.usual(budget_s)
            self._gauge = Gauge(USUAL_SPAN_S)
            self._failure = None
        return usual

    def against(self, usual: Usual | None, budget_s: float, began_s: float, now_s: float) -> tuple[Kind, str] | None:
        """What speaks against the model in charge by now; see :func:`agent.update.watch.judge`."""
        before = Usual(None, None, budget_s) if usual is None else replace(usual, budget_s=budget_s)
        with self._lock:
            return judge(before, self._gauge, began_s, now_s)
