"""`kentongan run`: the daemon. Watches until it is told to stop, and tells systemd and the broker how it fares.

Stops cleanly within five seconds of SIGTERM. Exit codes are those of sysexits.h: 78 a configuration that can't be
used, 65 a refused model, 74 a state folder that can't be used, 70 a stage that got stuck.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import Final, NoReturn

from agent.app import App
from agent.config.load import load_config
from agent.config.permissions import laxities
from agent.config.secrets import hide_in_logs, load_secrets
from agent.errors import KentonganError
from agent.ops.notify import Notifier

LOG: Final = logging.getLogger("kentongan.run")
STUCK: Final = 70  # EX_SOFTWARE
_POLL_S: Final = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("config", type=Path, help="the configuration, a YAML file")


def execute(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    logging.getLogger().setLevel(min(logging.INFO, logging.getLogger().level))
    config = load_config(args.config, on_empty=lambda fault: LOG.warning("%s", fault.text(str(args.config))))
    secrets = load_secrets(config)
    hide_in_logs(config, secrets)
    for lax in laxities(config, args.config):
        LOG.warning("%s", lax)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    notifier = Notifier.from_environment()
    app = App(config, secrets, file=args.config)
    app.start()
    notifier.ready()
    code = STUCK
    try:
        code = watch(app, notifier, stopping)
    finally:
        notifier.stopping()
        if not app.stop(well=code == 0):
            LOG.warning("not everything ended in time; what waits is on disk and will be sent after the next start")
    if any(thread.is_alive() for thread in threading.enumerate() if thread.name.startswith("video-")):
        _leave(code)
    return code


def _leave(code: int) -> NoReturn:
    """End at once: a reader that hangs in a camera's native code would be torn down in the middle of it, and abort."""
    LOG.info("a camera's reader still hangs; left behind")
    logging.shutdown()
    os._exit(code)


def watch(app: App, notifier: Notifier, stopping: threading.Event) -> int:
    """Feed the watchdog while every stage lives, and say how the box fares; returns the exit code."""
    health_due_s = time.monotonic()
    while not stopping.wait(_POLL_S):
        liveness = app.liveness()
        if not liveness.ok:
            LOG.critical("stuck: %s; ending so that the service manager starts afresh", ", ".join(liveness.stuck))
            return STUCK
        notifier.watchdog()
        app.wishes.hear()
        if (is_news := _tell_updates(app)) or time.monotonic() >= health_due_s:
            health_due_s += 0 if is_news else app.config.health_s
            try:
                health = app.publish_health()
            except KentonganError as error:  # what can't be said now is said later; counting goes on
                LOG.warning("no health report: %s", error)
                continue
            live = sum(camera.state == "live" for camera in health.cameras.values())
            notifier.status(f"{live} of {len(health.cameras)} cameras live; " + "; ".join(health.problems)[:200])
    return 0


def _tell_updates(app: App) -> bool:
    """Record what is new in the updates; what can't be recorded now is tried again, and counting goes on."""
    try:
        return app.tell_updates()
    except KentonganError as error:
        LOG.warning("what is new in the updates is not told yet: %s", error)
        return False
