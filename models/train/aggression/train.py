"""Train and measure the aggression model: motion in 16 frames in, probability of a fight out.

Clips of one scene never lie in two folds. Run from the project's root: ``python models/train/aggression/train.py
--detector model.onnx --labels coco``. About five minutes on one core. Prints accuracies, writes the ONNX file, and
keeps nothing of the pictures but weights.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from agent.assembly import open_configured
from agent.config.schema import Model
from agent.vision.motion import FRAMES, NUMBERS, motion, small

SAME_SCENE: Final = 0.31
"""Correlation of background edges above which two clips show one scene; checked by eye around this value."""
FOLDS: Final = 5
MEMBERS: Final = 4
HIDDEN: Final = 32
EPOCHS: Final = 60
VIEWS: Final = ("whole", "crop")
Array = NDArray[Any]


@dataclass(slots=True)
class Clip:
    """One clip: its label, its background's edges, and its windows by view."""

    name: str
    fight: bool
    background: Array
    windows: dict[str, Array]


def main() -> None:
    """The whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fight"))
    parser.add_argument("--detector", type=Path, required=True, help="finds the persons that crops are cut around")
    parser.add_argument("--labels", default=None)
    parser.add_argument("--out", type=Path, default=Path("models/aggression.onnx"))
    parser.add_argument("--splits", type=int, default=3, help="how often the five folds are drawn")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clips = read_clips(args.data, args.detector, args.labels)
    scenes = group(clips)
    print(f"{len(clips)} clips, {len(set(scenes))} scenes")
    truth = np.array([clip.fight for clip in clips])
    accuracy: dict[str, list[float]] = {}
    for split in range(args.splits):
        logits = cross_validate(clips, truth, draw_folds(scenes, truth, split))
        for view, values in logits.items():
            accuracy.setdefault(view, []).append(float(((values > 0) == truth).mean()))
    measured = {
        view: {"mean": round(float(np.mean(a)), 4), "splits": np.round(a, 4).tolist()} for view, a in accuracy.items()
    }
    print(json.dumps(measured, indent=1))
    rows, owners = stack(clips, np.arange(len(clips)), VIEWS)
    write(args.out, fit(rows, truth[owners], owners), measured)


def read_clips(folder: Path, detector_file: Path, labels: str | None) -> list[Clip]:
    """Every clip's features."""
    detector = open_configured(Model.model_validate({"file": detector_file, "labels": labels, "score": 0.3}), threads=1)
    clips = []
    for path in sorted(folder.glob("*/*.mp4")):
        frames = _frames(path)
        boxes = [found.boxes[found.classes == 0] for found in (detector.detect([f])[0] for f in frames[::4])]
        left, top, right, bottom = _around(np.concatenate(boxes), frames[0].shape[:2])
        views = {"whole": frames, "crop": [frame[top:bottom, left:right] for frame in frames]}
        windows = {view: _windows(motion([small(each) for each in pictures])) for view, pictures in views.items()}
        clips.append(Clip(f"{path.parent.name}/{path.stem}", path.parent.name == "fight", _edges(frames), windows))
    return clips


def _frames(path: Path) -> list[Array]:
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = video.read()
        if not there:
            return frames
        frames.append(frame)


def _around(boxes: Array, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A square around where persons were, without the outermost tenth of boxes; the whole without persons."""
    height, width = size
    if len(boxes) < 2:
        return 0, 0, width, height
    low, high = np.percentile(boxes[:, :2], 10, axis=0), np.percentile(boxes[:, 2:], 90, axis=0)
    centre, half = (low + high) / 2, max(16.0, float((high - low).max())) * 1.15 / 2
    left, top = np.maximum(centre - half, 0).astype(int)
    right, bottom = np.minimum(centre + half, (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _windows(rows: Array) -> Array:
    """The first, middle and last 16 frames."""
    last = len(rows) - (FRAMES - 1)
    return np.stack([rows[start : start + FRAMES - 1] for start in sorted({0, last // 2, last})])


def _edges(frames: list[Array]) -> Array:
    background = np.median(np.stack(frames[::3]), axis=0).astype(np.uint8)
    grey = cv2.resize(cv2.cvtColor(background, cv2.COLOR_BGR2GRAY), (64, 48), interpolation=cv2.INTER_AREA)
    lines = np.stack([cv2.Sobel(grey.astype(np.float32), cv2.CV_32F, *way) for way in ((1, 0), (0, 1))]).ravel()
    lines = np.sign(lines) * np.sqrt(np.abs(lines))
    return lines / np.linalg.norm(lines)


def group(clips: list[Clip]) -> Array:
    """A number per clip, the same for clips of one scene, also by way of others."""
    lines = np.stack([clip.background for clip in clips])
    scene = np.arange(len(clips))
    for one, other in np.argwhere(np.triu(lines @ lines.T > SAME_SCENE, 1)):
        scene[scene == scene[other]] = scene[one]
    return scene


def draw_folds(scenes: Array, truth: Array, seed: int) -> Array:
    """A fold per clip: whole scenes, both kinds spread evenly."""
    order = np.unique(scenes)
    np.random.default_rng(seed).shuffle(order)
    fold, load = np.zeros(len(scenes), int), np.zeros((FOLDS, 2))
    for scene in sorted(order, key=lambda each: -(scenes == each).sum()):
        mine = scenes == scene
        kinds = np.array([(mine & ~truth).sum(), (mine & truth).sum()])
        costs = [((load + kinds * (np.arange(FOLDS) == k)[:, None]) ** 2).sum() for k in range(FOLDS)]
        best = int(np.argmin(costs))
        load[best] += kinds
        fold[mine] = best
    return fold


def stack(clips: list[Clip], which: Array, views: tuple[str, ...]) -> tuple[Array, Array]:
    """Windows of some clips, shape (n, 15, 32), and whose each is."""
    parts = [(clips[k].windows[view], k) for view in views for k in which]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([np.full(len(rows), k) for rows, k in parts])


def cross_validate(clips: list[Clip], truth: Array, fold: Array) -> dict[str, Array]:
    """Logits of every clip by models that never saw its scene."""
    logits = {view: np.zeros(len(clips)) for view in VIEWS}
    for k in range(FOLDS):
        rows, owners = stack(clips, np.flatnonzero(fold != k), VIEWS)
        network = fit(rows, truth[owners], owners)
        for view in VIEWS:
            tested, whose = stack(clips, np.flatnonzero(fold == k), (view,))
            with torch.no_grad():
                out = network(torch.tensor(tested)).numpy()
            for clip in np.unique(whose):
                logits[view][clip] = out[whose == clip].mean()
    return logits


class Network(torch.nn.Module):
    """Statistics over time, then the mean of some small networks."""

    def __init__(self, mean: Array, deviation: Array) -> None:
        super().__init__()
        self.mean, self.deviation = torch.tensor(mean), torch.tensor(deviation)
        self.members = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Dropout(0.3),
                torch.nn.Linear(4 * NUMBERS, HIDDEN),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.5),
                torch.nn.Linear(HIDDEN, 1),
            )
            for _ in range(MEMBERS)
        )

    def scaled(self, rows: torch.Tensor) -> torch.Tensor:
        """What the members are given."""
        return ((statistics(rows) - self.mean) / self.deviation).clamp(-3, 3)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n,)."""
        given = self.scaled(rows)
        return torch.stack([member(given)[:, 0] for member in self.members]).mean(0)


def statistics(rows: torch.Tensor) -> torch.Tensor:
    """Mean, deviation, maximum and minimum over time: shape (n, 128)."""
    logs = torch.log1p(rows.clamp(min=0))
    mean = logs.mean(1)
    deviation = ((logs - mean[:, None]) ** 2).mean(1).sqrt()
    return torch.cat([mean, deviation, logs.amax(1), logs.amin(1)], 1)


def fit(rows: Array, truth: Array, owners: Array) -> Network:
    """Train the members, each from its own seed; every clip weighs the same."""
    given, wanted = torch.tensor(rows), torch.tensor(truth.astype(np.float32))
    weight = torch.tensor((1 / np.bincount(owners)[owners]).astype(np.float32))
    stats = statistics(given)
    network = Network(stats.mean(0).numpy(), (stats.std(0) + 1e-3).numpy())
    scaled = network.scaled(given)
    for seed, member in enumerate(network.members):
        torch.manual_seed(seed)
        for layer in member:
            if isinstance(layer, torch.nn.Linear):
                layer.reset_parameters()
        optimizer = torch.optim.AdamW(member.parameters(), 4e-3, weight_decay=0.2)
        for _ in range(EPOCHS):
            for some in torch.randperm(len(scaled)).split(128):
                noisy = scaled[some] + 0.15 * torch.randn_like(scaled[some])
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    member(noisy)[:, 0], wanted[some] * 0.9 + 0.05, weight[some]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return network.eval()


def write(path: Path, network: Network, measured: dict[str, Any]) -> None:
    """The network as ONNX, with the members side by side in one layer."""
    layers = [(member[1], member[4]) for member in network.members]
    first = torch.cat([one.weight for one, _ in layers]).detach().numpy()
    first_bias = torch.cat([one.bias for one, _ in layers]).detach().numpy()
    second = (torch.cat([two.weight for _, two in layers], 1) / MEMBERS).detach().numpy()
    second_bias = torch.stack([two.bias for _, two in layers]).mean(0).detach().numpy()
    constants = {
        "one": np.float32(1),
        "zero": np.float32(0),
        "low": np.float32(-3),
        "high": np.float32(3),
        "mean": network.mean.numpy(),
        "deviation": network.deviation.numpy(),
        "w1": first.T,
        "b1": first_bias,
        "w2": second.T,
        "b2": second_bias,
    }
    steps = [
        ("Relu", ["motion"], "positive", {}),
        ("Add", ["positive", "one"], "shifted", {}),
        ("Log", ["shifted"], "logs", {}),
        ("ReduceMean", ["logs"], "average", {"axes": [1], "keepdims": 1}),
        ("Sub", ["logs", "average"], "off", {}),
        ("Mul", ["off", "off"], "squares", {}),
        ("ReduceMean", ["squares"], "variance", {"axes": [1], "keepdims": 0}),
        ("Sqrt", ["variance"], "spread", {}),
        ("ReduceMean", ["logs"], "level", {"axes": [1], "keepdims": 0}),
        ("ReduceMax", ["logs"], "most", {"axes": [1], "keepdims": 0}),
        ("ReduceMin", ["logs"], "least", {"axes": [1], "keepdims": 0}),
        ("Concat", ["level", "spread", "most", "least"], "statistics", {"axis": 1}),
        ("Sub", ["statistics", "mean"], "centred", {}),
        ("Div", ["centred", "deviation"], "unclipped", {}),
        ("Clip", ["unclipped", "low", "high"], "scaled", {}),
        ("Gemm", ["scaled", "w1", "b1"], "inner", {}),
        ("Relu", ["inner"], "active", {}),
        ("Gemm", ["active", "w2", "b2"], "logit", {}),
        ("Sigmoid", ["logit"], "fight", {}),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in steps],
        "aggression",
        [helper.make_tensor_value_info("motion", TensorProto.FLOAT, ["n", FRAMES - 1, NUMBERS])],
        [helper.make_tensor_value_info("fight", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    description = {"name": "aggression", "version": "1.0.0", "task": "clip", "frames": FRAMES, "accuracy": measured}
    helper.set_model_props(
        model, {key: value if isinstance(value, str) else json.dumps(value) for key, value in description.items()}
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
