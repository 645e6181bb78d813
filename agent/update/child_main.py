"""The child process in which a candidate is tried: loads one model under limits and says what it sees in pictures.

Reads requests on standard input and answers in lines of JSON; whatever a library prints goes nowhere near the answers.
It writes no file, and ends when its parent does.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from agent.errors import ModelError
from agent.update.refusal import Kind, UpdateError
from agent.values import Detections
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.detector import Detector
from agent.vision.engine import EngineOptions, OnnxEngine
from agent.vision.families import Outputs
from agent.vision.model_file import ModelFile, read_model

_NICE: Final = 10  # counting goes first
_MEMORY_WORDS: Final = ("bad_alloc", "Failed to allocate", "out of memory", "bfc_arena")


class FiniteEngine:
    """An engine whose outputs are checked for NaN and infinity, so that such a model is called by its name."""

    def __init__(self, engine: OnnxEngine) -> None:
        self.provider, self.fallback = engine.provider, engine.fallback
        self._engine = engine

    def run(self, tensor: Any) -> Outputs:
        """See :meth:`agent.vision.engine.OnnxEngine.run`.

        Raises:
            UpdateError: An output is not finite.
        """
        outputs = self._engine.run(tensor)
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise UpdateError("not_finite", f"its output {name!r} holds values that are no numbers")
        return outputs


def limit(memory_bytes: int) -> None:
    """Bound what this process may take: memory for data, no file, no core dump; the kernel ends it before any other."""
    with suppress(OSError):  # where memory runs out, the candidate ends before the agent does
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)


def load(request: dict[str, Any]) -> Detector:
    """The model that the parent asks for, if its bytes are those that were verified.

    Raises:
        UpdateError: Other bytes, or an output that is not finite.
        ModelError: It is refused, or does not load.
    """
    foreign = request["foreign"]
    model: ModelFile = read_model(Path(request["model"]), ForeignModel(**foreign) if foreign else None)
    description: ModelDescription = model.description
    if request["sha256"] not in (None, description.sha256):
        raise UpdateError("arbitrary_installation", "the file on this box is no longer the one that was verified")
    providers = request["providers"]
    options = EngineOptions(request["threads"], None if providers is None else tuple(providers))
    detector = Detector(description, FiniteEngine(OnnxEngine(model, options)))
    detector.warm_up()
    return detector


def serve(requests: IO[bytes], answers: IO[bytes], bound: Callable[[int], None] = limit) -> None:
    """Answer until the parent closes its end.

    Args:
        requests: One line about the model, then for each picture a line with height and width, and its pixels.
        answers: One line of JSON each.
        bound: Limits this process to so many bytes.
    """
    try:
        request = json.loads(requests.readline())
        bound(request["memory_bytes"])
        detector = load(request)
        _answer(answers, {"ready": detector.description.name, "provider": detector.provider})
        while header := requests.readline():
            height, width = json.loads(header)
            pixels = np.frombuffer(requests.read(height * width * 3), np.uint8).reshape(height, width, 3)
            started_s = time.perf_counter()
            found = detector.detect([pixels])[0]
            _answer(answers, _plain(found, time.perf_counter() - started_s))
    except UpdateError as error:
        _refuse(answers, error.kind, str(error))
    except ModelError as error:
        told = f"{error} {error.__cause__}"
        tight = any(word in told for word in _MEMORY_WORDS)
        _refuse(answers, "out_of_memory" if tight else "bad_model", str(error))
    except MemoryError:
        _refuse(answers, "out_of_memory", "it takes more memory than a trial may")


def _plain(found: Detections, took_s: float) -> dict[str, Any]:
    return {
        "boxes": found.boxes.tolist(),
        "scores": found.scores.tolist(),
        "classes": found.classes.tolist(),
        "took_s": took_s,
    }


def _refuse(answers: IO[bytes], kind: Kind, detail: str) -> None:
    _answer(answers, {"refused": kind, "detail": detail})


def _answer(answers: IO[bytes], content: dict[str, Any]) -> None:
    answers.write(json.dumps(content).encode() + b"\n")
    answers.flush()


def main() -> None:
    """Keep standard output for answers alone, then serve."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
