"""Good and bad candidates for updates: small real ONNX files that ONNX Runtime loads like any other.

Every one sees the same four road users in every picture unless its name says otherwise. Needs the ``onnx`` package.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from agent.values import Detections, Image
from tests.fakes.onnx_models import Seen, TinyModel

WIDTH, HEIGHT = 64, 32
ROAD_USERS = (
    Seen(3, 0.9, 12, 10, 12, 8),
    Seen(3, 0.8, 34, 20, 12, 8),
    Seen(2, 0.7, 50, 12, 6, 6),
    Seen(0, 0.9, 58, 24, 4, 8),
)
CROWD = tuple(Seen(n % 6, 0.9, 4 + 6 * (n % 10), 4 + 6 * (n // 10), 5, 5) for n in range(50))
BRIGHT: Image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
DARK: Image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)


def candidate(version: str, *, objects: tuple[Seen, ...] = ROAD_USERS, by_brightness: bool = False) -> bytes:
    """A model of the family ``yolo-end2end``."""
    card = {"name": "street", "version": version}
    return TinyModel("yolo-end2end", objects, by_brightness=by_brightness, card=card).build()


def blind(version: str) -> bytes:
    """It sees nothing."""
    return candidate(version, objects=())


def blind_in_the_dark(version: str) -> bytes:
    """Its scores fall with the light: right on bright golden frames, blind on a dark street."""
    return candidate(version, by_brightness=True)


def sees_everything(version: str) -> bytes:
    """It sees fifty road users everywhere."""
    return candidate(version, objects=CROWD)


def not_a_number(version: str) -> bytes:
    """Its output holds NaN."""
    model = onnx.load_model_from_string(candidate(version))
    table = next(weight for weight in model.graph.initializer if weight.name == "table")
    values = numpy_helper.to_array(table).copy()
    values[..., 0] = np.nan
    table.CopyFrom(numpy_helper.from_array(values, "table"))
    return bytes(model.SerializeToString())


def another_family(version: str) -> bytes:
    """It says it is of a family that its output is not."""
    return TinyModel("yolox", ROAD_USERS, card={"name": "street", "version": version, "family": "yolo"}).build()


def unknown_family(version: str) -> bytes:
    """Its family is one that no agent reads."""
    return TinyModel("yolo", ROAD_USERS, card={"name": "street", "version": version, "family": "ssd"}).build()


def slow(version: str, matmuls: int = 60) -> bytes:
    """It does a lot of work whose result it throws away."""
    size = 384
    nodes = [helper.make_node("Expand", ["mean", "square"], ["work0"])]
    nodes += [helper.make_node("MatMul", [f"work{n}", "weights"], [f"work{n + 1}"]) for n in range(matmuls)]
    nodes.append(helper.make_node("ReduceMean", [f"work{matmuls}"], ["result"], keepdims=0))
    weights = np.full((size, size), 1 / size, np.float32)
    return _with_work(candidate(version), nodes, {"square": np.array([1, size, size]), "weights": weights})


def memory_hog(version: str) -> bytes:
    """It asks for sixteen gigabytes."""
    nodes = [
        helper.make_node("Expand", ["mean", "huge"], ["work"]),
        helper.make_node("ReduceMean", ["work"], ["result"], keepdims=0),
    ]
    return _with_work(candidate(version), nodes, {"huge": np.array([1, 65536, 65536])})


def failing(version: str) -> bytes:
    """ONNX Runtime gives up on it whenever it runs."""
    nodes = [
        helper.make_node("Gather", ["row", "beyond"], ["work"], axis=0),
        helper.make_node("ReduceMean", ["work"], ["result"], keepdims=0),
    ]
    row, beyond = np.zeros(3, np.float32), np.array([7], np.int64)
    return _with_work(candidate(version), nodes, {"row": row, "beyond": beyond})


def _with_work(data: bytes, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bytes:
    """The same model with a scalar ``result`` times zero added to its output."""
    model = onnx.load_model_from_string(data)
    last = model.graph.node[-1]
    last.output[0] = "plain"
    model.graph.node.extend(
        [
            *nodes,
            helper.make_node("Mul", ["result", "nil"], ["nought"]),
            helper.make_node("Add", ["plain", "nought"], ["output0"]),
        ]
    )
    constants = {**constants, "nil": np.zeros((), np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass
class Street:
    """A street as detections: so many road users in a row."""

    users: int = 4
    score: float = 0.9
    shift_px: float = 0.0
    classes: list[int] = field(default_factory=list)

    def detections(self) -> Detections:
        """Boxes of 10 x 10 pixels, 20 apart."""
        left = np.arange(self.users, dtype=np.float32) * 20 + self.shift_px
        boxes = np.stack([left, left, left + 10, left + 10], axis=1).reshape(-1, 4)
        classes = np.array(self.classes or [3] * self.users, np.int64)
        return Detections(boxes.astype(np.float32), np.full(self.users, self.score, np.float32), classes)
