"""A real RTSP camera for tests: GStreamer's server in a process of its own, which can be frozen and killed.

Run as a script it is the camera (it needs the system's Python with gi and gst-rtsp-server); imported it is the
class that starts one. Listens on the loopback only, and ends with the test.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SYSTEM_PYTHON = "/usr/bin/python3"
START_S = 20.0


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
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address, without user and password."""
        return f"rtsp://127.0.0.1:{self.port}/cam1"

    def start(self) -> None:
        """Switch the camera on; after the first time at the same port as before."""
        command = [SYSTEM_PYTHON, str(Path(__file__).resolve()), "--port", str(self.port), "--fps", str(self._fps)]
        command += ["--pattern", self._pattern, "--user", self._user, "--password", self._password]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self._first_line())

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else ""
        if not line.strip():
            self.kill()
            message = "the RTSP camera didn't start"
            raise RuntimeError(message)
        return line

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


def _serve(options: argparse.Namespace) -> None:
    gi = importlib.import_module("gi")  # only the system's Python has it
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    rtsp = importlib.import_module("gi.repository.GstRtspServer")
    importlib.import_module("gi.repository.Gst").init(None)
    server = rtsp.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = rtsp.RTSPMediaFactory.new()
    factory.set_shared(True)
    factory.set_launch(
        f"( videotestsrc is-live=true pattern={options.pattern} "
        f"! video/x-raw,width=320,height=180,framerate={options.fps}/1 "
        f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={options.fps} "
        "! rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    if options.user:
        _protect(rtsp, server, factory, options)
    server.get_mount_points().add_factory("/cam1", factory)
    server.attach(None)
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    glib = importlib.import_module("gi.repository.GLib")
    glib.timeout_add_seconds(1, functools.partial(_end_without_parent, os.getppid()))
    glib.MainLoop().run()


def _protect(module: Any, server: Any, factory: Any, options: argparse.Namespace) -> None:
    auth = module.RTSPAuth.new()
    token = module.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(module.RTSPAuth.make_basic(options.user, options.password), token)
    server.set_auth(auth)
    permissions = module.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


def _end_without_parent(parent: int) -> bool:
    if os.getppid() != parent:
        sys.exit(0)
    return True


def main() -> None:
    """Play a camera until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--pattern", default="ball")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    _serve(parser.parse_args())


if __name__ == "__main__":
    main()
