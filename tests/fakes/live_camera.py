"""A live camera that plays scripted streams on a clock wound by hand, tries again at once, and is closed at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from agent.errors import SourceError
from agent.video.backoff import Backoff
from agent.video.live import LiveCamera, LiveOptions
from agent.video.source import Phase
from tests.fakes.capture import ScriptedCapture
from tests.fakes.clock import ManualClock

AT_ONCE: Final = Backoff(first_s=0.001, cap_s=0.001)
QUICK: Final = LiveOptions(backoff=AT_ONCE)


@contextmanager
def running(
    opener: Callable[[], ScriptedCapture],
    clock: ManualClock,
    options: LiveOptions = QUICK,
    *,
    on_frame: Callable[[], None] | None = None,
    diagnose: Callable[[], str] | None = None,
) -> Iterator[LiveCamera]:
    """The camera ``gate``, from ``with`` to its end."""
    camera = LiveCamera("gate", opener, clock, options, on_frame=on_frame, diagnose=diagnose, chance=lambda: 0.5)
    try:
        yield camera
    finally:
        camera.close()


@contextmanager
def hang() -> Iterator[threading.Event]:
    """What a grab may hang on; let go at the end, so that no thread outlives its test."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


def phase_is(camera: LiveCamera, phase: Phase) -> Callable[[], bool]:
    """Whether the camera is in this phase, to wait for."""
    return lambda: camera.state().phase is phase


def refuse() -> ScriptedCapture:
    """Open a camera that says why it can't be opened."""
    raise SourceError("it is switched off; switch it on")


def fail_with(error: BaseException) -> Callable[[], ScriptedCapture]:
    """An opener that fails in a way nobody foresaw."""

    def opener() -> ScriptedCapture:
        raise error

    return opener
