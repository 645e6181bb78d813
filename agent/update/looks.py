"""What the running pipeline tells of the model in charge, handed from its thread to the updater's.

Quick for the pipeline: a look is noted, and now and then one live frame is kept for the shadow, the newest only.
"""

from __future__ import annotations

import threading
from collections import deque
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
FAILURES: Final = 3
FAILURES_SPAN_S: Final = 60.0
FAILING_S: Final = 10.0
"""One odd picture condemns nobody: a model fails when three looks do within a minute, or every look for ten seconds."""


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
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._failing_since_s: float | None = None
        self._why = ""

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
            self._failing_since_s = None
            self._gauge.saw(Look(now_s, took_s, len(strong(found, SURE_SCORE))))
            if self._period_s is None or now_s < self._due_s:
                return
            if rested or now_s >= self._due_s + (BUSY_PERIODS - 1) * self._period_s:
                self._live, self._due_s = Live(image, found), now_s + self._period_s

    def failed(self, why: str, now_s: float) -> None:
        """Note that the model in charge could not look at a picture."""
        with self._lock:
            self._why = why
            self._failures.append(now_s)
            if self._failing_since_s is None:
                self._failing_since_s = now_s

    def failure(self) -> str | None:
        """Why the model in charge fails; ``None`` while it does not, or only now and then."""
        with self._lock:
            if not self._failures:
                return None
            first_s, last_s = self._failures[0], self._failures[-1]
            often = len(self._failures) == FAILURES and last_s - first_s <= FAILURES_SPAN_S
            always = self._failing_since_s is not None and last_s - self._failing_since_s >= FAILING_S
            return self._why if often or always else None

    def forget_failures(self) -> None:
        """Another model is in charge: how the one before failed says nothing of it."""
        with self._lock:
            self._failures.clear()
            self._failing_since_s = None

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
        return usual

    def against(self, usual: Usual | None, budget_s: float, began_s: float, now_s: float) -> tuple[Kind, str] | None:
        """What speaks against the model in charge by now; see :func:`agent.update.watch.judge`."""
        before = Usual(None, None, budget_s) if usual is None else replace(usual, budget_s=budget_s)
        with self._lock:
            return judge(before, self._gauge, began_s, now_s)
