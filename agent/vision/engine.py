"""Runs one ONNX model with ONNX Runtime on the best hardware the box has.

The execution provider that is really used is known by name, and taking a lesser one than asked for is logged and kept
as a sentence: a fallback is never silent. Loads exactly the bytes that were hashed and judged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime

from agent.errors import ModelError
from agent.vision.model_file import ModelFile

_log = logging.getLogger(__name__)

# Fastest first; what a build of ONNX Runtime lacks is skipped.
PROVIDERS: Final[Mapping[str, str]] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


class Session(Protocol):
    """The part of ``onnxruntime.InferenceSession`` that is used."""

    def get_providers(self) -> list[str]:
        """The execution providers it runs on, most preferred first."""
        ...

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any]) -> Sequence[Any]:
        """Run the model."""
        ...


class Runtime(Protocol):
    """What opens sessions; tests pass their own."""

    def available(self) -> Sequence[str]:
        """Execution providers of this build, by ONNX Runtime's names."""
        ...

    def open(self, data: bytes, provider: str, threads: int) -> Session:
        """Open a session on one provider, with the CPU for the operators it lacks."""
        ...


class OnnxRuntime:
    """The real one."""

    def available(self) -> Sequence[str]:
        """See :meth:`Runtime.available`."""
        found: list[str] = onnxruntime.get_available_providers()
        return found

    def open(self, data: bytes, provider: str, threads: int) -> Session:
        """See :meth:`Runtime.open`."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions with the same text
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads
        # The arena reuses one run's buffers for the next. Without it they go through malloc among everybody else's,
        # and the process grows by up to 100 MB of holes; a plan of all buffers at once (the pattern) costs 5 MB more.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = False
        # Threads that spin between frames would burn the CPU that decoding needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        names: list[Any] = [provider]
        if provider == PROVIDERS["xnnpack"]:
            names = [(provider, {"intra_op_num_threads": str(max(threads, 1))})]
            options.intra_op_num_threads = 1  # XNNPACK brings its own pool
        if provider != PROVIDERS["cpu"]:
            names.append(PROVIDERS["cpu"])
        session: Session = onnxruntime.InferenceSession(data, options, providers=names)
        return session


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run.

    Attributes:
        threads: Threads of one run; 0 leaves it to ONNX Runtime, which takes one per core.
        providers: Names from :data:`PROVIDERS` in the order to try; ``None`` tries all the build has.
    """

    threads: int = 0
    providers: tuple[str, ...] | None = None


class OnnxEngine:
    """One loaded model.

    Args:
        model: The judged file.
        options: How to run it.
        runtime: What opens the session.

    Attributes:
        provider: Name of the execution provider in use, from :data:`PROVIDERS`.
        fallback: Why a preferred provider is not in use, one sentence each; empty when the first choice is.

    Raises:
        ModelError: No provider loads the model.
    """

    def __init__(self, model: ModelFile, options: EngineOptions, runtime: Runtime | None = None) -> None:
        self._name = model.description.name
        self._outputs = [tensor.name for tensor in model.outline.outputs]
        self._size_input = "orig_target_sizes" in {tensor.name for tensor in model.outline.inputs}
        self._image_input = next(t.name for t in model.outline.inputs if t.name != "orig_target_sizes")
        self.provider, self._session, self.fallback = _open(model, options, runtime or OnnxRuntime())
        for reason in self.fallback:
            _log.warning("%s", reason)

    def run(self, tensor: Any) -> dict[str, Any]:
        """Run on a batch.

        Args:
            tensor: float32 or float16, shape (batch, 3, height, width).

        Returns:
            The outputs by name.

        Raises:
            ModelError: ONNX Runtime gives up on it.
        """
        feed: dict[str, Any] = {self._image_input: tensor}
        if self._size_input:  # asked for boxes in pixels of the input: width, height
            height, width = tensor.shape[2:]
            feed["orig_target_sizes"] = np.tile(np.array([[width, height]], np.int64), (len(tensor), 1))
        try:
            values = self._session.run(self._outputs, feed)
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise ModelError(
                f"the model {self._name} fails while running on {self.provider} ({_first_line(error)}); "
                "choose another provider or export the model again"
            ) from error
        return dict(zip(self._outputs, values, strict=True))


def _open(model: ModelFile, options: EngineOptions, runtime: Runtime) -> tuple[str, Session, tuple[str, ...]]:
    """Open a session on the first provider that takes the model; say why the ones before it did not."""
    available = runtime.available()
    wanted = options.providers or tuple(name for name in PROVIDERS if PROVIDERS[name] in available)
    order = wanted if "cpu" in wanted else (*wanted, "cpu")
    name, reasons = model.description.name, []
    for short in order:
        if PROVIDERS[short] not in available:
            reasons.append(f"{short} is not in this build of ONNX Runtime")
            continue
        try:
            session = runtime.open(model.data, PROVIDERS[short], options.threads)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no base but Exception
            reasons.append(f"{short} refuses it ({_first_line(error)})")
            continue
        if session.get_providers()[0] != PROVIDERS[short]:
            reasons.append(f"{short} did not start on this machine")
            continue
        skipped = tuple(f"the model {name} runs on {short} instead: {reason}" for reason in reasons)
        return short, session, skipped
    raise ModelError(f"the model {name} can't be loaded: {'; '.join(reasons)}; export it again or use another model")


def _first_line(error: Exception) -> str:
    """The first line of ONNX Runtime's message, without its source paths."""
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
