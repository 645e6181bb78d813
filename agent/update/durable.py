"""Files that a power cut can't tear: written beside their place, flushed to the disk, then renamed over it.

Promises that after a crash at any moment a reader finds the old bytes or the new ones, whole. Never leaves more than
one temporary file per place, and a left-over one is simply overwritten.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_FILE_MODE: Final = 0o600  # what the box trusts and decides by is nobody else's to write, or to read


class Disk:
    """The durable operations, each a method, so that a test can cut the power between any two of them."""

    def read(self, path: Path) -> bytes | None:
        """The bytes of a file; ``None`` if there is none.

        Raises:
            OSError: It is there and can't be read.
        """
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: Path, data: bytes) -> None:
        """Put bytes in place in one step that survives a power cut.

        Raises:
            OSError: The disk is full, or refuses; the old file is untouched.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        self.put(beside, data)
        self.rename(beside, path)

    def adopt(self, path: Path, place: Path) -> None:
        """Move a file that somebody else wrote into place, as durably as :meth:`write`.

        Raises:
            OSError: The disk refuses; the old file is untouched.
        """
        place.parent.mkdir(parents=True, exist_ok=True)
        self.flush(path)
        self.rename(path, place)

    def put(self, path: Path, data: bytes) -> None:
        """Write a file and flush its bytes; not yet durable by name."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def flush(self, path: Path) -> None:
        """Flush a file's bytes, or a folder's names, to the disk."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Rename over whatever is there, and make the new name durable."""
        old.replace(new)
        self.flush(new.parent)

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is no fault."""
        path.unlink(missing_ok=True)
