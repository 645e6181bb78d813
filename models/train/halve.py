"""Keeps a network's weights in sixteen bits, so that its file has half the bytes and computes as before.

    python -m models.train.halve MODEL.onnx OUTPUT.onnx        for a file that is there already; export does it itself

Each large float32 constant becomes a float16 one and a Cast, which ONNX Runtime works out once, while it loads: the
graph that runs, its speed and its memory are those of the whole weights. Promises that the file answers as the one it
was made from but for the rounding, and writes nothing otherwise. Needs `onnx`, not torch.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

SMALLEST_HALVED = 1024  # values; fewer save less than the conversion costs, and biases are better kept whole
LARGEST_ROUNDING = 5e-3  # of the largest value, on a picture of noise: what rounding may change


def halved(whole: bytes) -> tuple[bytes, float]:
    """The same network with its weights in sixteen bits, and how much its answers differ, as a share of the largest.

    Args:
        whole: A file's bytes; its first input has a fixed shape.

    Raises:
        ValueError: The answers differ by too much.
    """
    model = onnx.load_from_string(whole)
    halve(model.graph)
    data = model.SerializeToString()
    before, after = (onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]) for each in (whole, data))
    taken = before.get_inputs()[0]
    picture = np.random.default_rng(0).random(taken.shape, np.float32)
    answers = zip(*(session.run(None, {taken.name: picture}) for session in (before, after)), strict=True)
    error = max(float(np.abs(was - now).max() / np.abs(was).max()) for was, now in answers)
    if not error <= LARGEST_ROUNDING:
        raise ValueError(f"its answers would differ by {error:.2g} of the largest, more than {LARGEST_ROUNDING}")
    return data, error


def halve(graph: onnx.GraphProto) -> None:
    """Store every large float32 constant in sixteen bits, in its place among the others; those too large stay whole."""
    for number, tensor in enumerate(graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        if values.size < SMALLEST_HALVED or not np.abs(values).max() <= np.finfo(np.float16).max:
            continue
        name = tensor.name
        graph.initializer[number].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        graph.node.insert(0, onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))


def main() -> None:
    """Read a file, write it halved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a file that export wrote, with whole weights")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    try:
        whole = args.model.read_bytes()
        data, error = halved(whole)
    except (OSError, DecodeError, ValueError) as reason:
        raise SystemExit(f"{args.model}: can't be halved: {reason}; nothing was written") from None
    partial = args.output.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(args.output)
    print(f"{args.output}: {len(data)} bytes for {len(whole)}, differs by {error:.1g}")
    print(f"sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
