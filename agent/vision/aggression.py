"""Says how likely a short clip shows people attacking each other: the clip model.

It is given maps of how 16 small grey pictures move, and six of the pictures, which it looks at unless movement rules a
fight out. It never decides: one clip proves nothing, and whoever asks must want it to persist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.vision.motion import CELLS, FRAMES, MAPS, SIDE_PX, Grey, motion, small
from agent.vision.stills import SIDE_PX as STILL_PX
from agent.vision.stills import STILLS, stills

MOST_BYTES: Final = 3_000_000
RECIPE: Final = "give one trained by Kentongan's recipe, models/train/aggression in its source"
_QUOTED: Final = 200
MOST_LEVELS: Final = 50
"""Lists in lists, and so on, in what a file says of itself: nobody means more, and whoever reads them goes as deep."""


class AggressionModel:
    """The clip model.

    Args:
        path: The ONNX file.
        member: Ask only this one of the networks that the file is the mean of; ``None`` asks all.

    Attributes:
        sha256: Of its bytes.
        facts: What the file says of itself: measured accuracy, and which network never saw which clip.

    Raises:
        ModelError: It can't be read, loaded or run, is too large, or takes, gives or tells something else.
    """

    def __init__(self, path: Path, member: int | None = None) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: the clip model can't be read ({error.strerror}); name another file") from error
        if len(data) > MOST_BYTES:
            raise ModelError(f"{path}: the clip model has {len(data)} bytes; at most {MOST_BYTES} are taken")
        self.sha256 = hashlib.sha256(data).hexdigest()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises types of its own that it does not export
            why = " ".join(str(error).split())[:_QUOTED]
            raise ModelError(f"{path}: the clip model can't be loaded ({why}); copy it again, or {RECIPE}") from error
        inputs = self._session.get_inputs()
        if not inputs:
            raise ModelError(f"{path}: the clip model takes nothing, and can't tell clips apart; {RECIPE}")
        self._moves, *looks = inputs
        _fits(path, self._moves, [MAPS, FRAMES - 1, CELLS, CELLS], f"maps, steps in {FRAMES} pictures, rows, columns")
        self._looks = looks[0] if looks else None
        if self._looks is not None:
            _fits(path, self._looks, [STILL_PX, STILL_PX], f"rows, columns of {STILLS} pictures")
        if len(looks) > 1:
            raise ModelError(f"{path}: the clip model takes {looks[1].name!r} too, which nobody gives it; {RECIPE}")
        self._member = member
        self._output = "fight" if member is None else "members"
        if self._output not in {each.name for each in self._session.get_outputs()}:
            raise ModelError(f"{path}: the clip model gives no {self._output!r}; {RECIPE}")
        self.facts: dict[str, Any] = _facts(path, self._session.get_modelmeta().custom_metadata_map)
        self._try_out(path)

    def score(self, clip: Sequence[Grey]) -> float:
        """The likeness of a clip to a fight, 0 to 1.

        Args:
            clip: 16 grey pictures or parts of them, uint8, of one size, 0.1 s apart.
        """
        given: dict[str, NDArray[np.float32]] = {self._moves.name: motion([small(each) for each in clip])[np.newaxis]}
        if self._looks is not None:
            given[self._looks.name] = stills(clip)
        output: Any = self._session.run([self._output], given)[0]
        return float(output[0, self._member or 0])

    def _try_out(self, path: Path) -> None:
        """Judge a clip in which nothing moves: what fails on it would fail on every clip, while cameras are counted.

        What looks may do so only where something moves, so one more is tried on it, in which everything does.
        """
        noise = np.random.default_rng(0).integers(0, 255, (FRAMES, SIDE_PX, SIDE_PX), np.uint8)
        self._try_on(path, np.zeros_like(noise))
        if self._looks is not None:
            self._try_on(path, noise)

    def _try_on(self, path: Path, clip: NDArray[np.uint8]) -> None:
        try:
            likeness = self.score(list(clip))
        except Exception as error:  # of the runtime, or because the output has another shape
            raise ModelError(f"{path}: the clip model can't judge a clip: {error}; {RECIPE}") from error
        if not 0 <= likeness <= 1:
            raise ModelError(f"{path}: the clip model gives {likeness}, not 0 to 1; {RECIPE}")


def _fits(path: Path, taken: ort.NodeArg, wanted: list[int], what: str) -> None:
    """Refuse an input that takes other values than it would be given."""
    if list(taken.shape[1:]) != wanted:
        raise ModelError(f"{path}: the clip model takes {taken.shape[1:]}, not {wanted}: {what}; {RECIPE}")
    if taken.type != "tensor(float)":
        raise ModelError(f"{path}: the clip model takes {taken.type}, not tensor(float); export it as float32")


def _facts(path: Path, described: Mapping[str, str]) -> dict[str, Any]:
    """What a model file says of itself."""
    facts: dict[str, Any] = {}
    for key in sorted({"accuracy", "held_out"} & described.keys()):
        try:
            facts[key] = json.loads(described[key])
            too_deep = _is_deeper(facts[key], MOST_LEVELS)
        except ValueError as error:
            raise ModelError(f"{path}: the clip model's metadata {key!r} is no JSON ({error}); {RECIPE}") from error
        except RecursionError:
            too_deep = True
        if too_deep:
            raise ModelError(
                f"{path}: the clip model's metadata {key!r} is nested deeper than {MOST_LEVELS} levels; {RECIPE}"
            )
    return facts


def _is_deeper(value: object, levels: int) -> bool:
    """Whether lists and mappings lie in each other deeper than so many levels; itself it never goes deep."""
    within: list[object] = [value]
    for _ in range(levels + 1):
        within = [
            part
            for each in within
            if isinstance(each, list | dict)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(within)
