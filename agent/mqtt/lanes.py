"""Which row is sent next: alarms of the backlog first, then what is new, then the backlog at its pace.

Promises that every row above what was acknowledged is handed out in order within its lane, that a long backlog never
holds up what is new, and that a short one simply goes first, in order. Memory is bounded by a page of rows a lane.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from agent.outbox import Row

_PAGE_ROWS: Final = 128
_MAX_JUMPERS: Final = 1000  # alarms sent ahead of their turn and remembered, so that they aren't sent twice
_MAX_RANGES: Final = 32
_FOR_EVER: Final = 1 << 62


class Rows(Protocol):
    """Where rows come from: an :class:`agent.outbox.Outbox`."""

    @property
    def last(self) -> int:
        """The highest sequence number so far."""
        ...

    def pending(self, after: int = 0, limit: int = 100, *, through: int | None = None) -> list[Row]:
        """Rows in order."""
        ...

    def alarms(self, after: int, through: int, limit: int = 100) -> list[Row]:
        """Alarms, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row to send now, and whether it comes late."""

    row: Row
    backfill: bool


class _Lane:
    """A range of rows read page by page."""

    def __init__(self, store: Rows, after: int, through: int = _FOR_EVER, *, was_asked_for: bool = False) -> None:
        self.was_asked_for = was_asked_for
        self._store = store
        self._page: deque[Row] = deque()
        self._read_to = after
        self._through = through

    def peek(self) -> Row | None:
        through = min(self._through, self._store.last)  # read once: more may be committed at any moment
        if not self._page and self._read_to < through:
            rows = self._store.pending(self._read_to, _PAGE_ROWS, through=through)
            self._page.extend(rows)
            # What is not there up to this point was delivered or dropped, and never comes back.
            self._read_to = rows[-1].seq if rows else through
        return self._page[0] if self._page else None

    def pop(self) -> Row:
        return self._page.popleft()


class Lanes:
    """What one connection sends, in which order.

    Args:
        store: The outbox.
        window: Records that may be in flight; a backlog no longer than this goes first, unpaced.
        backfill_per_s: The pace of a longer one.
        unanswered: How many rows of the backlog may be sent before an application acknowledges any; ``None`` when
            the broker's acknowledgement is enough.
        now_s: Monotonic seconds.
    """

    def __init__(
        self, store: Rows, *, window: int, backfill_per_s: float, unanswered: int | None, now_s: float
    ) -> None:
        self._store = store
        self._pace = backfill_per_s
        self._burst = max(1.0, backfill_per_s / 10)
        self._tokens = 1.0
        self._filled_s = now_s
        self._unanswered = unanswered
        self._answerless = 0
        self._jumpers: set[int] = set()
        last = store.last
        self._is_short = len(store.pending(0, window + 1, through=last)) <= window
        self._backlog: deque[_Lane] = deque([_Lane(store, 0, last)])
        self._live = _Lane(store, last)
        self._urgent = self._find_alarms(last)

    def next(self, now_s: float) -> Outgoing | None:
        """The row to send now; ``None`` when there is none or its time hasn't come."""
        late = self._late()
        if late is not None and self._is_short:
            return self._take_late(late)
        if self._urgent:
            row = self._urgent.popleft()
            self._jumpers.add(row.seq)
            return Outgoing(row, backfill=True)
        if self._live.peek() is not None:
            return Outgoing(self._live.pop(), backfill=False)
        if late is None or not self._may_go(now_s):
            return None
        return self._take_late(late)

    def due_s(self, now_s: float) -> float | None:
        """Seconds until a paced row may go; ``None`` when only something new can change anything."""
        if self._is_held or self._late() is None:
            return None
        return max(0.0, (1 - self._tokens) / self._pace - (now_s - self._filled_s))

    def answered(self) -> None:
        """An application acknowledged something: more of the backlog may go."""
        self._answerless = 0

    def resend(self, first: int, last: int) -> bool:
        """Send these again before the rest of the backlog; False when too many such wishes wait already."""
        if len(self._backlog) >= _MAX_RANGES:
            return False
        self._backlog.appendleft(_Lane(self._store, first - 1, last, was_asked_for=True))
        self._is_short = False
        self._answerless = 0
        return True

    @property
    def _is_held(self) -> bool:
        return self._unanswered is not None and self._answerless >= self._unanswered

    def _find_alarms(self, last: int) -> deque[Row]:
        if self._is_short:
            return deque()
        return deque(self._store.alarms(0, last, _MAX_JUMPERS))

    def _late(self) -> _Lane | None:
        """The first lane of the backlog that has a row which didn't jump ahead."""
        while self._backlog:
            lane = self._backlog[0]
            row = lane.peek()
            while row is not None and row.seq in self._jumpers and not lane.was_asked_for:
                lane.pop()
                self._jumpers.discard(row.seq)
                row = lane.peek()
            if row is not None:
                return lane
            self._backlog.popleft()
        self._is_short = False
        return None

    def _take_late(self, lane: _Lane) -> Outgoing:
        self._answerless += 1
        return Outgoing(lane.pop(), backfill=True)

    def _may_go(self, now_s: float) -> bool:
        if self._is_held:
            return False
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._pace)
        self._filled_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
