"""Tells systemd how the service fares: the protocol of sd_notify(3), on the socket that systemd names.

Promises never to disturb the service: without systemd, or when its socket has gone, nothing happens. Sends states
only; it never decides whether the service is well.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_LONGEST_STATUS: Final = 512


class Notifier:
    """Sends states to a service manager.

    Args:
        address: The socket's path; ``@`` in front for one in the abstract namespace; ``None`` for nobody.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Notifier:
        """The notifier for the manager that started this process, if one did."""
        return cls((os.environ if environ is None else environ).get("NOTIFY_SOCKET") or None)

    def ready(self) -> None:
        """The service has started, or finished reloading."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The service reads its configuration again; :meth:`ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Every stage is alive."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + " ".join(text.split())[:_LONGEST_STATUS])

    def _send(self, state: str) -> None:
        if self._address is None:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                # A manager that does not read must not hold the service up.
                sock.setblocking(False)
                sock.sendto(state.encode(), name)
        except OSError:
            return


def watchdog_s(environ: Mapping[str, str] | None = None, pid: int | None = None) -> float | None:
    """Seconds within which the manager wants :meth:`Notifier.watchdog`; ``None`` when it doesn't watch this process.

    Args:
        environ: The environment; that of the process by default.
        pid: The process; this one by default.
    """
    environment = os.environ if environ is None else environ
    wanted = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID")
    if not wanted.isdecimal() or int(wanted) == 0:
        return None
    if process is not None and process != str(os.getpid() if pid is None else pid):
        return None
    return int(wanted) / 1e6
