"""Weights stored in sixteen bits: the file shrinks, the network that runs does not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from agent.vision.onnx_outline import read_outline
from models.train.halve import halve, halved


def network(weight: float = 0.1) -> bytes:
    """One convolution of 3072 weights and 64 biases."""
    rng = np.random.default_rng(3)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "weight", "bias"], ["output0"])],
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 64, 5, 5))],
        [
            numpy_helper.from_array(rng.normal(0, weight, (64, 3, 4, 4)).astype(np.float32), "weight"),
            numpy_helper.from_array(rng.normal(0, 1, 64).astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    helper.set_model_props(model, {"kentongan": "{}"})
    return bytes(model.SerializeToString())


def as_run(data: bytes, path: Any) -> onnx.ModelProto:
    """The network as ONNX Runtime runs it, its constants worked out."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return onnx.load(str(path))


def test_given_a_network_when_halved_then_only_its_weights_are_and_they_run_whole(tmp_path: Any) -> None:
    whole = network()
    half, difference = halved(whole)
    assert len(half) < 0.6 * len(whole)
    assert 0 < difference < 1e-3
    before, after = onnx.load_from_string(whole), onnx.load_from_string(half)
    assert [tensor.data_type for tensor in after.graph.initializer] == [TensorProto.FLOAT16, TensorProto.FLOAT]
    assert (after.ir_version, after.opset_import, after.metadata_props) == (
        before.ir_version, before.opset_import, before.metadata_props,
    )  # fmt: skip
    assert read_outline(half).inputs == read_outline(whole).inputs
    assert read_outline(half).parameters == read_outline(whole).parameters == 64 * 3 * 4 * 4 + 64
    running = as_run(half, tmp_path / "run.onnx").graph
    assert [node.op_type for node in running.node] == ["Conv"]
    (weights,) = [numpy_helper.to_array(tensor) for tensor in running.initializer if len(tensor.dims) == 4]
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, numpy_helper.to_array(before.graph.initializer[0]), rtol=2**-11, atol=1e-7)


def test_given_a_halved_network_when_halved_again_then_it_stays_as_it_is() -> None:
    half, _ = halved(network())
    assert halved(half) == (half, 0.0)


def test_given_weights_too_large_for_sixteen_bits_then_they_stay_whole() -> None:
    model = onnx.load_from_string(network(weight=1e5))
    halve(model.graph)
    assert model.SerializeToString() == network(weight=1e5)


def test_given_weights_that_vanish_in_sixteen_bits_then_nothing_is_made_of_it() -> None:
    model = onnx.load_from_string(network(weight=1e-9))
    del model.graph.node[0].input[2]
    with pytest.raises(ValueError, match="answers would differ by 1 of the largest"):
        halved(model.SerializeToString())
