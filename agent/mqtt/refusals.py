"""What the broker refused, and when each is tried again.

Promises that a refused record is tried again ever more rarely while others go on, that nothing is sent in vain while
everything is refused, and that the complaint stands until all is well. Sends nothing and keeps no record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MAX_IN_ROW: Final = 8
"""So many refusals, one after the other, mean that everything is refused."""
MAX_DEFERRED: Final = 1000


class Refusals:
    """The link's memory of them, over all its connections.

    Args:
        pause_s: Seconds before the next try, by how often it was refused already.
    """

    def __init__(self, pause_s: Callable[[int], float]) -> None:
        self.complaint: str | None = None
        self._pause_s = pause_s
        self._deferred: dict[int, float] = {}  # records by number, and when to try each again
        self._rounds = 0  # how often something was refused since all was well
        self.begin()

    def begin(self) -> None:
        """A new connection: what it refuses is still to be seen."""
        self._in_row = 0
        self._has_complained = False
        self._is_too_large = False  # a record that this broker doesn't take is kept for the next connection

    def complain(self, sentence: str) -> bool:
        """Something is refused; whether that was not the complaint already."""
        is_new = self.complaint != sentence
        self.complaint = sentence
        self._has_complained = True
        return is_new

    def too_large(self) -> None:
        """This broker doesn't take a record of this size: the complaint stands for as long as the connection."""
        self._is_too_large = True

    def refused(self, seq: int, now_s: float) -> None:
        """The broker refused record ``seq``, or with 0 something that is no record."""
        self._in_row += 1
        if seq and len(self._deferred) < MAX_DEFERRED:
            self._deferred[seq] = now_s + self._pause_s(self._rounds)
            self._rounds += 1

    def accepted(self) -> bool:
        """The broker took a record; whether the last complaint is over with it."""
        self._in_row = 0
        if self.complaint is None or self._deferred or self._is_too_large:
            return False
        self._rounds = 0
        self.complaint = None
        return True

    def must_wait(self, seq: int, now_s: float) -> bool:
        """Whether it is too early for this record; otherwise it is sent now, and no longer remembered."""
        if self._deferred.get(seq, 0.0) > now_s:
            return True
        self._deferred.pop(seq, None)
        return False

    def is_held_back(self, now_s: float) -> bool:
        """When everything is refused, there is no point in going on before the first may be tried again."""
        return self._in_row >= MAX_IN_ROW and min(self._deferred.values(), default=0.0) > now_s

    def due(self, now_s: float) -> list[int]:
        """The records whose time has come."""
        return [seq for seq, due_s in self._deferred.items() if due_s <= now_s]

    def tried(self, seq: int) -> None:
        """A record that was due is on its way again."""
        self._in_row = 0
        del self._deferred[seq]

    def reason_of(self, end: str) -> str:
        """Why the connection ended: some brokers close on what they refuse, and then that is the reason to tell."""
        return self.complaint or end if self._has_complained else end
