"""Keeps FFmpeg and OpenCV quiet, and hands FFmpeg the options that OpenCV only takes from the environment.

Both libraries print addresses, passwords included, when something fails; they are silenced before first use. The
options of one stream must not reach another's opening, so openings with different options take turns. Never holds a
turn for longer than one opening lasts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Final

import cv2

from agent.errors import SourceError

OPTIONS_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
V4L_SELECT_TIMEOUT_S: Final = 4
LOG_LEVEL_SILENT: Final = 0


def quiet_native_logs() -> None:
    """Silence what the native libraries print; must run before the first capture is made.

    OpenCV reads the first variable once, when it first uses FFmpeg; -8 is FFmpeg's ``AV_LOG_QUIET``. The second
    replaces the ten seconds that OpenCV waits for a V4L2 device to deliver a picture.
    """
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(V4L_SELECT_TIMEOUT_S))
    # OpenCV 5 moved this function; 4.x has it at the top.
    where = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    where.setLogLevel(LOG_LEVEL_SILENT)


class OptionTurns:
    """Lets openings with the same FFmpeg options run side by side, and others wait for their turn.

    What the person who started the process set in the variable stays in force and wins.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._environ = environ
        self._own = environ.get(OPTIONS_VARIABLE, "")
        self._turn = threading.Condition()
        self._current = ""
        self._openings = 0
        self._others_waiting = 0

    @contextmanager
    def with_options(self, options: str, timeout_s: float) -> Iterator[None]:
        """Hold a turn in which FFmpeg sees these options, ``key;value|key;value``.

        Raises:
            SourceError: Openings with other options took all of ``timeout_s``.
        """
        self._enter(options, timeout_s)
        try:
            yield
        finally:
            with self._turn:
                self._openings -= 1
                self._turn.notify_all()

    def _enter(self, options: str, timeout_s: float) -> None:
        with self._turn:
            if not self._free(options):
                self._others_waiting += 1
                try:
                    came = self._turn.wait_for(lambda: self._openings == 0, timeout_s)
                finally:
                    self._others_waiting -= 1
                if not came:
                    raise SourceError(
                        f"other cameras took all of {timeout_s:.0f} s to open; it is tried again, and using one "
                        "transport for all RTSP cameras avoids the wait"
                    )
            self._openings += 1
            self._set(options)

    def _free(self, options: str) -> bool:
        return self._openings == 0 or (options == self._current and self._others_waiting == 0)

    def _set(self, options: str) -> None:
        self._current = options
        whole = "|".join(part for part in (options, self._own) if part)
        if whole:
            self._environ[OPTIONS_VARIABLE] = whole
        else:
            self._environ.pop(OPTIONS_VARIABLE, None)


FFMPEG_TURNS: Final = OptionTurns(os.environ)
"""The one queue of this process, because the variable belongs to the process."""
