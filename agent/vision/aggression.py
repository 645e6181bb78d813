"""Says how likely a short clip shows people attacking each other: the clip model, and the clip it is given.

The clip is 16 small grey pictures, a tenth of a second apart, of one place. The model sees only how they move. It
never decides: one clip proves nothing, and whoever asks must want it to persist.
"""

from __future__ import annotations

import hashlib
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from agent.errors import ModelError
from agent.values import Image
from agent.vision.motion import FPS, FRAMES, NUMBERS, motion, small

MOST_BYTES: Final = 3_000_000
LATE_S: Final = 1.5 / FPS
"""Pictures further apart than this are no clip; it begins again."""


class AggressionModel:
    """The clip model.

    Args:
        path: The ONNX file.

    Raises:
        ModelError: It can't be read or loaded, is too large, or takes something else.
    """

    def __init__(self, path: Path) -> None:
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
            raise ModelError(f"{path}: the clip model can't be loaded: {error}") from error
        shape = self._session.get_inputs()[0].shape
        if list(shape[1:]) != [FRAMES - 1, NUMBERS]:
            wanted = f"{FRAMES - 1} steps of {NUMBERS} numbers"
            raise ModelError(f"{path}: the clip model takes {shape[1:]}, not {wanted}; give one trained by this recipe")

    def score(self, rows: NDArray[np.float32]) -> float:
        """The likeness of a clip to a fight, 0 to 1.

        Args:
            rows: float32, shape (15, 32), of :func:`agent.vision.motion.motion`.
        """
        name = self._session.get_inputs()[0].name
        output: Any = self._session.run(None, {name: rows[np.newaxis]})[0]
        return float(output[0, 0])


class Clip:
    """The last 16 pictures of one place, and what they show together."""

    def __init__(self) -> None:
        self._pictures: deque[NDArray[np.uint8]] = deque(maxlen=FRAMES)
        self._last_s: float | None = None

    def add(self, part: Image, now_s: float) -> bool:
        """Take in the place's part of a picture, uint8, BGR, any size.

        Returns:
            Whether 16 pictures in a row are there now. Pictures that come too soon are left out.
        """
        if self._last_s is not None and now_s - self._last_s < 0.75 / FPS and now_s >= self._last_s:
            return False
        if self._last_s is not None and not 0 <= now_s - self._last_s <= LATE_S:
            self._pictures.clear()
        self._last_s = now_s
        self._pictures.append(small(part))
        return len(self._pictures) == FRAMES

    def rows(self) -> NDArray[np.float32]:
        """Their motion, float32, shape (15, 32)."""
        return motion(list(self._pictures))
