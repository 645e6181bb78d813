"""Weights stored in sixteen bits: the file shrinks, the network that runs does not change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from agent.vision.onnx_outline import read_outline
from models.train.halve import halve, halved, main


def network(weight: float = 0.1, card: str = "{}") -> bytes:
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
    helper.set_model_props(model, {"kentongan": card})
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


AGGRESSION = Path(__file__).resolve().parents[2] / "models" / "aggression.onnx"


def refused(*arguments: Path) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    assert isinstance(stop.value.code, str), "a sentence, and a code that says it failed"
    assert "\n" not in stop.value.code
    return stop.value.code


def test_given_a_network_of_an_open_size_then_one_sentence_says_so(tmp_path: Path) -> None:
    sizes = ["n", 3, 8, 8]
    given, told = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes) for name in ("x", "y"))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "open", [given], [told])
    path = tmp_path / "open.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), str(path))
    assert "its input x has an open side" in refused(path, tmp_path / "half.onnx")
    assert list(tmp_path.iterdir()) == [path]


def test_given_a_network_of_two_inputs_then_one_sentence_says_so(tmp_path: Path) -> None:
    assert "it takes 2 inputs, not one picture" in refused(AGGRESSION, tmp_path / "half.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "it holds no network"), (b"no onnx", "can't be halved"), (None, "No such file")]
)
def test_given_a_file_that_is_no_network_then_one_sentence_says_so(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    given = tmp_path / "given.onnx"
    if content is not None:
        given.write_bytes(content)
    assert said in refused(given, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()


def test_given_a_network_that_does_not_run_then_one_sentence_says_so(tmp_path: Path) -> None:
    model = onnx.load_from_string(network())
    model.graph.node[0].op_type = "NoSuchOperator"
    (tmp_path / "given.onnx").write_bytes(model.SerializeToString())
    assert "ONNX Runtime can't run it" in refused(tmp_path / "given.onnx", tmp_path / "half.onnx")


def test_given_a_file_that_is_halved_already_then_nothing_is_written(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(halved(network())[0])
    assert "already" in refused(half, tmp_path / "again.onnx")
    assert not (tmp_path / "again.onnx").exists()


def test_given_an_output_folder_that_is_not_there_then_one_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "whole.onnx").write_bytes(network())
    assert "can't be written" in refused(tmp_path / "whole.onnx", tmp_path / "nowhere" / "half.onnx")


@pytest.mark.parametrize("card", ['{"name": "n", "provenance": {"seed": 1}}', "no card"])
def test_given_a_file_when_halved_then_it_says_from_which_it_came(card: str, tmp_path: Path) -> None:
    whole, output = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    whole.write_bytes(network(card=card))
    origin = hashlib.sha256(whole.read_bytes()).hexdigest()
    main([str(whole), str(output)])
    said = read_outline(output.read_bytes()).metadata
    if card == "no card":
        assert said == {"kentongan": card, "halved_from_sha256": origin}
    else:
        assert json.loads(said["kentongan"]) == {
            "name": "n",
            "provenance": {"seed": 1, "halved_from_sha256": origin},
        }
    assert len(output.read_bytes()) < 0.6 * len(whole.read_bytes())
