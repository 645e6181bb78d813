"""Keeps a network's weights in sixteen bits, so that its file has half the bytes and computes as before.

    python -m models.train.halve MODEL.onnx OUTPUT.onnx        for a file that is there already; export does it itself

Each large float32 constant becomes a float16 one and a Cast, which ONNX Runtime works out once, while it loads: the
graph that runs, its speed and its memory are those of the whole weights. Promises that the file answers as the one it
was made from but for the rounding, and writes nothing otherwise. Needs `onnx`, not torch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from agent.vision.description import METADATA_KEY
from agent.vision.onnx_outline import with_metadata

try:
    import onnx
    from google.protobuf.message import DecodeError
except ModuleNotFoundError as error:
    raise SystemExit(
        "halving needs the package onnx: in the clone, .venv/bin/pip install -c constraints.txt -e '.[models]'"
    ) from error

SMALLEST_HALVED = 1024  # values; fewer save less than the conversion costs, and biases are better kept whole
ORIGIN = "halved_from_sha256"
LEAST_GAIN = 0.8  # of the size: what saves less holds hardly a weight in thirty-two bits
LARGEST_ROUNDING = 5e-3  # of the largest value, on a picture of noise: what rounding may change


def halved(whole: bytes) -> tuple[bytes, float]:
    """The same network with its weights in sixteen bits, and how much its answers differ, as a share of the largest.

    Args:
        whole: A file's bytes; its first input has a fixed shape.

    Raises:
        ValueError: It is no network that runs on one picture of a fixed size, or the answers differ by too much.
    """
    model = onnx.load_from_string(whole)
    if not model.graph.node:
        raise ValueError("it holds no network")
    halve(model.graph)
    data = model.SerializeToString()
    try:
        answers = zip(*_answers(whole, data), strict=True)
    except ValueError:
        raise
    except Exception as reason:  # ONNX Runtime's own errors have no base of their own
        raise ValueError(f"ONNX Runtime can't run it ({str(reason).splitlines()[0]})") from reason
    error = max(float(np.abs(was - now).max() / np.abs(was).max()) for was, now in answers)
    if not error <= LARGEST_ROUNDING:
        raise ValueError(f"its answers would differ by {error:.2g} of the largest, more than {LARGEST_ROUNDING}")
    return data, error


def _answers(*networks: bytes) -> list[list[np.ndarray]]:
    """What each network says of one picture of noise."""
    sessions = [onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]) for each in networks]
    inputs = sessions[0].get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"it takes {len(inputs)} inputs, not one picture")
    if not all(isinstance(side, int) for side in inputs[0].shape):
        raise ValueError(f"its input {inputs[0].name} has an open side; export it with a fixed size")
    picture = np.random.default_rng(0).random(inputs[0].shape, np.float32)
    return [session.run(None, {inputs[0].name: picture}) for session in sessions]


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


def with_origin(data: bytes, origin_sha256: str) -> bytes:
    """The same file, which says from which one it was made: in its description's provenance where it has one."""
    props = {prop.key: prop.value for prop in onnx.load_from_string(data).metadata_props}
    try:
        card = json.loads(props.get(METADATA_KEY, "null"))
    except ValueError:
        card = None
    if not isinstance(card, dict):
        return with_metadata(data, ORIGIN, origin_sha256)
    card["provenance"] = {**card.get("provenance", {}), ORIGIN: origin_sha256}
    return with_metadata(data, METADATA_KEY, json.dumps(card, ensure_ascii=False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read a file, write it halved.

    Raises:
        SystemExit: It can't be halved, or can't be written: one sentence.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a file that export wrote, with whole weights")
    parser.add_argument("output", type=Path)
    args = parser.parse_args(arguments)
    try:
        whole = args.model.read_bytes()
        data, error = halved(whole)
    except (OSError, DecodeError, ValueError) as reason:
        raise SystemExit(f"{args.model}: can't be halved: {reason}; nothing was written") from None
    if len(data) > LEAST_GAIN * len(whole):
        raise SystemExit(f"{args.model}: its weights are in sixteen or eight bits already; nothing was written")
    data = with_origin(data, hashlib.sha256(whole).hexdigest())
    partial = args.output.with_suffix(".partial")
    try:
        partial.write_bytes(data)
        partial.replace(args.output)
    except OSError as reason:
        raise SystemExit(f"{args.output}: can't be written ({reason.strerror}); name a folder that is there") from None
    print(f"{args.output}: {len(data)} bytes for {len(whole)}, differs by {error:.1g}")
    print(f"sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
