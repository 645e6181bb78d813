"""The last minutes of one camera, bounded in seconds and in bytes: in memory, or sealed on disk.

In memory nothing is written before an alarm. On disk it goes minutes back and outlives a power cut, but for its last
seconds; each piece is sealed to the owner's key before it is written, so the disk never holds a picture in the
clear. Pieces are whole or not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agent.errors import EvidenceError
from agent.evidence.avi import Picture, unpack
from agent.evidence.folder import EvidenceFolder
from agent.evidence.sealing import Sealer

PIECE_S: Final = 5.0
"""So much is in memory only, and lost when the power goes."""
Film = Callable[[list[Picture]], bytes]


class Ring(Protocol):
    """Where pictures stay for a while."""

    def add(self, picture: Picture) -> None:
        """Take a picture, later than all before."""
        ...

    def between(self, start_s: float, end_s: float) -> list[Picture]:
        """What is held of a stretch of monotonic time, both ends included."""
        ...

    def trim(self, before_s: float) -> None:
        """Let go of what is older, monotonic seconds, and of the oldest where it is more than allowed."""
        ...


class MemoryRing:
    """Holds pictures in memory.

    Args:
        max_bytes: Beyond this the oldest go.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pictures: deque[Picture] = deque()
        self._bytes = 0

    def add(self, picture: Picture) -> None:
        """See :meth:`Ring.add`."""
        self._pictures.append(picture)
        self._bytes += len(picture.jpeg)
        while self._bytes > self._max_bytes:
            self._drop()

    def between(self, start_s: float, end_s: float) -> list[Picture]:
        """See :meth:`Ring.between`."""
        return [each for each in self._pictures if start_s <= each.mono_s <= end_s]

    def trim(self, before_s: float) -> None:
        """See :meth:`Ring.trim`."""
        while self._pictures and self._pictures[0].mono_s < before_s:
            self._drop()

    def _drop(self) -> None:
        self._bytes -= len(self._pictures.popleft().jpeg)


@dataclass(frozen=True, slots=True)
class _Piece:
    path: Path
    start_s: float
    end_s: float
    size: int


class DiskRing:
    """Holds sealed pieces on disk.

    Args:
        folder: Where.
        camera: Whose.
        sealer: To whom they are sealed; this process can read them back until it ends.
        film: Makes a film of pictures.
        max_bytes: Beyond this the oldest go.
    """

    def __init__(self, folder: EvidenceFolder, camera: str, sealer: Sealer, film: Film, max_bytes: int) -> None:
        self._folder, self._camera, self._sealer, self._film = folder, camera, sealer, film
        self._max_bytes = max_bytes
        self._open: list[Picture] = []
        self._pieces: deque[_Piece] = deque()

    def add(self, picture: Picture) -> None:
        """See :meth:`Ring.add`.

        Raises:
            EvidenceError: The disk has no room; the piece is let go.
            OSError: The disk refuses; the same.
        """
        if self._open and picture.mono_s - self._open[0].mono_s >= PIECE_S:
            pictures, self._open = self._open, [picture]
            self._write(pictures)
        else:
            self._open.append(picture)

    def between(self, start_s: float, end_s: float) -> list[Picture]:
        """See :meth:`Ring.between`. A piece that can't be read back is passed over."""
        found: list[Picture] = []
        for piece in self._pieces:
            if piece.end_s >= start_s and piece.start_s <= end_s:
                found += self._read(piece)
        return [each for each in (*found, *self._open) if start_s <= each.mono_s <= end_s]

    def trim(self, before_s: float) -> None:
        """See :meth:`Ring.trim`."""
        held = sum(piece.size for piece in self._pieces)
        while self._pieces and (self._pieces[0].end_s < before_s or held > self._max_bytes):
            held -= self._pieces[0].size
            self._folder.drop_piece(self._pieces.popleft().path)

    def _write(self, pictures: list[Picture]) -> None:
        sealed = self._sealer.seal_readable(self._film(pictures))
        path = self._folder.keep_piece(self._camera, pictures[0].utc_s, pictures[-1].utc_s, sealed)
        self._pieces.append(_Piece(path, pictures[0].mono_s, pictures[-1].mono_s, len(sealed)))

    def _read(self, piece: _Piece) -> list[Picture]:
        try:
            return unpack(self._sealer.read_back(piece.path.read_bytes()))[1]
        except (OSError, EvidenceError):  # somebody removed or changed it: the others still tell
            return []
