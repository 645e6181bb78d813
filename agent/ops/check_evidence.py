"""What evidence needs from the machine: keys that can seal, the library that does it, a place with room.

Reads what it must and writes nothing. Every finding says what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath
from typing import Final

from agent.config.evidence import Evidence
from agent.config.fault import Path
from agent.config.schema import Config
from agent.errors import EvidenceError
from agent.evidence.folder import LEAVE_BYTES, free_bytes
from agent.evidence.lateness import lateness_s
from agent.evidence.sealing import Sealer
from agent.ops.findings import Finding, Level

_BYTES_A_PICTURE: Final = (
    100_000  # a busy street, 1280 pixels wide, at the quality that is kept; in proportion to its area
)


def check_evidence(
    config: Config, writable: Callable[[FilePath], bool], free: Callable[[FilePath], int] = free_bytes
) -> Iterator[Finding]:
    """Everything that would keep a clip from being kept.

    Args:
        config: The configuration.
        writable: Whether files can be made in a folder.
        free: Room on a folder's disk, bytes.
    """
    wish = config.evidence
    if wish is None:
        for number, camera in enumerate(config.cameras):
            if camera.evidence.keys is not None:
                wrong = f"camera {camera.name} names keys for evidence, but none is kept"
                yield Finding(
                    Level.ERROR, ("cameras", number, "evidence"), wrong, "add a section evidence, or delete it"
                )
        return
    yield from _keys(("evidence", "keys"), wish.keys)
    for number, camera in enumerate(config.cameras):
        if camera.evidence.keys is not None and camera.evidence.enabled:
            yield from _keys(("cameras", number, "evidence", "keys"), camera.evidence.keys)
    yield from _place(wish, wish.folder or config.state_dir, writable, free)
    held_s = [wish.before_s + lateness_s(camera, wish.on) for camera in config.cameras if camera.evidence.enabled]
    needed = len(held_s) * max(held_s, default=0.0) * wish.fps * _BYTES_A_PICTURE * (wish.width_px / 1280) ** 2
    if wish.ring is None and wish.memory_mb * 1e6 < needed:
        cameras = "a camera" if len(held_s) == 1 else f"{len(held_s)} cameras"
        wrong = f"{wish.memory_mb} MB may be too little for the {max(held_s):g} s that memory must hold of {cameras}"
        hint = f"write {math.ceil(needed / 1e6)}, add a ring, or lower before_s, settle_s, fps or width_px"
        yield Finding(Level.WARNING, ("evidence", "memory_mb"), wrong, hint)


def _keys(path: Path, keys: tuple[str, ...]) -> Iterator[Finding]:
    try:
        Sealer(keys)
    except EvidenceError as error:
        wrong, _, hint = str(error).partition("; ")
        yield Finding(Level.ERROR, path, wrong, hint)


def _place(
    wish: Evidence, folder: FilePath, writable: Callable[[FilePath], bool], free: Callable[[FilePath], int]
) -> Iterator[Finding]:
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    path: Path = ("evidence",) if wish.folder is None else ("evidence", "folder")
    if wish.folder is not None and not nearest.is_dir():
        yield Finding(Level.ERROR, path, f"{folder} can't be a folder: {nearest} is a file", "name another folder")
    elif wish.folder is not None and not writable(nearest):
        yield Finding(Level.ERROR, path, f"{folder} can't be written by this user", "change its owner, or name another")
    elif nearest.is_dir():
        wanted = (wish.clips_mb + (0 if wish.ring is None else wish.ring.mb)) * 1_000_000 + LEAVE_BYTES
        left = free(nearest)
        if left < LEAVE_BYTES:
            wrong = f"the disk of {folder} is full, so no clip can be kept"
            yield Finding(Level.ERROR, path, wrong, "make room, or name another folder")
        elif left < wanted:
            wrong = f"the disk of {folder} has {left // 1_000_000} MB left; evidence may use {wanted // 1_000_000}"
            yield Finding(Level.WARNING, path, wrong, "make room, or lower evidence.clips_mb")
