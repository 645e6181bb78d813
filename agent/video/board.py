"""What the reading thread of a live camera tells everybody else: one picture, and how the camera is.

The mailbox has one slot: a new picture replaces one that nobody took, and that one counts as dropped. Every answer
is worked out from the clock when it is asked for, so it is right even while the reading thread is stuck.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from agent.clock import Clock, Instant
from agent.values import Frame
from agent.video.source import CameraState, Phase
from agent.video.tally import Tally

ARRIVALS: Final = 64
"""Arrivals that the rate is measured over."""
LONGEST_PERIOD_S: Final = 10.0
"""A camera slower than one picture in so many seconds counts as frozen between two of them."""

SILENT: Final = "it keeps the connection open but sends no new pictures; look at the camera and its network"


class Board:
    """Shared between one reading thread and any number of askers."""

    def __init__(self, clock: Clock, stall_s: float, max_age_s: float, on_frame: Callable[[], None]) -> None:
        """Start a board that says ``connecting``.

        Args:
            clock: Whose time the answers are in.
            stall_s: Without a picture for so long, a connected camera is frozen.
            max_age_s: A picture older than this is not handed out any more.
            on_frame: Called in the reading thread after a picture was put.
        """
        self._clock, self._stall_s, self._max_age_s, self._on_frame = clock, stall_s, max_age_s, on_frame
        self._news = threading.Condition()
        self._slot: Frame | None = None
        self._arrivals_s: deque[float] = deque(maxlen=ARRIVALS)
        self._phase, self._since, self._reason = Phase.CONNECTING, clock.now(), ""
        self._last: Instant | None = None
        self._size_px: tuple[int, int] | None = None
        self._openings = 0
        self.tally = Tally()

    def opened(self) -> None:
        """The camera was opened; it is live only when a picture comes."""
        with self._news:
            self._openings += 1
            self._arrivals_s.clear()

    def arrived(self, arrival_s: float) -> None:
        """A new picture arrived, whether it will be used or not."""
        with self._news:
            self._arrivals_s.append(arrival_s)

    def put(self, frame: Frame) -> bool:
        """Put a good picture into the mailbox, and say whether the camera just became live with it."""
        with self._news:
            if self._slot is not None:
                self.tally.dropped += 1
            self._slot = frame
            returned = self._phase is not Phase.LIVE or self._stalled(frame.at)
            if returned:
                self._phase, self._since, self._reason = Phase.LIVE, frame.at, ""
            self._last = frame.at
            self._size_px = (frame.image.shape[1], frame.image.shape[0])
            self._news.notify_all()
        self._on_frame()
        return returned

    def fail(self, phase: Phase, reason: str) -> bool:
        """The camera is lost or frozen, and what waits in the mailbox is void; say whether that is news."""
        with self._news:
            if self._slot is not None:
                # Handed out now, it would look like the camera's return.
                self.tally.dropped += 1
                self._slot = None
            news = (self._phase, self._reason) != (phase, reason)
            if self._phase is not phase:
                already_down = self._phase in {Phase.LOST, Phase.FROZEN}
                # Since when no good picture came: the moment of the last one, however the trouble shows itself.
                self._since = self._since if already_down else self._last or self._clock.now()
            self._phase, self._reason = phase, reason
            return news

    def end(self) -> None:
        """Nothing more will come, and what is in the mailbox is void."""
        with self._news:
            self._slot = None
            self._phase, self._since, self._reason = Phase.ENDED, self._clock.now(), ""
            self._news.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """Take the newest picture, waiting for one at most so long; never one that is too old to be live."""
        with self._news:
            if self._slot is None and timeout_s > 0:
                self._news.wait_for(lambda: self._slot is not None or self._phase is Phase.ENDED, timeout_s)
            frame, self._slot = self._slot, None
            if frame is None:
                return None
            limit_s = max(self._max_age_s, 2 * self._period_s())
            if self._clock.now().mono_s - frame.at.mono_s > limit_s:
                self.tally.dropped += 1
                return None
            return frame

    def state(self) -> CameraState:
        """How the camera is at this moment."""
        with self._news:
            now = self._clock.now()
            phase, since, reason = self._phase, self._since, self._reason
            if phase is Phase.LIVE and self._last is not None and self._stalled(now):
                phase, since, reason = Phase.FROZEN, self._last, SILENT
            return CameraState(
                phase=phase,
                since=since,
                reason=reason,
                source_fps=self._fps() if phase in {Phase.LIVE, Phase.CONNECTING} else 0.0,
                frames=self.tally.frames,
                dropped=self.tally.dropped,
                damaged=self.tally.damaged,
                reconnects=max(0, self._openings - 1),
                frame_age_s=None if self._last is None else max(0.0, now.mono_s - self._last.mono_s),
                width_px=None if self._size_px is None else self._size_px[0],
                height_px=None if self._size_px is None else self._size_px[1],
                read_s=self.tally.read_s,
                decode_cpu_s=self.tally.decode_cpu_s,
            )

    def _stalled(self, now: Instant) -> bool:
        limit_s = max(self._stall_s, 2 * self._period_s())
        return self._last is not None and now.mono_s - self._last.mono_s > limit_s

    def _period_s(self) -> float:
        fps = self._fps()
        return min(1 / fps, LONGEST_PERIOD_S) if fps else 0.0

    def _fps(self) -> float | None:
        if len(self._arrivals_s) < 2:
            return None
        span_s = self._arrivals_s[-1] - self._arrivals_s[0]
        return (len(self._arrivals_s) - 1) / span_s if span_s > 0 else None
