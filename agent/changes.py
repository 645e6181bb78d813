"""What other threads want done by a loop between two of its turns, when nothing is in the loop's hands.

Whoever asks waits no longer than told, and gets what it came to or the error it raised. What nobody waits for any more
has not begun and never will. Nothing piles up: while too many wait, the newest is refused at once.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from agent.errors import KentonganError

MOST: Final = 8
"""More than there are threads that ask: the updater's, the link's, and the one that reads wishes made on the box."""
_ENDING: Final = "the agent is ending, so this was not done; ask again when it runs"
_T = TypeVar("_T")
_Change: TypeAlias = tuple[Callable[[], Any], Future[Any]]


class ChangeError(KentonganError):
    """The loop itself is why there is no answer."""


class BusyError(ChangeError):
    """The loop did not come to it: it was not done, and never will be."""


class EndedError(ChangeError):
    """The loop has ended: it was not done, and never will be."""


class StuckError(ChangeError):
    """The loop has begun it and does not end it: nobody knows until the agent is started afresh."""


class Changes:
    """The things that wait; :meth:`ask` is for any other thread, the rest for the loop's."""

    def __init__(self) -> None:
        self._refuse_newest: deque[_Change] = deque()
        self._lock = threading.Lock()
        self._is_over = False

    def ask(self, do: Callable[[], _T], timeout_s: float) -> _T:
        """Have something done by the loop; what it returns or raises comes out here.

        Args:
            do: What to do. It sets all that goes with it, so that nothing is half done whoever waits.
            timeout_s: How long to wait for its turn; once it has begun, as long again for its end.

        Raises:
            BusyError: It was not its turn in time.
            EndedError: The loop has ended.
            StuckError: It has begun and does not end.
        """
        answer: Future[_T] = Future()
        self._put((do, answer))
        wait([answer], timeout_s)
        if answer.cancel():
            self._withdraw((do, answer))
            raise BusyError(f"the agent was too busy for {timeout_s:g} s, so this was not done; ask again")
        if wait([answer], timeout_s).not_done:
            raise StuckError(f"this has begun but not ended within {timeout_s:g} s: the agent is stuck; see its log")
        return answer.result()

    def _put(self, change: _Change) -> None:
        with self._lock:
            if self._is_over:
                raise EndedError(_ENDING)
            if len(self._refuse_newest) >= MOST:
                raise BusyError(f"{MOST} others wait for the agent already, so this was not done; ask again")
            self._refuse_newest.append(change)

    def _withdraw(self, change: _Change) -> None:
        with self._lock, suppress(ValueError):  # the loop may have it in its hands, and leaves it
            self._refuse_newest.remove(change)

    def do_waiting(self) -> None:
        """Do what waits now, in the order in which it was asked for."""
        for do, answer in self._take():
            try:
                answer.set_result(do())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)

    def end(self) -> None:
        """Refuse what waits and whatever comes later."""
        with self._lock:
            self._is_over = True
        for _, answer in self._take():
            answer.set_exception(EndedError(_ENDING))

    def _take(self) -> Iterator[_Change]:
        """What waits now; each counts as begun when it is handed out, unless nobody waits for it any more."""
        with self._lock:
            waiting = list(self._refuse_newest)
            self._refuse_newest.clear()
        for change in waiting:
            if change[1].set_running_or_notify_cancel():
                yield change
