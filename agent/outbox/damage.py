"""What happens to a damaged store: what can still be read moves to a new one, which then takes its place.

Promises that a damaged file is kept under another name (the newest one only, for disks are small), and that rows and
state which can be read are not lost, whenever the agent is killed meanwhile: the damaged file stays where it is until
its successor is complete. Never repairs in place.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from agent.outbox.database import files_of, transaction
from agent.outbox.mark import Mark, sync_folder
from agent.outbox.rows import joined, unpack

_log = logging.getLogger(__name__)
_BATCH: Final = 500
_Raw: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Continued:
    """Where numbering goes on, and which numbers below may have been lost."""

    last: int
    lost: tuple[int, int] | None = None


def continued(last: int, mark: Mark | None, *, sound: bool) -> Continued:
    """Where numbering goes on after opening a store.

    Args:
        last: The highest number the database knows of; 0 for a new one.
        mark: What the file beside the database says.
        sound: The database is the one that was closed last, as far as it can tell.
    """
    if mark is None:
        return Continued(last)
    if sound and last >= mark.last:
        return Continued(last)
    first = last + 1 if sound else mark.oldest
    if mark.ceiling - 1 < first:
        return Continued(max(last, mark.ceiling - 1))
    return Continued(mark.ceiling - 1, (first, mark.ceiling - 1))


def fresh_of(path: Path) -> Path:
    """Where the successor of a damaged or lost database is made; whatever lies there at a start is unfinished."""
    return path.with_name(path.name + ".new")


def ready_of(path: Path) -> Path:
    """Where the finished successor lies until it has taken its place."""
    return path.with_name(path.name + ".ready")


def remove(path: Path) -> None:
    """Delete a database and its two companions."""
    for part in files_of(path):
        part.unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename the damaged database and its two companions; an older one set aside earlier is removed.

    Killed in the middle, it goes on when called again.
    """
    aside = path.with_name(path.name + ".damaged")
    if path.exists():
        remove(aside)
    for old, new in zip(files_of(path), files_of(aside), strict=True):
        if old.exists():
            old.replace(new)
    return aside


def has_successor(path: Path) -> bool:
    """Whether a finished successor waits to take the place of the database."""
    return ready_of(path).exists()


def succeed(path: Path) -> Path:
    """Let the finished successor take the place of the database; return what the old one is called now."""
    aside = set_aside(path)
    ready_of(path).replace(path)
    sync_folder(path.parent)
    return aside


def salvage(damaged: Path, db: sqlite3.Connection) -> list[tuple[int, int]]:
    """Copy every row and state that can still be read into a new database.

    Returns:
        The sequence numbers that were saved, as ranges.

    Raises:
        sqlite3.Error: The new database can't be written. What can't be read from the old one is only logged.
    """
    saved: list[tuple[int, int]] = []
    with closing(sqlite3.connect(f"file:{damaged}?mode=ro", uri=True)) as old:
        for table in ("boots", "models", "state", "meta"):
            _copy_table(old, db, table)
        for direction in ("ASC", "DESC"):
            for rows in _batches(old, direction, saved):
                saved = joined([*saved, *_insert(db, rows)])
    return saved


def _copy_table(old: sqlite3.Connection, db: sqlite3.Connection, table: str) -> None:
    width = len(db.execute(f"PRAGMA table_info({table})").fetchall())
    insert = f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * width)})"  # noqa: S608 - names from a fixed list
    try:
        rows = old.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - the same
    except sqlite3.DatabaseError as error:
        _log.warning("the table %s of the damaged outbox can't be read (%s)", table, error)
        return
    with transaction(db):
        db.executemany(insert, rows)


def _batches(old: sqlite3.Connection, direction: str, saved: list[tuple[int, int]]) -> Iterator[list[_Raw]]:
    """Rows from one end until damage, or until those that came from the other end."""
    stop = saved[0][1] if saved and direction == "DESC" else 0
    query = f"SELECT * FROM records WHERE seq > ? ORDER BY seq {direction}"  # noqa: S608 - ASC or DESC
    rows: list[_Raw] = []
    try:
        for row in old.execute(query, (stop,)):
            rows.append(row)
            if len(rows) == _BATCH:
                yield rows
                rows = []
    except sqlite3.DatabaseError as error:
        _log.warning("some rows of the damaged outbox can't be read (%s)", error)
    yield rows


def _insert(db: sqlite3.Connection, rows: list[_Raw]) -> list[tuple[int, int]]:
    boots = {found[0] for found in db.execute("SELECT id FROM boots")}
    sound = [row for row in rows if row[1] in boots and _is_sound(row)]
    with transaction(db):
        db.executemany(f"INSERT OR IGNORE INTO records VALUES ({', '.join('?' * 11)})", sound)  # noqa: S608 - a count
    return joined((row[0], row[0]) for row in sound)


def _is_sound(row: _Raw) -> bool:
    try:
        unpack(row[-1])
    except (ValueError, TypeError):
        return False
    return True
