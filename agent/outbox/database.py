"""The SQLite file under the outbox: how it is opened, limited, and recognised as ours.

Promises write-ahead logging with every commit synced, a size that stays below the limit, and permissions for the
owner alone. Knows nothing of what the rows mean.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import OutboxError

APPLICATION_ID: Final = 0x4B4E5447  # "KNTG", in the file's header (https://sqlite.org/fileformat.html, offset 68)
SCHEMA_VERSION: Final = 1
PAGE_BYTES: Final = 4096
_CHECK_UP_TO_BYTES: Final = 64 << 20  # checking takes seconds beyond; damage is also noticed while reading
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boots (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, machine TEXT NOT NULL);
CREATE TABLE models (id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
CREATE TABLE state (name TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    seq INTEGER PRIMARY KEY, boot INTEGER NOT NULL, kind TEXT NOT NULL, camera TEXT, rank INTEGER NOT NULL,
    time_s REAL NOT NULL, mono_s REAL, synced INTEGER NOT NULL, error_ms REAL, model INTEGER, body BLOB NOT NULL
);
CREATE INDEX by_rank ON records (rank);
INSERT INTO meta VALUES ('last', 0);
"""


class DamagedError(Exception):
    """The file is no database, or one whose pages contradict each other."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much room the store may take, in bytes and in pages of the database."""

    database_pages: int
    log_bytes: int

    @classmethod
    def of(cls, max_bytes: int) -> Limits:
        """Divide a budget of bytes between the database and its write-ahead log."""
        log_bytes = min(8 << 20, max_bytes // 8)
        return cls(database_pages=max(64, (max_bytes - log_bytes) // PAGE_BYTES), log_bytes=log_bytes)

    @classmethod
    def on_disk(cls, path: Path, max_bytes: int) -> Limits:
        """The same, but never more than nine tenths of what the disk has left for us."""
        used = sum(part.stat().st_size for part in files_of(path) if part.exists())
        return cls.of(min(max_bytes, (shutil.disk_usage(path.parent).free + used) * 9 // 10))


def files_of(path: Path) -> tuple[Path, Path, Path]:
    """The database and the two files SQLite keeps beside it."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def open_database(path: Path, limits: Limits) -> sqlite3.Connection:
    """Open the file, or make it.

    Raises:
        DamagedError: It is there and is no sound database.
        OutboxError: It can't be opened, or belongs to something else.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise OutboxError(
            f"{path}: can't be opened ({error}); give its folder to the user the agent runs as"
        ) from error
    try:
        with translated(path):
            _prepare(db, path, limits)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, limits: Limits) -> None:
    _recognise(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA temp_store = MEMORY")
    limit_pages(db, limits)
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        stamp = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {stamp} COMMIT;")
    elif path.stat().st_size <= _CHECK_UP_TO_BYTES:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise DamagedError(str(verdict))


def limit_pages(db: sqlite3.Connection, limits: Limits) -> None:
    """Let the database and its log grow so far and no further."""
    db.execute(f"PRAGMA max_page_count = {limits.database_pages}")
    db.execute(f"PRAGMA journal_size_limit = {limits.log_bytes}")
    db.execute(f"PRAGMA wal_autocheckpoint = {max(16, limits.log_bytes // PAGE_BYTES // 2)}")


def _recognise(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file of another program or of a newer kentongan: neither is damage, and neither may be touched."""
    owner, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    is_new = owner == 0 and version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_new and owner != APPLICATION_ID:
        raise OutboxError(f"{path}: is a database of another program; choose another state_dir")
    if version > SCHEMA_VERSION:
        raise OutboxError(f"{path}: was written by a newer kentongan (format {version}); update this one")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours: damage into :class:`DamagedError`, the rest into one clear sentence."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            raise DamagedError(str(error)) from error
        if code in _FULL:
            raise OutboxError(f"{path}: the disk is full or fails ({error}); free some space on it") from error
        raise OutboxError(f"{path}: can't be used ({error}); see that its folder is writable") from error
    except OSError as error:
        raise OutboxError(f"{path}: can't be written ({error.strerror}); free some space on its disk") from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, synced to the disk when it ends well."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has already rolled back by itself after some errors
            db.execute("ROLLBACK")
        raise


def used_pages(db: sqlite3.Connection) -> int:
    """Pages that hold something; free ones inside the file don't count."""
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    return pages - free
