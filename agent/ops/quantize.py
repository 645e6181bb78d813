"""Static int8 quantisation of a detection model, calibrated on frames of the street it will watch.

Weights per channel, activations by their observed range, in ONNX's own QuantizeLinear and DequantizeLinear operators.
The last operators, which turn features into boxes and scores, stay in float: boxes in pixels and scores below one in
one tensor share no scale. Needs the `onnx` package (the `models` extra).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from rich.console import Console
from rich.progress import Progress

from agent.clock import SystemClock
from agent.errors import KentonganError, ModelError, SourceError
from agent.installation import how_to_add
from agent.ops.model_writing import write_described
from agent.values import Image
from agent.video import open_source
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.model_file import read_model
from agent.vision.preprocess import Preprocessor

_PICTURES: Final = {".jpg", ".jpeg", ".png"}
_LEAST_FRAMES: Final = 8
_EVERY: Final = 5  # neighbouring frames of a video teach nothing new
_CAMERA_WAIT_S: Final = 10.0


def quantize(
    model: Path, output: Path, frames: str, *, foreign: ForeignModel | None = None, count: int = 128
) -> ModelDescription:
    """Make an int8 version of a model.

    Args:
        model: A float model.
        output: Where the int8 model goes.
        frames: A folder of pictures, a video file or a camera's address: what it will be calibrated on.
        foreign: What is known of a model that does not describe itself.
        count: Frames to calibrate on.

    Raises:
        ModelError: The model is refused, or the result would be.
        KentonganError: The `models` extra is missing.
        SourceError: There are too few frames.
    """
    try:
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static  # noqa: PLC0415
        from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415 - an extra, as above
    except ImportError as error:
        raise KentonganError(f"quantising needs more packages: {how_to_add('models')}") from error
    judged = read_model(model, foreign)
    reader = _Calibration(judged.description, judged.outline.inputs[0].name, list(_pictures(frames, count)))
    with tempfile.TemporaryDirectory() as name:
        prepared, made = Path(name) / "prepared.onnx", Path(name) / "int8.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(made),
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_heads(prepared),
        )
        data = made.read_bytes()
    description = dataclasses.replace(
        judged.description,
        version=f"{judged.description.version}-int8",
        provenance={**judged.description.provenance, "quantised_from_sha256": judged.description.sha256},
    )
    return write_described(data, description, output)


def _heads(path: Path) -> list[str]:
    """The last convolutions before the outputs: they speak in pixels and scores, and stay in float."""
    import onnx  # noqa: PLC0415 - an extra, as above

    graph = onnx.load(str(path)).graph
    maker = {output: node for node in graph.node for output in node.output}
    heads, seen = [], set()
    front = [output.name for output in graph.output]
    while front:
        node = maker.get(front.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type == "Conv":
            heads.append(node.name)
        else:
            front += node.input
    return heads


class _Calibration:
    """Hands calibration frames to ONNX Runtime, prepared exactly as the agent prepares them."""

    def __init__(self, description: ModelDescription, name: str, pictures: list[Image]) -> None:
        self._preprocessor = Preprocessor(description.input)
        self._name = name
        self._pictures = pictures
        self._position = 0

    def get_next(self) -> dict[str, Any] | None:
        """The next frame, or None at the end."""
        if self._position >= len(self._pictures):
            return None
        tensor, _ = self._preprocessor.load([self._pictures[self._position]])
        self._position += 1
        return {self._name: np.array(tensor)}

    def rewind(self) -> None:
        """Start again."""
        self._position = 0

    def set_range(self, start_index: int, end_index: int) -> None:
        """Limit to a part; calibration in one go needs none."""
        raise ModelError(f"calibration asked for frames {start_index} to {end_index}, but it is done in one go")


def _pictures(frames: str, count: int) -> Iterator[Image]:
    folder = Path(frames)
    source = _from_folder(folder, count) if folder.is_dir() else _from_source(frames, count)
    found = 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("calibration frames", total=count)
        for picture in source:
            found += 1
            progress.advance(task)
            yield picture
    if found < _LEAST_FRAMES:
        raise SourceError(f"{frames} gave {found} frames; calibration needs at least {_LEAST_FRAMES}, better {count}")


def _from_folder(folder: Path, count: int) -> Iterator[Image]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    step = max(1, len(files) // count)
    for path in files[::step][:count]:
        image = cv2.imread(str(path))
        if image is None:
            raise SourceError(f"{path} does not decode as a picture; remove it from the calibration folder")
        yield image  # type: ignore[misc]


def _from_source(address: str, count: int) -> Iterator[Image]:
    source = open_source(address, "calibration", SystemClock())
    try:
        number = 0
        while number < count * _EVERY and (frame := source.read(_CAMERA_WAIT_S)) is not None:
            if number % _EVERY == 0:
                yield frame.image
            number += 1
    finally:
        source.close()
