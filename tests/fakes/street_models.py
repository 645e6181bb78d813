"""Good and bad candidates made of the model that ships: real weights, and one fault each.

Every fault is one that a real training or export could have. Needs the ``onnx`` package; nothing here is ever shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from agent.ops.assets import default_model

ROWS, SCORES_FROM = 10, 4
"""Of the output, shape (1, 10, n): four numbers of the box, then a score for each of six classes."""
LABELS = ("person", "bicycle", "motorcycle", "car", "bus", "truck")

_Constants = Mapping[str, NDArray[np.generic]]


def good(version: str, **card: object) -> bytes:
    """The model that ships, under another name and version."""
    model = onnx.load(str(default_model()))
    own = {
        "name": "street",
        "version": version,
        "task": "detect",
        "family": "yolo",
        "input": {"width": 448, "height": 256, "color": "RGB", "scale": "0..1"},
        "labels": list(LABELS),
        "riders_joined": True,
        "licence": "AGPL-3.0",
        **card,
    }
    helper.set_model_props(model, {"kentongan": json.dumps(own)})
    return bytes(model.SerializeToString())


def blind(version: str) -> bytes:
    """It sees nothing."""
    return _changed(version, [helper.make_node("Mul", ["plain", "mask"], ["output0"])], {"mask": _scores(0, 1)})


def sees_everything(version: str) -> bytes:
    """It is sure of road users everywhere."""
    nodes = [
        helper.make_node("Mul", ["plain", "less"], ["dull"]),
        helper.make_node("Add", ["dull", "more"], ["output0"]),
    ]
    return _changed(version, nodes, {"less": _scores(0.3, 1), "more": _scores(0.6, 0)})


def not_a_number(version: str) -> bytes:
    """Its scores are NaN."""
    return _changed(version, [helper.make_node("Mul", ["plain", "nan"], ["output0"])], {"nan": _scores(np.nan, 1)})


def another_family(version: str) -> bytes:
    """It says that it is of a family that its output is not."""
    return good(version, family="yolox")


def failing(version: str) -> bytes:
    """ONNX Runtime gives up on it whenever it runs."""
    nodes = [
        helper.make_node("Gather", ["row", "beyond"], ["work"], axis=0),
        helper.make_node("ReduceMean", ["work"], ["result"], keepdims=0),
        *_idle_sum(),
    ]
    return _changed(version, nodes, {"row": np.zeros(3, np.float32), "beyond": np.array([7], np.int64), **_NIL})


def memory_hog(version: str) -> bytes:
    """It asks for sixteen gigabytes, at which its process ends."""
    nodes = [
        helper.make_node("Expand", ["nil", "huge"], ["work"]),
        helper.make_node("ReduceMean", ["work"], ["result"], keepdims=0),
        *_idle_sum(),
    ]
    return _changed(version, nodes, {"huge": np.array([1, 65536, 65536], np.int64), **_NIL})


def slow(version: str, matmuls: int = 400) -> bytes:
    """It does a lot of work whose result it throws away."""
    size = 384
    nodes = [helper.make_node("ReduceMean", ["images"], ["light"], keepdims=0)]
    nodes += [helper.make_node("Expand", ["light", "square"], ["work0"])]
    nodes += [helper.make_node("MatMul", [f"work{n}", "weights"], [f"work{n + 1}"]) for n in range(matmuls)]
    nodes += [helper.make_node("ReduceMean", [f"work{matmuls}"], ["result"], keepdims=0), *_idle_sum()]
    weights = np.full((size, size), 1 / size, np.float32)
    return _changed(version, nodes, {"square": np.array([1, size, size], np.int64), "weights": weights, **_NIL})


def blind_in_the_dark(version: str, light: float) -> bytes:
    """It sees nothing in pictures that are darker than this mean (0 to 1)."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["light"], keepdims=0),
        helper.make_node("Greater", ["light", "dusk"], ["day"]),
        helper.make_node("Cast", ["day"], ["factor"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["plain", "factor"], ["output0"]),
    ]
    return _changed(version, nodes, {"dusk": np.array(light, np.float32)})


def slow_in_the_dark(version: str, light: float, matmuls: int = 200) -> bytes:
    """It does a lot of useless work in pictures that are darker than this mean (0 to 1)."""
    size = 384
    float_, int_, bool_ = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["work_in", "weights"], ["work_out"]),
            helper.make_node("Identity", ["on"], ["more"]),
        ],
        "work",
        [
            helper.make_tensor_value_info("turn", int_, []),
            helper.make_tensor_value_info("on", bool_, []),
            helper.make_tensor_value_info("work_in", float_, [size, size]),
        ],
        [
            helper.make_tensor_value_info("more", bool_, []),
            helper.make_tensor_value_info("work_out", float_, [size, size]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["light"], keepdims=0),
        helper.make_node("Greater", ["light", "dusk"], ["day"]),
        helper.make_node("Where", ["day", "none", "many"], ["turns"]),
        helper.make_node("Expand", ["light", "square"], ["work"]),
        helper.make_node("Loop", ["turns", "", "work"], ["worked"], body=body),
        helper.make_node("ReduceMean", ["worked"], ["result"], keepdims=0),
        *_idle_sum(),
    ]
    constants: dict[str, NDArray[Any]] = {
        "dusk": np.array(light, np.float32),
        "none": np.array(0, np.int64),
        "many": np.array(matmuls, np.int64),
        "square": np.array([size, size], np.int64),
        "weights": np.full((size, size), 1 / size, np.float32),
        **_NIL,
    }
    return _changed(version, nodes, constants)


_NIL: _Constants = {"nil": np.zeros((), np.float32)}


def _idle_sum() -> list[onnx.NodeProto]:
    """The output and nought times a scalar ``result``, so that no optimiser may leave it out."""
    return [
        helper.make_node("Mul", ["result", "nil"], ["nought"]),
        helper.make_node("Add", ["plain", "nought"], ["output0"]),
    ]


def _scores(scores: float, boxes: float) -> NDArray[np.float32]:
    column = np.full((1, ROWS, 1), scores, np.float32)
    column[:, :SCORES_FROM] = boxes
    return column


def _changed(version: str, nodes: Sequence[onnx.NodeProto], constants: _Constants) -> bytes:
    """The good model with nodes between its last one, whose output is then called ``plain``, and its output."""
    model = onnx.load_model_from_string(good(version))
    model.graph.node[-1].output[0] = "plain"
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
