"""The RTSP camera of the tests: GStreamer's server on the loopback, with a picture of its own making.

A script for the system's Python, which alone has gi and gst-rtsp-server; :mod:`tests.fakes.rtsp_server` starts it. It
writes its port when it listens, and ends with who started it.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
from typing import Any


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
