"""Writes a run's averaged weights as one ONNX file that says what it is.

    python -m models.train.export CHECKPOINT OUTPUT.onnx --version 1.0.0 [--size 512x288]

The file holds the project's own description (`kentongan`) and the keys of an ultralytics export, so either reader
understands it. Weights are stored in sixteen bits (`halve.py`) and widened while the file loads. Promises that the file
answers as the network it was made from does, but for that rounding; writes nothing otherwise.
"""

from __future__ import annotations

import argparse
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

from models.train.card import description
from models.train.halve import halved
from models.train.plan import Plan
from models.train.run import build_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from ultralytics.nn.tasks import DetectionModel

OPSET = 17
LARGEST_FILE_BYTES = 4_000_000
LARGEST_ERROR = 2e-3  # of the largest value, between torch and ONNX Runtime, before weights are rounded


def trained_network(checkpoint: Path) -> DetectionModel:
    """The network of a run with the averaged weights of a checkpoint in its folder, ready to be written."""
    model = build_model(checkpoint.parent / "street.yaml", seed=0)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["average"])
    return deployed(model)


def deployed(model: DetectionModel) -> DetectionModel:
    """The network as it is written: normalisations melted into the convolutions before them, boxes decoded."""
    model = model.float().eval().fuse(verbose=False)
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    return model


def write_raw(model: DetectionModel, size: tuple[int, int], output: Path) -> Tensor:
    """Write a deployed network of an input (width, height) as it comes from torch; returns a picture of that size."""
    width, height = size
    picture = torch.from_numpy(np.random.default_rng(0).random((1, 3, height, width), np.float32))
    torch.onnx.export(
        model,
        (picture,),
        str(output),
        opset_version=OPSET,
        input_names=["images"],
        output_names=["output0"],
        dynamo=False,
    )
    return picture


def provenance_of(checkpoint: Path) -> dict[str, Any]:
    """What the weights were made from: data, plan, versions, and how far the run had come."""
    record = json.loads((checkpoint.parent / "config.json").read_text(encoding="utf-8"))
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {
        "from": _beginning(record),
        "data_sha256": record["data_sha256"],
        **{key: record[key] for key in ("earlier_data", "earlier_plans") if key in record},
        "pictures_seen": state["images"],
        "steps": state["step"],
        "trained_s": round(state["trained_s"]),
        "seed": record["config"]["seed"],
        "plan_sha256": hashlib.sha256(json.dumps(record["config"], sort_keys=True).encode()).hexdigest(),
        "versions": record["versions"],
    }


def _beginning(record: Mapping[str, Any]) -> str | dict[str, Any]:
    """Random weights, or the file a run started from with all that file says of its own making."""
    if "started_from" in record:
        return dict(record["started_from"])
    return "random weights; data/street, train split"


def write_onnx(model: DetectionModel, size: tuple[int, int], metadata: Mapping[str, str], output: Path) -> None:
    """Write, simplify, describe, and compare with torch.

    Raises:
        SystemExit: The file is too large, or answers otherwise than the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        picture = write_raw(model, size, raw)
        graph = onnxslim.slim(onnx.load(str(raw)))
    shorten(graph.graph)
    onnx.helper.set_model_props(graph, dict(metadata))
    whole = graph.SerializeToString()
    session = onnxruntime.InferenceSession(whole, providers=["CPUExecutionProvider"])
    answer = session.run(None, {"images": picture.numpy()})[0]
    with torch.no_grad():
        expected = model(picture)
    truth = (expected[0] if isinstance(expected, tuple) else expected).numpy()
    error = float(np.abs(answer - truth).max() / np.abs(truth).max())
    if answer.shape != truth.shape or error > LARGEST_ERROR:
        raise SystemExit(f"{output}: ONNX Runtime's answer differs from torch's by {error:.2g}; nothing was written")
    try:
        data, rounding = halved(whole)
    except ValueError as reason:
        raise SystemExit(f"{output}: can't be halved: {reason}; nothing was written") from None
    if len(data) > LARGEST_FILE_BYTES:
        raise SystemExit(f"{output}: would be {len(data)} bytes, more than {LARGEST_FILE_BYTES}: narrow the network")
    partial = output.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(output)
    print(f"{output}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print(f"differs from torch by {error:.1g}, and by {rounding:.1g} for weights in sixteen bits")


def shorten(graph: onnx.GraphProto) -> None:
    """Give everything inside a short name and drop the noted shapes: they are two hundredths of a file this small."""
    kept = {tensor.name for tensor in (*graph.input, *graph.output)}
    inside = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    names = {name: np.base_repr(number, 36) for number, name in enumerate(inside) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for number, node in enumerate(graph.node):
        node.name = np.base_repr(number, 36)
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
    del graph.value_info[:]


def size_of(text: str) -> tuple[int, int]:
    """Parse `448x256` into width and height; both must be multiples of 32, the coarsest grid."""
    width, _, height = text.partition("x")
    if (
        not (width.isdigit() and height.isdigit())
        or int(width) % 32
        or int(height) % 32
        or not int(width) * int(height)
    ):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 448x256, both multiples of 32")
    return int(width), int(height)


def main() -> None:
    """Read the checkpoint, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="last.pt or a snapshot, in its run's folder")
    parser.add_argument("output", type=Path)
    parser.add_argument("--version", required=True, help="what records will call these weights, such as 1.0.0")
    last = Plan().stages[-1]
    parser.add_argument(
        "--size", type=size_of, default=(last.width, last.height), help="input width and height, px; the last stage's"
    )
    args = parser.parse_args()
    if not args.checkpoint.exists():
        raise SystemExit(f"{args.checkpoint}: there is no such checkpoint; train first")
    metadata = description(args.version, args.size, provenance_of(args.checkpoint))
    write_onnx(trained_network(args.checkpoint), args.size, metadata, args.output)


if __name__ == "__main__":
    main()
