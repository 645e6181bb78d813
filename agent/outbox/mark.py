"""The high-water mark beside the database: a small file that outlives a damaged one.

Promises that no sequence number at or above the mark was ever given out, so a new database can start there and
never hand out a number twice. Written whole, synced and renamed; never changed in place.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import OutboxError

BLOCK: Final = 1000
"""Numbers reserved at once: one small write for so many records."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was known when the mark was written.

    Attributes:
        oldest: Every lower sequence number had been delivered or reported as dropped.
        last: The highest number given out by then.
        ceiling: No number at or above it has been given out.
    """

    oldest: int
    last: int
    ceiling: int


def read_mark(path: Path) -> Mark | None:
    """The mark in this file; ``None`` when there is none that makes sense."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        mark = Mark(int(plain["oldest"]), int(plain["last"]), int(plain["ceiling"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if 1 <= mark.oldest <= mark.last + 1 <= mark.ceiling else None


def write_mark(path: Path, mark: Mark) -> None:
    """Replace the mark, durably.

    Raises:
        OSError: The disk refuses.
    """
    fresh = path.with_name(path.name + ".new")
    text = json.dumps({"oldest": mark.oldest, "last": mark.last, "ceiling": mark.ceiling})
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable.

    Raises:
        OSError: The disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(path: Path) -> int:
    """Take the store for this process alone; the returned descriptor holds the lock until it is closed.

    Raises:
        OutboxError: Another process has it.
        OSError: The file can't be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise OutboxError(
            f"{path.parent}: another kentongan is running with this folder; stop it or give each its own state_dir"
        ) from error
    return handle
