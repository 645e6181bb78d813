"""Opens one ONNX file: its bytes are read once, hashed, judged, and those same bytes are what the engine loads.

Refuses what could pull in anything from outside the bytes (weights in other files, operators of other libraries) and
what nobody could read (no ONNX, too large, an unknown family or labels). Runs nothing and writes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.errors import ModelError
from agent.vision.describe import ForeignModel, describe
from agent.vision.description import ModelDescription
from agent.vision.onnx_outline import Outline, read_outline
from agent.vision.wire import NotOnnxError

SIZE_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""The largest file that is read; the models meant for a street box have a few megabytes."""
_QUOTED: Final = 60  # letters of a file's own names that a sentence repeats


@dataclass(frozen=True, slots=True, eq=False)
class ModelFile:
    """One judged file.

    Attributes:
        path: Where it was read, for messages.
        data: Its bytes; the hash in the description is theirs.
        outline: Its inputs, outputs and metadata.
        description: What it takes and gives.
    """

    path: Path
    data: bytes
    outline: Outline
    description: ModelDescription


def read_model(path: Path, foreign: ForeignModel | None = None) -> ModelFile:
    """Read, hash and judge one file.

    Args:
        path: The ONNX file.
        foreign: What the configuration says about a file that does not describe itself.

    Raises:
        ModelError: The file can't be read or is refused; the message says why and what to do.
    """
    return judge(_read(path), path, foreign)


def judge(data: bytes, path: Path, foreign: ForeignModel | None = None) -> ModelFile:
    """Judge bytes that were already read; ``path`` is only for names and messages.

    Raises:
        ModelError: The bytes are refused.
    """
    try:
        outline = read_outline(data)
    except NotOnnxError as error:
        raise ModelError(f"{path} is no ONNX model: {error}; copy or export it again") from error
    if outline.external:
        weight = min(outline.external)
        raise ModelError(
            f"{path} keeps weights in other files ({weight[:_QUOTED]!r}); export it as one file, without external data"
        )
    if foreign_operators := outline.foreign_operators():
        domain, kind = min(foreign_operators)
        operator = f"{kind[:_QUOTED]!r} of {domain[:_QUOTED]!r}"
        raise ModelError(f"{path} needs the operator {operator}; export it with operators of ONNX alone")
    description = describe(
        outline, name=path.stem, sha256=hashlib.sha256(data).hexdigest(), foreign=foreign or ForeignModel()
    )
    return ModelFile(path, data, outline, description)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}; check the path and its permissions") from error
    if len(data) > SIZE_LIMIT_BYTES:
        limit_mb = SIZE_LIMIT_BYTES // 1024**2
        raise ModelError(f"{path} is larger than {limit_mb} MB, too large for this box; use a smaller model")
    return data
