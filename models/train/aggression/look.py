"""The second look of the clip model: the layers of the project's own detector, applied to six pictures of a clip.

The detector was trained on hundreds of thousands of street pictures, from random weights like all that is here. What
its layers answer to, and how their answers change within a clip, tells apart what movement alone can't. They are taken
as they are, their weights in eight bits; only one plane through their answers is fitted for each fold (``plane.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from agent.vision.stills import SIDE_PX, STILLS

Array = NDArray[np.float32]
STRIDES: Final = (8, 16, 32)
LEAST_PACKED: Final = 1024
"""Weights of fewer values stay as they are."""


def look_graph(detector: Path) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes and weights from ``stills`` to ``look_seen``, float32, shape (1, m): what the layers answer.

    Args:
        detector: The project's detector, as ``export.py`` writes it.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(detector))
    size = tuple(each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim)
    answers = _answers(model.graph, (size[2], size[3]))
    part = Extractor(model).extract_model([model.graph.input[0].name], answers).graph
    weights = _resized({each.name: each for each in part.initializer}, part.node, (size[2], size[3]))
    nodes, kept = _packed(list(part.node), weights)
    start = [
        helper.make_node("Unsqueeze", ["stills", "look_one"], ["look_grey"]),
        helper.make_node("Concat", ["look_grey"] * 3, [model.graph.input[0].name], axis=1),
    ]
    kept.append(numpy_helper.from_array(np.array([1], np.int64), "look_one"))
    return [*start, *nodes, *_summed_up(answers, kept)], kept


class Looker:
    """Runs the look alone, for fitting.

    Args:
        detector: As for :func:`look_graph`.
    """

    def __init__(self, detector: Path) -> None:
        nodes, weights = look_graph(detector)
        given = helper.make_tensor_value_info("stills", TensorProto.FLOAT, [STILLS, SIDE_PX, SIDE_PX])
        told = helper.make_tensor_value_info("look_seen", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "look", [given], [told], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(model.SerializeToString(), options)

    def see(self, pictures: Array) -> Array:
        """What the layers answer to pictures of :func:`agent.vision.stills.stills`: float32, shape (m,)."""
        return self._session.run(None, {"stills": pictures})[0][0]  # type: ignore[no-any-return]


def _answers(graph: GraphProto, size: tuple[int, int]) -> list[str]:
    """The outputs that are looked at: what the detector's head takes in, of each grid, and what its neck is fed with.

    Found by what a network with a feature pyramid is made of. The last of a grid that several convolutions take in
    feeds the head; what a picture scaled up is joined with comes from before the neck.
    """
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    takers = Counter(node.input[0] for node in graph.node if node.op_type == "Conv")
    heads = []
    for stride in STRIDES:
        grid = [side // stride for side in size]
        often = [out for node in graph.node for out in node.output if takers[out] > 1]
        heads.append([out for out in often if shapes[out][2:] == grid][-1])
    grown = {node.output[0] for node in graph.node if node.op_type == "Resize"}
    joined = [node for node in graph.node if node.op_type == "Concat" and grown & set(node.input)]
    return [*heads, *(name for node in joined for name in node.input if name not in grown)]


def _resized(
    weights: dict[str, TensorProto], nodes: Sequence[NodeProto], size: tuple[int, int]
) -> dict[str, TensorProto]:
    """The same weights; shapes that were worked out for the detector's input fit any number of any pictures."""
    rows, columns = (side // STRIDES[-1] for side in size)
    side = SIDE_PX // STRIDES[-1]
    for name in {node.input[1] for node in nodes if node.op_type == "Reshape"}:
        wanted = numpy_helper.to_array(weights[name]).tolist()
        fitting = [side, side] if wanted[-2:] == [rows, columns] else [wanted[-2], -1]
        if fitting[-1] == -1 and wanted[-1] != rows * columns:
            raise ValueError(f"a reshape to {wanted} is none of a detector with one attention on its coarsest grid")
        values = np.array([0, *wanted[1:-2], *fitting], np.int64)
        weights[name] = numpy_helper.from_array(values, name)
    return weights


def _packed(nodes: list[NodeProto], weights: dict[str, TensorProto]) -> tuple[list[NodeProto], list[TensorProto]]:
    """Large weights in eight bits, one scale for each that is worked out; the runtime widens them while it loads."""
    widened = {node.output[0]: node for node in nodes if node.op_type == "Cast" and node.input[0] in weights}
    kept, made = dict(weights), []
    for name, node in widened.items():
        whole = numpy_helper.to_array(kept.pop(node.input[0])).astype(np.float32)
        kept[name] = numpy_helper.from_array(whole, name)
    for name, tensor in list(kept.items()):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < LEAST_PACKED or values.ndim < 2:
            continue
        across = tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=across, keepdims=True) / 127, 1e-12).astype(np.float32)
        kept.pop(name)
        kept[f"{name}.eight"] = numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}.eight")
        kept[f"{name}.scale"] = numpy_helper.from_array(scale, f"{name}.scale")
        made += [
            helper.make_node("Cast", [f"{name}.eight"], [f"{name}.wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
        ]
    return [*made, *(node for node in nodes if node.output[0] not in widened)], list(kept.values())


def _summed_up(answers: Sequence[str], kept: list[TensorProto]) -> list[NodeProto]:
    """Nodes from the layers' answers to what is kept of them.

    That is mean and most over each picture, and of both the mean, the spread and the mean change over the clip.
    """
    parts, nodes = [], []
    for number, name in enumerate(answers):
        for kind in ("ReduceMean", "ReduceMax"):
            out = f"look_{kind}_{number}"
            nodes.append(helper.make_node(kind, [name], [out], axes=[2, 3], keepdims=0))
            parts.append(out)
    for name, value in (("look_from", [1]), ("look_to", [STILLS]), ("look_start", [0]), ("look_end", [STILLS - 1])):
        kept.append(numpy_helper.from_array(np.array(value, np.int64), name))
    return [
        *nodes,
        helper.make_node("Concat", parts, ["look_each"], axis=1),
        helper.make_node("ReduceMean", ["look_each"], ["look_mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["look_each", "look_mean"], ["look_off"]),
        helper.make_node("Mul", ["look_off", "look_off"], ["look_square"]),
        helper.make_node("ReduceMean", ["look_square"], ["look_variance"], axes=[0], keepdims=1),
        helper.make_node("Sqrt", ["look_variance"], ["look_spread"]),
        helper.make_node("Slice", ["look_each", "look_from", "look_to"], ["look_later"]),
        helper.make_node("Slice", ["look_each", "look_start", "look_end"], ["look_earlier"]),
        helper.make_node("Sub", ["look_later", "look_earlier"], ["look_step"]),
        helper.make_node("Abs", ["look_step"], ["look_change"]),
        helper.make_node("ReduceMean", ["look_change"], ["look_changes"], axes=[0], keepdims=1),
        helper.make_node("Concat", ["look_mean", "look_spread", "look_changes"], ["look_seen"], axis=1),
    ]
