"""Shares one detector among many cameras.

Each camera asks for a number of detections a second. While there is time for all, each gets what it asks for; when
there is not, each gets the same share of it, and none waits for ever. Pure policy: it is told the time, starts
nothing, and keeps a bounded memory of what was done.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

WINDOW_S: Final = 10.0
"""Over how long the achieved rate is measured: long enough to be steady, short enough to show a stall."""


@dataclass(slots=True)
class _Camera:
    """What is known of one camera.

    ``due_s`` is when its next detection should start; it may lag behind the present by one period at most once a
    detection has started, so that a camera that was away or starved gets no burst.
    """

    period_s: float
    due_s: float = -math.inf
    done_s: deque[float] = field(default_factory=deque)
    since_s: float | None = None

    def lateness(self, now_s: float) -> float:
        """How many of its own periods it is behind; negative when it is not due yet."""
        return (now_s - self.due_s) / self.period_s


def _camera(rate: float, window_s: float) -> _Camera:
    return _Camera(1 / rate, done_s=deque(maxlen=math.ceil(2 * rate * window_s) + 2))


class FairShare:
    """Decides whose frame is next.

    Args:
        detect_fps: Detections a second each camera asks for, by camera.
        window_s: Over how long the achieved rate is measured.

    Raises:
        ValueError: A rate is not a positive number.
    """

    def __init__(self, detect_fps: Mapping[str, float], window_s: float = WINDOW_S) -> None:
        for camera, rate in detect_fps.items():
            if not (0 < rate < math.inf):
                raise ValueError(f"camera {camera!r} asks for {rate} detections a second; give a positive number")
        self._window_s = window_s
        self._cameras = {camera: _camera(rate, window_s) for camera, rate in detect_fps.items()}

    def ask(self, camera: str, detect_fps: float) -> None:
        """A camera asks for another rate from now on; what it reached is measured anew."""
        if self._cameras[camera].period_s != 1 / detect_fps:
            self._cameras[camera] = _camera(detect_fps, self._window_s)

    def next(self, ready: Iterable[str], now_s: float, limit: int = 1) -> list[str]:
        """Choose the cameras whose waiting frames are looked at now.

        Args:
            ready: Cameras with a frame waiting.
            now_s: Seconds on the monotonic clock.
            limit: How many at most: the detector's batch.

        Returns:
            The cameras that are furthest behind, furthest first; empty when none is due.
        """
        due = [name for name in ready if self._cameras[name].lateness(now_s) >= 0]
        due.sort(key=lambda name: (-self._cameras[name].lateness(now_s), name))
        for name in due[:limit]:
            camera = self._cameras[name]
            if camera.since_s is None:
                camera.since_s = camera.due_s = now_s
            camera.due_s = max(camera.due_s, now_s - camera.period_s) + camera.period_s
        return due[:limit]

    def wait_s(self, ready: Iterable[str], now_s: float) -> float | None:
        """Seconds until the first of the ready cameras is due; ``None`` when none is ready."""
        dues = [self._cameras[name].due_s for name in ready]
        return max(0.0, min(dues) - now_s) if dues else None

    def done(self, camera: str, now_s: float) -> None:
        """Note that a detection for a camera is finished."""
        self._cameras[camera].done_s.append(now_s)

    def achieved_fps(self, camera: str, now_s: float) -> float | None:
        """Detections a second a camera got over the last window.

        Returns:
            The rate, or ``None`` for a camera that was never looked at or started less than a second ago.
        """
        known = self._cameras[camera]
        if known.since_s is None or now_s - known.since_s < 1:
            return None
        span_s = min(self._window_s, now_s - known.since_s)
        while known.done_s and known.done_s[0] <= now_s - self._window_s:
            known.done_s.popleft()
        return len(known.done_s) / span_s
