"""How the link stands, for ``health``: connected or why not, and what it sent so far.

Promises that any thread may look while the link's own thread writes, and that a reason is logged once.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from agent.mqtt.health import LinkHealth

_log = logging.getLogger(__name__)
_LONGEST = 1000


class Standing:
    """One link's."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._now = LinkHealth(connected=False, reason="not started")

    def now(self) -> LinkHealth:
        """At this moment."""
        with self._mutex:
            return self._now

    def up(self, reason: str | None) -> None:
        """Connected, though something may still be wrong."""
        with self._mutex:
            self._now = replace(self._now, connected=True, reason=reason)

    def tell(self, reason: str | None) -> None:
        """What is wrong now, or ``None``."""
        with self._mutex:
            self._now = replace(self._now, reason=reason)

    def down(self, reason: str, *, is_stopping: bool) -> None:
        """Not connected any more; it counts as a loss unless it was meant."""
        with self._mutex:
            was = self._now
            losses = int(was.connected and not is_stopping)
            self._now = replace(
                was, connected=False, reason=reason[:_LONGEST], in_flight=0, reconnects=was.reconnects + losses
            )
        if was.reason != reason:
            _log.log(logging.INFO if reason == "stopped" else logging.WARNING, "%s", reason)

    def count(self, *, in_flight: int, sent: int = 0, acknowledged: int = 0, refused: int = 0) -> None:
        """So many more."""
        with self._mutex:
            was = self._now
            self._now = replace(
                was,
                sent=was.sent + sent,
                acknowledged=was.acknowledged + acknowledged,
                refused=was.refused + refused,
                in_flight=in_flight,
            )
