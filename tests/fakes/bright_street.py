"""A street of bright squares on a dark road, and a real ONNX model that sees bright squares and nothing else.

Both are tiny and exact: a crossing is known to the frame, a detection to eight pixels, and a run of the model takes
about a millisecond. The model is a plain graph of pooling and arithmetic, with no weights; on request its output is
not a number where a picture is black.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH_PX, HEIGHT_PX = 320, 192
SIDE_PX, STRIDE_PX = 32, 8
ROAD_GREY, BRIGHT = 60, 255
FPS = 10.0
LINE = {"name": "middle", "points": [[0.5, 0.98], [0.5, 0.02]], "interval_s": 10}


@dataclass(frozen=True, slots=True)
class Square:
    """One road user: when its left end enters, its lane (pixels from above), its way and its pace."""

    start_s: float
    top_px: int
    rightwards: bool = True
    speed_px_s: float = 100.0

    def left_px(self, at_s: float) -> float:
        """The left end at a moment, pixels."""
        gone = (at_s - self.start_s) * self.speed_px_s
        return gone - SIDE_PX if self.rightwards else WIDTH_PX - gone

    @property
    def leaves_s(self) -> float:
        """When it is out of the picture."""
        return self.start_s + (WIDTH_PX + SIDE_PX) / self.speed_px_s


TRAFFIC = (
    Square(0.5, 16),
    Square(1.5, 136, rightwards=False),
    Square(2.0, 64),
    Square(3.0, 16),
    Square(4.0, 136, rightwards=False),
)
"""Three to the right (a_to_b of :data:`LINE`) and two to the left, out of the picture after 7.6 s."""


def picture(squares: Iterable[Square], at_s: float) -> NDArray[np.uint8]:
    """The street at a moment: uint8, (192, 320, 3), BGR."""
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), ROAD_GREY, np.uint8)
    for square in squares:
        left = round(square.left_px(at_s))
        if at_s >= square.start_s and -SIDE_PX < left < WIDTH_PX:
            image[square.top_px : square.top_px + SIDE_PX, max(0, left) : left + SIDE_PX] = BRIGHT
    return image


def write_bright_clip(
    path: Path, seconds_s: float = 8.0, squares: Iterable[Square] = TRAFFIC, fps: float = FPS
) -> Path:
    """Write the street as a video; ``.avi`` announces its length in front, ``.mp4`` at its end."""
    street = tuple(squares)
    code = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (WIDTH_PX, HEIGHT_PX))
    assert writer.isOpened(), f"OpenCV can't write {path}"
    for number in range(round(seconds_s * fps)):
        writer.write(picture(street, number / fps))
    writer.release()
    return path


def write_bright_model(
    path: Path, *, label: str = "car", batch: int | None = 1, fails_on_black: bool = False, described: bool = True
) -> Path:
    """Write the model, family yolo, with its description inside.

    Args:
        path: Where it goes.
        label: What it calls a bright square.
        batch: Pictures per run; ``None`` for any number.
        fails_on_black: Give NaN where a picture is black.
        described: Without, the file says nothing of itself.
    """
    shape = [batch or "batch", 3, HEIGHT_PX, WIDTH_PX]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["grey"], axes=[1], keepdims=1),
        helper.make_node(
            "AveragePool", ["grey"], ["pool"], kernel_shape=[SIDE_PX] * 2, strides=[STRIDE_PX] * 2, name="pool"
        ),
        helper.make_node("Sub", ["pool", "floor"], ["above"]),
        helper.make_node("Mul", ["above", "gain"], ["steep"]),
        helper.make_node("Clip", ["steep", "zero", "one"], ["score"]),
        helper.make_node("Reshape", ["score", "flat"], ["scores"]),
    ]
    last = "scores"
    if fails_on_black:
        nodes += [
            helper.make_node("ReduceMean", ["images"], ["light"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Reshape", ["light", "single"], ["lights"]),
            helper.make_node("Sub", ["lights", "dark"], ["lit"]),
            helper.make_node("Sqrt", ["lit"], ["root"]),
            helper.make_node("Mul", ["root", "zero"], ["none"]),
            helper.make_node("Add", ["scores", "none"], ["sure"]),
        ]
        last = "sure"
    nodes += [
        helper.make_node("Mul", [last, "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "cells"], ["boxes"]),
        helper.make_node("Concat", ["boxes", last], ["output0"], axis=1),
    ]
    cells = _cells()
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [shape[0], 5, cells.shape[2]])],
        [
            *(_scalar(name, value) for name, value in (("floor", 0.75), ("gain", 4), ("zero", 0), ("one", 1))),
            _scalar("dark", 0.02),
            numpy_helper.from_array(cells, "cells"),
            numpy_helper.from_array(np.array([-1, 1, cells.shape[2]], np.int64), "flat"),
            numpy_helper.from_array(np.array([-1, 1, 1], np.int64), "single"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if described:
        model.metadata_props.add(key="kentongan", value=json.dumps(_card(label)))
    path.write_bytes(model.SerializeToString())
    return path


def _scalar(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def _cells() -> NDArray[np.float32]:
    """Centre and size of every window that is pooled, float32, shape (1, 4, n)."""
    x = np.arange(0, WIDTH_PX - SIDE_PX + 1, STRIDE_PX) + SIDE_PX / 2
    y = np.arange(0, HEIGHT_PX - SIDE_PX + 1, STRIDE_PX) + SIDE_PX / 2
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    size = np.full(grid_x.size, SIDE_PX)
    return np.stack([grid_x.ravel(), grid_y.ravel(), size, size])[None].astype(np.float32)


def _card(label: str) -> dict[str, object]:
    return {
        "name": "bright",
        "version": "1",
        "task": "detect",
        "family": "yolo",
        "input": {"width": WIDTH_PX, "height": HEIGHT_PX, "color": "RGB", "scale": "0..1"},
        "labels": [label],
        "licence": "Apache-2.0",
    }
