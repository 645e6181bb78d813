"""A stream that plays a script: pictures, silences, damage and hangs, on a clock that tests wind.

Stands in for OpenCV's capture behind the same protocol. Each grab lets the clock advance as the script says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from agent.values import Image
from agent.video.capture import StreamFacts
from tests.fakes.clock import ManualClock


@dataclass(frozen=True, slots=True)
class Shot:
    """One grab: how long it takes, and what comes of it.

    Attributes:
        wait_s: How far the clock advances meanwhile.
        pts_s: The picture's own time.
        shade: The picture's grey; ``None`` when the grab fails.
        convertible: Whether the picture can be retrieved.
        until: The grab hangs in "native code" until this is set.
    """

    wait_s: float = 0.1
    pts_s: float = 0.0
    shade: int | None = 0
    convertible: bool = True
    until: threading.Event | None = None


CLOSED = Shot(wait_s=0.2, shade=None)


def steady(count: int, *, fps: float = 10.0, first: int = 0) -> list[Shot]:
    """So many pictures at a steady rate, each of another grey, beginning with the pts of number ``first``."""
    return [Shot(1 / fps, number / fps, number % 250) for number in range(first, first + count)]


class ScriptedCapture:
    """A :class:`agent.video.capture.Capture`; after its script every grab fails, as with a closed connection.

    Attributes:
        hangs: Set while a grab hangs in "native code".
        closed: Set when it was closed.
        retrieved: How many pictures were converted.
    """

    def __init__(self, clock: ManualClock, shots: Iterable[Shot], facts: StreamFacts | None = None) -> None:
        self._clock = clock
        self._shots: Iterator[Shot] = iter(shots)
        self._shot = CLOSED
        self._facts = facts or StreamFacts(64, 48, 10.0, "h264", 0)
        self.hangs = threading.Event()
        self.closed = threading.Event()
        self.retrieved = 0

    def grab(self) -> bool:
        self._shot = next(self._shots, CLOSED)
        if self._shot.until is not None:
            self.hangs.set()
            self._shot.until.wait(30)
            self.hangs.clear()
        self._clock.advance(self._shot.wait_s)
        return self._shot.shade is not None

    def retrieve(self) -> Image | None:
        self.retrieved += 1
        if self._shot.shade is None or not self._shot.convertible:
            return None
        return np.full((48, 64, 3), self._shot.shade, np.uint8)

    def pts_s(self) -> float:
        return self._shot.pts_s

    def facts(self) -> StreamFacts:
        return self._facts

    def close(self) -> None:
        self.closed.set()


class Openings:
    """An opener that plays one prepared answer per try, and repeats the last: a capture to be, or an error."""

    def __init__(self, *answers: Callable[[], ScriptedCapture]) -> None:
        self._answers = answers
        self.tries = 0

    def __call__(self) -> ScriptedCapture:
        answer = self._answers[min(self.tries, len(self._answers) - 1)]
        self.tries += 1
        return answer()
