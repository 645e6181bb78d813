"""The networks of all folds as one ONNX file: their mean, and each, so that each can be asked about its own fold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from agent.vision.motion import CELLS, FRAMES, MAPS
from models.train.aggression.network import STRIDES, Network


def write(path: Path, networks: Sequence[Network], facts: Mapping[str, Any]) -> None:
    """Write them."""
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for number, network in enumerate(networks):
        more, held = _branch(f"m{number}", network)
        nodes += more
        weights += held
    logits = [f"m{number}_logit" for number in range(len(networks))]
    nodes += [
        helper.make_node("Concat", logits, ["logits"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["members"]),
        helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["fight"]),
    ]
    shape = ["n", MAPS, FRAMES - 1, CELLS, CELLS]
    graph = helper.make_graph(
        nodes,
        "aggression",
        [helper.make_tensor_value_info("motion", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("fight", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("members", TensorProto.FLOAT, ["n", len(networks)]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    described = {"name": "aggression", "version": "2.0.0", "task": "clip", "frames": FRAMES, **facts}
    helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in described.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _branch(name: str, network: Network) -> tuple[list[NodeProto], list[TensorProto]]:
    """One network, its normalisations folded into its convolutions."""
    nodes, weights, given = [], [], "motion"
    layers = list(network.features)
    for number, stride in enumerate(STRIDES):
        convolution = cast("torch.nn.Conv3d", layers[3 * number])
        norm = cast("torch.nn.BatchNorm3d", layers[3 * number + 1])
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
        weight = convolution.weight.detach() * scale[:, None, None, None, None]
        bias = (norm.bias - norm.running_mean * scale).detach()
        inner, out = f"{name}_c{number}", f"{name}_r{number}"
        weights += [_held(f"{inner}_w", weight), _held(f"{inner}_b", bias)]
        nodes.append(
            helper.make_node("Conv", [given, f"{inner}_w", f"{inner}_b"], [inner], strides=stride, pads=[1] * 6)
        )
        nodes.append(helper.make_node("Relu", [inner], [out]))
        given = out
    weights += [_held(f"{name}_w", network.out.weight.detach()), _held(f"{name}_b", network.out.bias.detach())]
    nodes += [
        helper.make_node("ReduceMean", [given], [f"{name}_mean"], axes=[2, 3, 4], keepdims=0),
        helper.make_node("ReduceMean", [given], [f"{name}_time"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", [f"{name}_time"], [f"{name}_most"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", [f"{name}_mean", f"{name}_most"], [f"{name}_seen"], axis=1),
        helper.make_node("Gemm", [f"{name}_seen", f"{name}_w", f"{name}_b"], [f"{name}_logit"], transB=1),
    ]
    return nodes, weights


def _held(name: str, values: torch.Tensor) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values.numpy(), np.float32), name)
