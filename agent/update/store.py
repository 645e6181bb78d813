"""The models on this box, each under the sha256 of its bytes.

Hands out bytes only after hashing those same bytes, so that what was verified is what is loaded, on every start.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.errors import ModelError
from agent.update.durable import Disk
from agent.update.refusal import UpdateError, from_os_error
from agent.vision.model_file import ModelFile, judge


class ModelStore:
    """A folder of files named by their hash.

    Args:
        folder: Where they lie.
        disk: How they are made durable.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def path(self, sha256: str) -> Path:
        """Where a file lies, or would."""
        return self._folder / sha256

    def has(self, sha256: str) -> bool:
        """Whether a file is here with exactly its bytes."""
        try:
            self.read(sha256)
        except UpdateError:
            return False
        return True

    def read(self, sha256: str) -> bytes:
        """The bytes of a file, hashed.

        Raises:
            UpdateError: It is not here (``vanished``), or is no longer what it was (``arbitrary_installation``).
        """
        path = self.path(sha256)
        try:
            data = self._disk.read(path)
        except OSError as error:
            raise from_os_error(error, f"reading {path}") from error
        if data is None:
            raise UpdateError("vanished", f"{path} is gone; the next check brings it again")
        if hashlib.sha256(data).hexdigest() != sha256:
            raise UpdateError("arbitrary_installation", f"{path} is no longer what was verified; check the disk")
        return data

    def model(self, sha256: str, name: str) -> ModelFile:
        """A model, judged, from the very bytes that were hashed.

        Args:
            sha256: Of its bytes.
            name: What it is called if it does not say so itself.

        Raises:
            UpdateError: See :meth:`read`, or it is refused as a model (``bad_model``).
        """
        try:
            return judge(self.read(sha256), Path(f"{name}.onnx"))
        except ModelError as error:
            raise UpdateError("bad_model", str(error)) from error

    def keep_only(self, wanted: frozenset[str]) -> None:
        """Remove every other file."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in wanted:
                    self._disk.remove(path)
