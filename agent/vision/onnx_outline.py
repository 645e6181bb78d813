"""Reads the outline of an ONNX file from its bytes: inputs, outputs, metadata, operators, where its weights lie.

A small reader of the protobuf wire format, so that a file can be judged before any runtime touches it and without
the ``onnx`` package. It promises to end on any bytes, and to look into every subgraph and function. It never
follows a path the file names and never checks what the operators compute.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (IR version 3 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from agent.vision.wire import (
    NotOnnxError,
    Value,
    as_message,
    as_number,
    as_text,
    encoded,
    fields,
    spans,
    strings,
    varint,
)

_DEPTH_LIMIT: Final = 32  # subgraphs within subgraphs; real detectors have one level, protobuf itself stops at 100
_ELEMENT_TYPES: Final = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_EXTERNAL: Final = 1  # TensorProto.DataLocation.EXTERNAL
_WEIGHT_TYPES: Final = {1, 2, 3, 10, 11, 16}  # those a network is trained or quantised in; 16 is bfloat16
_MOST_PARAMETERS: Final = 2**48  # a file may claim any shape

Dimension: TypeAlias = int | str | None
"""A fixed size, the name of an open one, or ``None`` for one without a name."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: its name, element type (``float32``) and shape; ``shape`` is ``None`` when unknown."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None


@dataclass(slots=True)
class Outline:
    """What was found in one file.

    Attributes:
        inputs: Of the main graph, without weights.
        outputs: Of the main graph.
        metadata: ``metadata_props``; the last of two equal keys wins, as in ONNX Runtime.
        producer: Name of the tool that wrote the file.
        operators: (domain, type) of every node in every graph and function.
        functions: (domain, name) of every function the file defines itself.
        external: Names of the weights that lie outside the file.
        parameters: Numbers in the weights of the main graph and its branches, however many bits each is stored in;
            shapes and indices not counted.
    """

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    producer: str = ""
    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    parameters: int = 0

    def foreign_operators(self) -> set[tuple[str, str]]:
        """(domain, type) of the operators that are neither ONNX's own nor defined in the file."""
        return {
            (domain, kind)
            for domain, kind in self.operators - self.functions
            if domain not in {"", "ai.onnx", "ai.onnx.ml"}
        }


def read_outline(data: bytes) -> Outline:
    """Read a whole file.

    Args:
        data: The file's bytes.

    Raises:
        NotOnnxError: The bytes are no ONNX model, or a damaged one.
    """
    outline = Outline()
    graphs = 0
    for number, value in fields(memoryview(data)):
        match number:
            case 2:
                outline.producer = as_text(value)
            case 7:
                graphs += 1
                _read_graph(as_message(value), outline, depth=0)
            case 14:
                key, content = strings(as_message(value), 1, 2)
                outline.metadata[key] = content
            case 20:  # training_info: two graphs that are never run, but whose weights would be loaded
                for _, graph in fields(as_message(value)):
                    _read_graph(as_message(graph), outline, depth=1, runs=False)
            case 25:
                _read_function(as_message(value), outline)
            case _:
                pass
    if not graphs:
        raise NotOnnxError("it holds no graph")
    return outline


def with_metadata(data: bytes, key: str, value: str) -> bytes:
    """The same model with one entry of ``metadata_props`` set; every other byte of it stays as it is.

    Raises:
        NotOnnxError: The bytes are no ONNX model.
    """
    read_outline(data)
    kept = bytearray()
    view = memoryview(data)
    for number, content, start, end in spans(view):
        if number != 14 or strings(as_message(content), 1, 2)[0] != key:
            kept += view[start:end]
    entry = encoded(1, key.encode()) + encoded(2, value.encode())
    return bytes(kept + encoded(14, entry))


def _read_graph(graph: memoryview, outline: Outline, depth: int, *, runs: bool = True) -> None:
    """Collect from one GraphProto; only the main graph (depth 0) has the model's inputs and outputs."""
    if depth > _DEPTH_LIMIT:
        raise NotOnnxError(f"its graphs are nested more than {_DEPTH_LIMIT} deep")
    weights: set[str] = set()
    inputs: list[Tensor] = []
    for number, value in fields(graph):
        match number:
            case 1:
                _read_node(as_message(value), outline, depth, runs=runs)
            case 5:
                weights.add(_read_weight(as_message(value), outline))
                if runs:
                    outline.parameters += _values_in(as_message(value))
            case 15:
                _read_sparse(as_message(value), outline)
            case 11 if depth == 0:
                inputs.append(_tensor(as_message(value)))
            case 12 if depth == 0:
                outline.outputs.append(_tensor(as_message(value)))
            case _:
                pass
    outline.inputs.extend(tensor for tensor in inputs if tensor.name not in weights)


def _read_function(function: memoryview, outline: Outline) -> None:
    """Collect from one FunctionProto."""
    outline.functions.add(strings(function, 10, 1))
    for number, value in fields(function):
        if number == 7:
            _read_node(as_message(value), outline, depth=1, runs=False)


def _read_node(node: memoryview, outline: Outline, depth: int, *, runs: bool) -> None:
    """Collect the operator of one NodeProto, and from the graphs and tensors among its attributes."""
    outline.operators.add(strings(node, 7, 4))
    for number, attribute in fields(node):
        if number != 5:
            continue
        for kind, value in fields(as_message(attribute)):
            match kind:
                case 5 | 10:
                    _read_weight(as_message(value), outline)
                case 6 | 11:
                    _read_graph(as_message(value), outline, depth + 1, runs=runs)
                case 22 | 23:
                    _read_sparse(as_message(value), outline)
                case _:
                    pass


def _read_sparse(sparse: memoryview, outline: Outline) -> None:
    """Collect from the two tensors of one SparseTensorProto."""
    for number, value in fields(sparse):
        if number in {1, 2}:
            _read_weight(as_message(value), outline)


def _read_weight(weight: memoryview, outline: Outline) -> str:
    """Note one TensorProto that lies outside the file; return its name."""
    name, external = "", False
    for number, value in fields(weight):
        if number == 8:
            name = as_text(value)
        external |= number == 13 or (number == 14 and value == _EXTERNAL)
    if external:
        outline.external.add(name)
    return name


def _values_in(weight: memoryview) -> int:
    """How many numbers one TensorProto holds; 0 for those of types that shapes and indices have."""
    kind, values = 0, 1
    for number, value in fields(weight):
        if number == 1:
            for side in _numbers(value):
                values = min(values * side, _MOST_PARAMETERS)
        elif number == 2:
            kind = as_number(value)
    return values if kind in _WEIGHT_TYPES else 0


def _numbers(value: Value) -> Iterator[int]:
    """A repeated integer: one of them, or packed many."""
    if isinstance(value, int):
        yield value
        return
    position = 0
    while position < len(value):
        number, position = varint(value, position)
        yield number


def _tensor(info: memoryview) -> Tensor:
    """One ValueInfoProto: a name and, for tensors, element type and shape."""
    name, dtype, shape = "", "unknown", None
    for number, value in fields(info):
        if number == 1:
            name = as_text(value)
        elif number == 2:
            for kind, tensor in fields(as_message(value)):
                if kind == 1:
                    dtype, shape = _tensor_type(as_message(tensor))
    return Tensor(name, dtype, shape)


def _tensor_type(tensor: memoryview) -> tuple[str, tuple[Dimension, ...] | None]:
    dtype, shape = "unknown", None
    for number, value in fields(tensor):
        if number == 1:
            dtype = _ELEMENT_TYPES.get(as_number(value), "unknown")
        elif number == 2:
            shape = tuple(_dimension(as_message(size)) for kind, size in fields(as_message(value)) if kind == 1)
    return dtype, shape


def _dimension(dimension: memoryview) -> Dimension:
    found: Dimension = None
    for number, value in fields(dimension):
        if number == 1:
            found = as_number(value)
        elif number == 2:
            found = as_text(value)
    return found
