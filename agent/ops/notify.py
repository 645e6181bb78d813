"""Tells systemd how the service fares: the protocol of sd_notify(3), on the socket that systemd names.

Promises never to disturb the service: without systemd, or when its socket has gone, nothing happens. Sends states
only; it never decides whether the service is well.
"""

from __future__ import annotations

import os
import socket
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
        """The service has started."""
        self._send("READY=1")

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
