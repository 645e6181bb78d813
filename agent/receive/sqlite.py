"""A receiver's store in one SQLite file, which several receivers on one machine may share.

Promises that what was stored survives a power cut, as far as the disk does. Never waits longer than ten seconds for
another receiver.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.errors import OutboxError
from agent.receive.ledger import Ledger, Value, tables


class SqliteStore(Ledger):
    """One SQLite file; safe to use from several threads and several processes.

    Args:
        path: The file; it is made when missing.

    Raises:
        OutboxError: It can't be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(SqliteDatabase(path))


class SqliteDatabase:
    """A :class:`agent.receive.ledger.Database` in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.RLock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        with self.writing():
            for statement in tables(end=" WITHOUT ROWID", number="INTEGER PRIMARY KEY", of_bytes="BLOB"):
                self._connection.execute(statement)

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._connection.close()

    def rows(self, query: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        return self._connection.execute(query, values).fetchall()

    def change(self, query: str, values: Sequence[Value] = ()) -> int:
        """Insert, update or delete; how many rows that were."""
        return self._connection.execute(query, values).rowcount

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read within, by one thread at a time."""
        with self._translated(), self._mutex:
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; others wait for it."""
        with self.reading():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OutboxError(
                f"{self._path}: can't be used ({error}); free some space and see who may write"
            ) from error
