"""Making room in a full store: which rows go, and the account of them that becomes a gap record.

Promises that counts and zone reports go before events, events before alarms, the oldest first, and that every
sequence number that goes is accounted for. Runs inside the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from agent.errors import TooSmallError
from agent.outbox.database import used_pages
from agent.outbox.rows import Rank, joined, unpack
from agent.records import GapBody, RecordKind

_CHUNK_ROWS: Final = 256
_SLACK_PAGES: Final = 256  # freed beyond what is needed, so that a full store drops a thousand rows at a time, not one
_MAX_RUNS: Final = 500  # keeps a gap record under 16 kB
_MAX_FOLDED: Final = 64

Why: TypeAlias = Literal["outbox_full", "outbox_damaged", "expired"]


@dataclass(frozen=True, slots=True)
class Lost:
    """Sequence numbers that will never come, as ranges with both ends, and how many of each kind."""

    runs: list[tuple[int, int]]
    kinds: Counter[RecordKind] = field(default_factory=Counter)

    def gap(self, why: Why) -> GapBody:
        """The account as the body of a record."""
        return GapBody(
            first_seq=self.runs[0][0],
            last_seq=self.runs[-1][1],
            runs=tuple(self.runs),
            dropped=dict(sorted(self.kinds.items())),
            why=why,
        )


def merged(parts: Iterable[Lost]) -> list[Lost]:
    """As few accounts as possible, each small enough for one record."""
    whole: list[Lost] = []
    for part in parts:
        runs = joined([*whole[-1].runs, *part.runs]) if whole else part.runs
        if whole and len(runs) <= _MAX_RUNS:
            whole[-1] = Lost(runs, whole[-1].kinds + part.kinds)
        else:
            whole.append(part)
    return whole


def has_room(db: sqlite3.Connection, need: int, limit: int) -> bool:
    """Whether ``need`` pages fit under ``limit`` pages as they are."""
    return used_pages(db) + need <= _ceiling(limit)


def _ceiling(limit: int) -> int:
    return limit - max(16, limit // 50)


def make_room(db: sqlite3.Connection, need: int, limit: int, *, offered: int) -> list[Lost]:
    """Drop rows until ``need`` pages fit under ``limit`` pages.

    Args:
        db: Inside a transaction.
        need: Pages about to be written.
        limit: Pages the database may have.
        offered: Rows up to this sequence number may be on their way already, so gaps among them stay as they are.

    Returns:
        What had to go; empty when there was room.

    Raises:
        TooSmallError: What is to be written is larger than the whole store.
    """
    if has_room(db, need, limit):
        return []
    ceiling = _ceiling(limit)
    lost = _folded(db, offered)
    target = ceiling - need - min(_SLACK_PAGES, limit // 16)
    while used_pages(db) > target:
        part = _drop_lowest(db)
        if part is None:
            break
        lost.append(part)
    if not has_room(db, need, limit):
        raise TooSmallError(f"the outbox is too small for {need * 4} kB at once; raise outbox.max_mb")
    return merged(lost)


def _drop_lowest(db: sqlite3.Connection) -> Lost | None:
    victims: list[tuple[int, RecordKind]] = db.execute(
        "SELECT seq, kind FROM records WHERE rank < ? ORDER BY rank, seq LIMIT ?", (Rank.GAP, _CHUNK_ROWS)
    ).fetchall()
    if not victims:
        return None
    db.executemany("DELETE FROM records WHERE seq = ?", ((seq,) for seq, _ in victims))
    return Lost(joined((seq, seq) for seq, _ in victims), Counter(kind for _, kind in victims))


def _folded(db: sqlite3.Connection, offered: int) -> list[Lost]:
    """Take back gap records nobody has seen yet: they become part of the new one, so gaps can't fill the store."""
    lost: list[Lost] = []
    rows = db.execute(
        "SELECT seq, body FROM records WHERE rank = ? AND seq > ? ORDER BY seq LIMIT ?",
        (Rank.GAP, offered, _MAX_FOLDED),
    ).fetchall()
    for seq, body in rows:
        plain = json.loads(unpack(body))
        if plain["why"] == "outbox_full":
            runs = joined([*((first, last) for first, last in plain["runs"]), (seq, seq)])
            lost.append(Lost(runs, Counter(plain["dropped"]) + Counter({"gap": 1})))
            db.execute("DELETE FROM records WHERE seq = ?", (seq,))
    return lost
