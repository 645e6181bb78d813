"""Starts a run from a model of this recipe that is an ONNX file already, in place of random weights.

An exported file has each batch normalisation melted into its convolution. Here they are taken apart again: the
statistics are measured on training pictures, and scale and shift are set so that the network answers as the file
does. Promises just that, or refuses; never takes weights of another network.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import onnxslim
import torch
from google.protobuf.message import DecodeError
from torch import nn

from models.train.export import deployed, write_raw

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from ultralytics.nn.tasks import DetectionModel

LARGEST_ERROR = 5e-3  # of the largest value, between the file and the network made from it


def start_from(model: DetectionModel, file: Path, pictures: Tensor) -> None:
    """Give a network the weights of an exported file.

    Args:
        model: The network as `build_model` made it; changed in place.
        file: What `models.train.export` wrote for the same network.
        pictures: (n, 3, height, width) float32 RGB 0..1, at the file's input size: training pictures, to measure the
            normalisations' statistics on.

    Raises:
        SystemExit: It is another network's file.
    """
    data = file.read_bytes()
    melted = _weights_of(model, onnx.load_from_string(data), (pictures.shape[3], pictures.shape[2]), file)
    shifts = {}
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d) and f"{name}.bias" in melted:
                module.weight.copy_(torch.from_numpy(melted[f"{name}.weight"]))
                shift = torch.from_numpy(melted[f"{name}.bias"])
                if module.bias is None:
                    shifts[name.removesuffix(".conv") + ".bn"] = shift
                else:
                    module.bias.copy_(shift)
        _measure_statistics(model, shifts, pictures)
    _compare(model, data, pictures[:1], file)


def origin_of(file: Path) -> dict[str, Any]:
    """What a run that starts from a file has to say of it: its sha256, and how it was made.

    Raises:
        SystemExit: It is no ONNX file, or does not say what it was trained on.
    """
    try:
        data = file.read_bytes()
        props = {prop.key: prop.value for prop in onnx.load_from_string(data).metadata_props}
        made = json.loads(props.get("kentongan", "{}")).get("provenance", {})
    except (OSError, ValueError, DecodeError) as error:
        raise SystemExit(f"{file}: can't be read as an ONNX file: {error}") from None
    if "data_sha256" not in made:
        raise SystemExit(f"{file}: does not say what it was trained on; start from a file that this recipe exported")
    return {"sha256": hashlib.sha256(data).hexdigest(), "provenance": made}


def _weights_of(
    model: DetectionModel, graph: onnx.ModelProto, size: tuple[int, int], file: Path
) -> dict[str, NDArray[np.float32]]:
    """The file's weights under the names they have in the network: exporting it once more tells their order."""
    unlike = copy.deepcopy(model)
    for name, parameter in unlike.named_parameters():
        if not name.endswith("dfl.conv.weight"):
            parameter.data.normal_()  # equal tensors would be written once, under one name
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        write_raw(deployed(unlike), size, raw)
        named = onnxslim.slim(onnx.load(str(raw)))
    pairs = list(zip(named.graph.initializer, graph.graph.initializer, strict=False))
    same = len(named.graph.initializer) == len(graph.graph.initializer)
    if not same or any(list(a.dims) != list(b.dims) for a, b in pairs):
        raise SystemExit(f"{file}: holds another network than street.yaml; start from a file made with it")
    return {a.name: onnx.numpy_helper.to_array(b).astype(np.float32) for a, b in pairs}


def _measure_statistics(model: DetectionModel, shifts: dict[str, Tensor], pictures: Tensor) -> None:
    """Set each normalisation, in the order the pictures pass them, so that all it does is add its shift."""

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor], shift: Tensor) -> None:
        mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(shift + mean)

    hooks = [
        module.register_forward_pre_hook(lambda norm, inputs, name=name: measure(norm, inputs, shifts[name]))
        for name, module in model.named_modules()
        if name in shifts
    ]
    model.eval()
    model.predict(pictures)
    for hook in hooks:
        hook.remove()


def _compare(model: DetectionModel, data: bytes, picture: Tensor, file: Path) -> None:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    wanted = session.run(None, {session.get_inputs()[0].name: picture.numpy()})[0]
    with torch.no_grad():
        answer = deployed(copy.deepcopy(model))(picture)
    got = (answer[0] if isinstance(answer, tuple) else answer).numpy()
    error = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if error > LARGEST_ERROR:
        raise SystemExit(
            f"{file}: the network made from it answers otherwise, by {error:.2g}; it is not of this recipe"
        )
