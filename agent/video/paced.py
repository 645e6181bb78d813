"""Plays a video file at real speed, as if it were a camera: for the demo and for trying a configuration out.

Promises that times rise, across loops too, and that whoever reads too slowly gets newer pictures, not later ones.
On a machine that can't decode at real speed it plays slower instead of showing nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from agent.clock import Clock
from agent.values import Frame
from agent.video.address import Address
from agent.video.capture import CaptureOptions
from agent.video.file import FileSource, later
from agent.video.source import CameraState
from agent.video.tally import Tally

log = logging.getLogger(__name__)

_AGAIN: Final = "start the agent again to play it once more"
LATE_S: Final = 0.25
"""A picture that is later than this is passed over for a newer one."""
MAX_SKIPPED_IN_A_ROW: Final = 30
"""After so many passed over the machine is too slow, and the clock of the film is set back instead."""


class PacedFileSource:
    """A file that runs in step with the clock, once or for ever."""

    def __init__(
        self,
        address: Address,
        camera: str,
        clock: Clock,
        options: CaptureOptions | None = None,
        *,
        loop: bool = False,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """Open the file; it begins to run now.

        Args:
            address: The file.
            camera: The name that its frames carry.
            clock: What the pictures keep step with.
            options: How it is opened.
            loop: Begin again at its end, without end.
            wait: Waits so many seconds.

        Raises:
            SourceError: It is missing, no video, or can't be read.
        """
        self._address, self._camera, self._options = address, camera, options
        self._clock, self._wait, self._loop = clock, wait, loop
        self._tally = Tally()
        self._shown = address.shown
        self._closed = self._ended = False
        self._next_s: float | None = None
        self._start = clock.now()
        self._file = self._open()

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Wait for the next picture's moment, at most so long, and hand it out.

        Raises:
            SourceError: The file breaks off before its announced end.
        """
        if self._next_s is None and not self._advance():
            return None
        early_s = self._early_s()
        if early_s > 0:
            self._wait(min(early_s, timeout_s))
            if early_s > timeout_s:
                return None
        return self._take() if self._skip_late() else None

    def state(self) -> CameraState:
        """Say how the file is."""
        return self._file.state()

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._next_s = None
        self._file.close()

    def _open(self) -> FileSource:
        return FileSource(self._address, self._camera, self._start, self._options, self._tally)

    def _advance(self) -> bool:
        next_s = self._file.advance()
        if next_s is None and self._loop and not self._closed:
            self._start = later(self._start, self._file.end_s)
            self._file = self._open()
            next_s = self._file.advance()
        if next_s is None and not self._closed and not self._ended:
            self._ended = True
            log.warning("camera %s: its file %s has ended; %s", self._camera, self._shown, _AGAIN)
        self._next_s = next_s
        return next_s is not None

    def _early_s(self) -> float:
        due_s = self._start.mono_s + (self._next_s or 0.0)
        return due_s - self._clock.now().mono_s

    def _skip_late(self) -> bool:
        for _ in range(MAX_SKIPPED_IN_A_ROW):
            if self._early_s() >= -LATE_S:
                return True
            self._tally.dropped += 1
            if not self._advance():
                return False
        self._start = later(self._start, -self._early_s())
        return True

    def _take(self) -> Frame | None:
        time_s, self._next_s = self._next_s, None
        frame = None if time_s is None else self._file.frame_at(time_s)
        if frame is None or time_s is None:
            return None
        return Frame(frame.camera, frame.number, frame.image, later(self._start, time_s))
