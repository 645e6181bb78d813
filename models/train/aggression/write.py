"""The networks of all folds as one ONNX file: their mean, and each, so that each can be asked about its own fold.

Movement is judged first. Unless all networks rule a fight out the detector's layers are run and their planes added: to
each network's log odds its own, unless it ruled it out itself, so that none profits from what another knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from agent.vision.motion import CELLS, FRAMES, MAPS
from agent.vision.stills import SIDE_PX, STILLS
from models.train.aggression.look import look_graph
from models.train.aggression.network import STRIDES, Network
from models.train.halve import halve

Plane: TypeAlias = tuple[NDArray[np.float64], float]
Facts: TypeAlias = Mapping[str, Any]


GATE: Final = -0.5
"""Log odds of movement at and below which it rules a fight out: of 288 such windows, none of which the fold had seen,
no look brought one to 0.85."""


def write(path: Path, networks: Sequence[Network], planes: Sequence[Plane], detector: Path, facts: Facts) -> None:
    """Write them.

    Args:
        path: Where to.
        networks: Of movement, one a fold.
        planes: Of what the look answers, one a fold: slopes and offset.
        detector: Whose layers look.
        facts: What the file says of itself.
    """
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for number, network in enumerate(networks):
        more, held = _branch(f"m{number}", network)
        nodes += more
        weights += held
    graph = helper.make_graph(
        [*nodes, *_joined(planes, detector, weights)],
        "aggression",
        [
            helper.make_tensor_value_info("motion", TensorProto.FLOAT, [1, MAPS, FRAMES - 1, CELLS, CELLS]),
            helper.make_tensor_value_info("stills", TensorProto.FLOAT, [STILLS, SIDE_PX, SIDE_PX]),
        ],
        [
            helper.make_tensor_value_info("fight", TensorProto.FLOAT, [1, 1]),
            helper.make_tensor_value_info("members", TensorProto.FLOAT, [1, len(networks)]),
        ],
        weights,
    )
    halve(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    described = {"name": "aggression", "version": "3.0.0", "task": "clip", "frames": FRAMES, **facts}
    helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in described.items()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _joined(planes: Sequence[Plane], detector: Path, weights: list[TensorProto]) -> list[NodeProto]:
    """Nodes from each network's log odds of movement to what all of it comes to."""
    logits = [f"m{number}_logit" for number in range(len(planes))]
    weights.append(numpy_helper.from_array(np.array(GATE, np.float32), "gate"))
    return [
        helper.make_node("Concat", logits, ["logits"], axis=1),
        helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("ReduceMax", ["logits"], ["highest"], keepdims=0),
        helper.make_node("Greater", ["highest", "gate"], ["asked"]),
        helper.make_node(
            "If", ["asked"], ["looks"], then_branch=_looking(planes, detector), else_branch=_not_looking(len(planes))
        ),
        helper.make_node("ReduceMean", ["looks"], ["look"], axes=[1], keepdims=1),
        *_added("logits", "looks", "members"),
        *_added("mean", "look", "fight"),
    ]


def _added(moved: str, looked: str, told: str) -> list[NodeProto]:
    """Log odds of movement, and those of the look unless movement rules it out, as a likeness."""
    return [
        helper.make_node("Greater", [moved, "gate"], [f"{told}_open"]),
        helper.make_node("Add", [moved, looked], [f"{told}_both"]),
        helper.make_node("Where", [f"{told}_open", f"{told}_both", moved], [f"{told}_logit"]),
        helper.make_node("Sigmoid", [f"{told}_logit"], [told]),
    ]


def _looking(planes: Sequence[Plane], detector: Path) -> GraphProto:
    nodes, weights = look_graph(detector)
    slopes = np.stack([slope for slope, _ in planes]).astype(np.float32)
    weights += [
        numpy_helper.from_array(slopes, "look_slopes"),
        numpy_helper.from_array(np.array([[offset for _, offset in planes]], np.float32), "look_offsets"),
    ]
    nodes.append(helper.make_node("Gemm", ["look_seen", "look_slopes", "look_offsets"], ["look_odds"], transB=1))
    out = helper.make_tensor_value_info("look_odds", TensorProto.FLOAT, [1, len(planes)])
    return helper.make_graph(nodes, "looking", [], [out], weights)


def _not_looking(count: int) -> GraphProto:
    none = numpy_helper.from_array(np.zeros((1, count), np.float32), "nothing")
    out = helper.make_tensor_value_info("no_odds", TensorProto.FLOAT, [1, count])
    return helper.make_graph([helper.make_node("Identity", ["nothing"], ["no_odds"])], "not_looking", [], [out], [none])


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
