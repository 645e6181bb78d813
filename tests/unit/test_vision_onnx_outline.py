"""The outline of an ONNX file, read without the onnx package; that package is the judge here."""

from __future__ import annotations

import onnx
import pytest

from agent.vision.onnx_outline import Tensor, read_outline, with_metadata
from agent.vision.wire import NotOnnxError, encoded, encoded_varint, varint
from tests.fakes import onnx_models as fakes
from tests.fakes.onnx_models import TinyModel


def test_given_a_model_when_read_then_inputs_outputs_metadata_and_producer_are_found() -> None:
    outline = read_outline(TinyModel("yolo", batch=None, metadata="ultralytics", open_size=True).build())

    assert outline.inputs == [Tensor("images", "float32", ("batch", 3, "height", "width"))]
    assert outline.outputs == [Tensor("output0", "float32", ("batch", 10, 42))]
    assert outline.metadata["task"] == "detect"
    assert outline.producer == "tests"
    assert not outline.external
    assert not outline.foreign_operators()


def test_given_an_input_that_is_also_a_weight_when_read_then_it_is_no_input() -> None:
    model = onnx.load_model_from_string(TinyModel("yolo").build())
    model.graph.input.append(fakes.picture_input([1], name="zero"))

    assert [tensor.name for tensor in read_outline(model.SerializeToString()).inputs] == ["images"]


def test_given_weights_of_many_kinds_when_read_then_only_those_of_the_network_are_its_parameters() -> None:
    model = onnx.ModelProto()
    for name, kind, sides in (("float", 1, (4, 3, 2)), ("half", 10, (10,)), ("int8", 3, (5, 5)), ("shape", 7, (9,))):
        model.graph.initializer.add(name=name, data_type=kind, dims=sides)
    model.graph.initializer.add(name="scalar", data_type=1)
    assert read_outline(model.SerializeToString()).parameters == 24 + 10 + 25 + 1

    packed = encoded(1, encoded_varint(30) + encoded_varint(2)) + b"\x10\x01"  # dims as protobuf 3 writes them, float
    assert read_outline(encoded(7, encoded(5, packed))).parameters == 60
    endless = encoded(1, encoded_varint(2**62) * 1000) + b"\x10\x01"
    assert read_outline(encoded(7, encoded(5, endless))).parameters == 2**48


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_given_weights_in_other_files_at_any_depth_when_read_then_they_are_found(depth: int) -> None:
    assert read_outline(fakes.with_external_data(depth)).external == {"weight"}


def test_given_an_external_initializer_when_read_then_it_is_named() -> None:
    assert read_outline(fakes.with_external_initializer()).external == {"zero"}


def test_given_external_weights_in_sparse_tensors_training_graphs_and_functions_when_read_then_they_are_found() -> None:
    model = onnx.load_model_from_string(fakes.with_operator("own.domain", "Twice", defined=True))
    for place, tensor in (
        ("sparse", model.graph.sparse_initializer.add().values),
        ("training", model.training_info.add().algorithm.initializer.add()),
        ("function", _constant_of(model.functions[0].node.add())),
        ("attribute", _sparse_of(model.graph.node.add())),
    ):
        tensor.name, tensor.data_location = place, onnx.TensorProto.EXTERNAL

    assert read_outline(model.SerializeToString()).external == {"sparse", "training", "function", "attribute"}


def _constant_of(node: onnx.NodeProto) -> onnx.TensorProto:
    node.op_type = "Constant"
    return node.attribute.add().t


def _sparse_of(node: onnx.NodeProto) -> onnx.TensorProto:
    node.op_type = "Constant"
    return node.attribute.add().sparse_tensor.values


def test_given_an_operator_of_another_domain_when_read_then_it_is_foreign() -> None:
    assert read_outline(fakes.with_operator("com.example", "Foo")).foreign_operators() == {("com.example", "Foo")}


def test_given_an_operator_the_model_defines_itself_when_read_then_it_is_not_foreign() -> None:
    assert not read_outline(fakes.with_operator("own.domain", "Twice", defined=True)).foreign_operators()


def test_given_subgraphs_nested_without_end_when_read_then_it_is_refused() -> None:
    graph = b""
    for _ in range(40):
        graph = encoded(1, encoded(5, encoded(6, graph)))  # a node whose attribute is a graph

    with pytest.raises(NotOnnxError, match="nested"):
        read_outline(encoded(7, graph))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no graph"),
        (b"\x08\x07", "no graph"),
        (b"GIF89a, certainly no model", "starts no field|damaged"),
        (b"\x3a\xff\xff\x01", "cut short"),  # a graph longer than the file
        (b"\x3a", "cut short"),  # a field without content
        (b"\x38\x01", "a number stands"),  # the graph is a number
        (b"\xff" * 12, "does not end"),
        (b"\x00\x00", "damaged"),  # field 0 does not exist
        (encoded(7, encoded(11, encoded(1, b"\xff\xfe"))), "UTF-8"),
        (encoded(7, encoded(11, encoded(2, encoded(1, encoded(1, b"x"))))), "a message stands"),
    ],
)
def test_given_bytes_that_are_no_model_when_read_then_the_reason_is_told(data: bytes, reason: str) -> None:
    with pytest.raises(NotOnnxError, match=reason):
        read_outline(data)


def test_given_fixed_width_fields_and_odd_types_when_read_then_they_are_passed_over() -> None:
    odd = (
        encoded(7, encoded(11, encoded(1, b"x") + encoded(2, encoded(4, b"")) + encoded(9, b"")))
        + encoded_varint(99 << 3 | 1)
        + bytes(8)
        + encoded_varint(98 << 3 | 5)
        + bytes(4)
    )

    assert read_outline(odd).inputs == [Tensor("x", "unknown", None)]


def test_given_every_prefix_of_a_model_when_read_then_it_ends_and_never_crashes() -> None:
    data = TinyModel("yolo").build()
    for length in range(0, len(data), 7):
        try:
            read_outline(data[:length])
        except NotOnnxError:
            continue


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**40])
def test_given_an_integer_when_encoded_and_read_then_it_is_the_same(value: int) -> None:
    data = memoryview(encoded_varint(value))

    assert varint(data, 0) == (value, len(data))


def test_given_metadata_when_set_twice_then_onnx_itself_sees_one_entry_and_an_unchanged_graph() -> None:
    before = TinyModel("yolo", metadata="ultralytics").build()

    after = with_metadata(with_metadata(before, "kentongan", "first"), "kentongan", "é" * 200)

    old, new = onnx.load_model_from_string(before), onnx.load_model_from_string(after)
    assert [entry.value for entry in new.metadata_props if entry.key == "kentongan"] == ["é" * 200]
    assert new.graph == old.graph
    assert len(new.metadata_props) == len(old.metadata_props) + 1
    assert read_outline(after).metadata["kentongan"] == "é" * 200


def test_given_no_model_when_metadata_is_set_then_it_is_refused() -> None:
    with pytest.raises(NotOnnxError):
        with_metadata(b"not a model", "key", "value")
