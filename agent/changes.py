"""What another thread wants done by a loop between two turns, when nothing is in the loop's hands.

Promises that who asks waits no longer than told, hears what went wrong, and that nothing piles up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_MOST: Final = 2


class _Change:
    """One thing to do."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do = do
        self.done = threading.Event()
        self.fault: Exception | None = None

    def __call__(self) -> None:
        try:
            self._do()
        except Exception as fault:  # noqa: BLE001 - raised again where it was asked for
            self.fault = fault
        self.done.set()


class Changes:
    """The things that wait; :meth:`ask` is for any thread, :meth:`do_next` for the loop's."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Change] = queue.Queue(_MOST)  # full: who asks waits

    def ask(self, do: Callable[[], None], timeout_s: float) -> bool:
        """Have something done by the loop; what it raises is raised here.

        Returns:
            Whether it was done in time; if not, the loop does it when it comes to it.
        """
        change = _Change(do)
        try:
            self._waiting.put(change, timeout=timeout_s)
        except queue.Full:
            return False
        done = change.done.wait(timeout_s)
        if change.fault is not None:
            raise change.fault
        return done

    def do_next(self) -> None:
        """Do what waits, if anything does."""
        with suppress(queue.Empty):
            self._waiting.get_nowait()()
