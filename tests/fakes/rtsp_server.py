"""A real RTSP camera for tests: GStreamer's server in a process of its own, which can be frozen and killed.

Keeps its address while it is switched off and on again, and nobody else gets that in between. Listens on the loopback
only, and ends with the test.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.fakes.ports import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
START_S = 20.0
_CAMERA: Final = Path(__file__).with_name("rtsp_camera.py")


@functools.cache
def why_unavailable() -> str:
    """Why no RTSP camera can be played on this machine; empty when one can."""
    check = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
        "import sys; sys.exit(0 if Gst.ElementFactory.find('x264enc') else 1)"
    )
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, timeout=START_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"no working {SYSTEM_PYTHON}, which plays the RTSP camera"
    if done.returncode:
        return "no RTSP camera: install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly"
    return ""


class RtspServer:
    """One camera at ``url``; use it as a context manager."""

    def __init__(self, *, fps: int = 15, user: str = "", password: str = "", pattern: str = "ball") -> None:
        self._fps, self._user, self._password, self._pattern = fps, user, password, pattern
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address, without user and password."""
        return f"rtsp://127.0.0.1:{self.port}/cam1"

    def start(self) -> None:
        """Switch the camera on, and wait until it listens."""
        command = [SYSTEM_PYTHON, str(_CAMERA), "--port", str(self.port), "--fps", str(self._fps)]
        command += ["--pattern", self._pattern, "--user", self._user, "--password", self._password]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._await_listening()

    def _await_listening(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else ""
        if line.strip() != str(self.port):
            self.kill()
            message = f"the RTSP camera didn't start at port {self.port}"
            raise RuntimeError(message)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it stopped."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Pull the plug."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=START_S)
            if process.stdout is not None:
                process.stdout.close()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
