"""Tiny real ONNX files of every family, and broken ones.

Each sees the same objects in every picture, which is what a decoder needs; ONNX Runtime loads and runs them like any
other model. Needs the ``onnx`` package.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
LABELS = ("person", "bicycle", "motorcycle", "car", "bus", "truck")


@dataclass(frozen=True)
class Seen:
    """One object: centre and size in pixels of the model's input."""

    label: int
    score: float
    x: float
    y: float
    width: float
    height: float

    def corners(self) -> list[float]:
        """Left, top, right, bottom."""
        half_width, half_height = self.width / 2, self.height / 2
        return [self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height]


@dataclass(frozen=True)
class TinyModel:
    """What to build.

    Attributes:
        family: One of the four, or ``rt-detr`` for the single output that ultralytics gives that one.
        objects: What it sees.
        labels: Its labels.
        width: Of its input.
        height: Of its input.
        batch: Pictures per run; ``None`` leaves it open.
        metadata: Whose metadata it carries.
        by_brightness: Multiplies all scores with the mean of the input.
        open_size: Leave width and height of the input open.
        half: Take float16.
    """

    family: str
    objects: Sequence[Seen] = ()
    labels: tuple[str, ...] = LABELS
    width: int = 64
    height: int = 32
    batch: int | None = 1
    metadata: Literal["own", "ultralytics", "none"] = "own"
    by_brightness: bool = False
    open_size: bool = False
    half: bool = False
    card: dict[str, Any] = field(default_factory=dict)

    def own_metadata(self) -> dict[str, Any]:
        """Its own description, with the changes of ``card``."""
        return {
            "name": "tiny",
            "version": "1",
            "task": "detect",
            "family": self.family.replace("rt-detr", "detr"),
            "input": {"width": self.width, "height": self.height, "color": "RGB", "scale": "0..1"},
            "labels": list(self.labels),
            "licence": "Apache-2.0",
            **self.card,
        }

    def build(self) -> bytes:
        """The file's bytes."""
        return _serialised(self._graph(), self._metadata())

    def _metadata(self) -> dict[str, str]:
        if self.metadata == "own":
            return {"kentongan": json.dumps(self.own_metadata())}
        if self.metadata == "ultralytics":
            return {
                "names": repr(dict(enumerate(self.labels))),
                "task": "detect",
                "stride": "32",
                "imgsz": f"[{self.height}, {self.width}]",
                "license": "AGPL-3.0",
                "head": "RTDETRDecoder" if self.family == "rt-detr" else "Detect",
            }
        return {}

    def _graph(self) -> onnx.GraphProto:
        element = TensorProto.FLOAT16 if self.half else TensorProto.FLOAT
        sides: list[int | str] = ["height", "width"] if self.open_size else [self.height, self.width]
        images = helper.make_tensor_value_info("images", element, [self.batch or "batch", 3, *sides])
        mean = [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["pixels"], ["rows"], axes=[1], keepdims=0),
            helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1, 2], keepdims=1),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        ]
        weights = [_constant("zero", np.zeros(1, np.float32))]
        if self.family == "detr":
            return self._detr_graph(images, mean, weights)
        table, scores = self._table()
        on_scores = (scores if self.by_brightness else scores & False).astype(np.float32)
        nodes = [
            *mean,
            helper.make_node("Mul", ["mean", "on_scores"], ["bright"]),
            helper.make_node("Add", ["bright", "elsewhere"], ["factor"]),
            helper.make_node("Mul", ["table", "factor"], ["output0"]),
        ]
        weights += [
            _constant("on_scores", on_scores),
            _constant("elsewhere", 1 - on_scores),
            _constant("table", table),
        ]
        output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [self.batch or "batch", *table.shape[1:]])
        return helper.make_graph(nodes, "tiny", [images], [output], weights)

    def _table(self) -> tuple[Array, Array]:
        """The output for one picture, and which of its values are scores."""
        count, labels = len(self.objects), len(self.labels)
        if self.family == "yolo-end2end":
            table = np.zeros((1, max(count, 4), 6), np.float32)
            for row, seen in enumerate(self.objects):
                table[0, row] = [*seen.corners(), seen.score, seen.label]
            return table, np.arange(6) == 4
        if self.family == "yolox":
            return self._yolox_table()
        rows = np.zeros((max(count, 42), 4 + labels), np.float32)
        for row, seen in enumerate(self.objects):
            rows[row, :4] = [seen.x, seen.y, seen.width, seen.height]
            rows[row, 4 + seen.label] = seen.score
        if self.family == "rt-detr":
            rows[:, :4] /= [self.width, self.height, self.width, self.height]
            return rows[None], np.arange(4 + labels) >= 4
        return rows.T[None].copy(), (np.arange(4 + labels) >= 4)[:, None]

    def _yolox_table(self) -> tuple[Array, Array]:
        cells = sum((self.height // stride) * (self.width // stride) for stride in (8, 16, 32))
        table = np.zeros((1, cells, 5 + len(self.labels)), np.float32)
        for seen in self.objects:
            column, row = int(seen.x // 8), int(seen.y // 8)
            position = [seen.x / 8 - column, seen.y / 8 - row, np.log(seen.width / 8), np.log(seen.height / 8)]
            cell = table[0, row * (self.width // 8) + column]
            cell[:4], cell[4], cell[5 + seen.label] = position, 1, seen.score
        return table, np.arange(5 + len(self.labels)) == 4

    def _detr_graph(
        self, images: onnx.ValueInfoProto, mean: list[onnx.NodeProto], weights: list[onnx.TensorProto]
    ) -> onnx.GraphProto:
        """Boxes are relative, and multiplied with the size that is fed, as the real ones do."""
        relative = np.array([seen.corners() for seen in self.objects], np.float32).reshape(1, -1, 4)
        relative /= [self.width, self.height, self.width, self.height]
        batch = self.batch or "batch"
        count = len(self.objects)
        nodes = [
            *mean,
            helper.make_node("Cast", ["orig_target_sizes"], ["size"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["size", "size"], ["sizes"], axis=1),
            helper.make_node("Unsqueeze", ["sizes", "axis"], ["corners"]),
            helper.make_node("Mul", ["relative", "corners"], ["boxes"]),
            helper.make_node("Squeeze", ["nothing", "axis"], ["flat"]),
            helper.make_node("Squeeze", ["mean", "axis"], ["bright"]),
            helper.make_node("Mul", ["bright", "confidence"], ["by_mean"]),
            helper.make_node("Add", ["flat", "confidence"], ["plain"]),
            helper.make_node("Identity", ["by_mean" if self.by_brightness else "plain"], ["scores"]),
            helper.make_node("Cast", ["flat"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Add", ["whole", "kinds"], ["labels"]),
        ]
        weights += [
            _constant("axis", np.array([1], np.int64)),
            _constant("relative", relative),
            _constant("confidence", np.array([[seen.score for seen in self.objects]], np.float32)),
            _constant("kinds", np.array([[seen.label for seen in self.objects]], np.int64)),
        ]
        size = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [batch, 2])
        outputs = [
            helper.make_tensor_value_info("labels", TensorProto.INT64, [batch, count]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [batch, count, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, count]),
        ]
        return helper.make_graph(nodes, "tiny", [images, size], outputs, weights)


def with_external_data(depth: int = 0) -> bytes:
    """A model whose one weight lies in ``weights.bin``; ``depth`` wraps it into that many subgraphs."""
    weight = _constant("weight", np.ones(3, np.float32))
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    nodes = [helper.make_node("Constant", [], ["value"], value=weight)]
    for _ in range(depth):
        output = helper.make_tensor_value_info("value", TensorProto.FLOAT, [3])
        inner = helper.make_graph(nodes, "inner", [], [output])
        nodes = [helper.make_node("Loop", ["", "condition"], ["value"], body=inner)]
    return _with_nodes(nodes)


def with_external_initializer() -> bytes:
    """A model whose weight in the main graph lies in ``weights.bin``."""
    model = onnx.load_model_from_string(TinyModel("yolo").build())
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return bytes(model.SerializeToString())


def with_operator(domain: str, kind: str, *, defined: bool = False) -> bytes:
    """A model with one operator of another domain; ``defined`` brings its definition as a function of the model."""
    node = helper.make_node(kind, ["images"], ["other"], domain=domain)
    model = onnx.load_model_from_string(_with_nodes([node]))
    if defined:
        body = [helper.make_node("Identity", ["x"], ["y"])]
        function = helper.make_function(domain, kind, ["x"], ["y"], body, [helper.make_opsetid("", 17)])
        model.functions.append(function)
    return bytes(model.SerializeToString())


def with_output(value: Array, inputs: Sequence[onnx.ValueInfoProto] = (), **metadata: str) -> bytes:
    """A model that always gives one value, float32, whatever it is shown."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 64])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(value.shape))
    node = helper.make_node("Identity", ["table"], ["output0"])
    graph = helper.make_graph([node], "tiny", [*inputs] or [images], [output], [_constant("table", value)])
    return _serialised(graph, metadata)


def picture_input(shape: Sequence[int | str], element: int = TensorProto.FLOAT, name: str = "images") -> Any:
    """An input of one shape."""
    return helper.make_tensor_value_info(name, element, shape)


def _with_nodes(nodes: list[onnx.NodeProto]) -> bytes:
    model = onnx.load_model_from_string(TinyModel("yolo").build())
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


def _constant(name: str, value: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(value), name)


def _serialised(graph: onnx.GraphProto, metadata: dict[str, str]) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def clip_model_that_fails() -> bytes:
    """A clip model that judges a clip in which nothing moves, and fails on any other: it looks for a second odd."""
    taken = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 5, 15, 24, 24])
    given = helper.make_tensor_value_info("fight", TensorProto.FLOAT, [1, 1])
    nodes = [
        helper.make_node("Abs", ["maps"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["most"], keepdims=0),
        helper.make_node("Ceil", ["most"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["at"], to=TensorProto.INT64),
        helper.make_node("Gather", ["odds", "at"], ["one"], axis=0),
        helper.make_node("Reshape", ["one", "square"], ["fight"]),
    ]
    constants = [_constant("odds", np.array([0.5], np.float32)), _constant("square", np.array([1, 1], np.int64))]
    graph = helper.make_graph(nodes, "clips", [taken], [given], constants)
    return _serialised(graph, {})


def clip_model_that_says(likeness: float) -> bytes:
    """A clip model that finds every clip alike."""
    taken = helper.make_tensor_value_info("maps", TensorProto.FLOAT, [1, 5, 15, 24, 24])
    given = helper.make_tensor_value_info("fight", TensorProto.FLOAT, [1, 1])
    nodes = [helper.make_node("Identity", ["same"], ["fight"])]
    constants = [_constant("same", np.array([[likeness]], np.float32))]
    return _serialised(helper.make_graph(nodes, "clips", [taken], [given], constants), {})
