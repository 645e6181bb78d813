"""Pictures in, road users out: one model with everything around it.

Chains preprocessing, the engine, the family's decoder, suppression and the joining of riders, and says what each
stage cost. Works on one picture or on one of every camera at once, in batches as large as the model takes. Every
error is a :class:`agent.errors.ModelError`; it holds no state between calls but its buffers, and belongs to one thread.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from agent.errors import ModelError
from agent.values import Bools, Detections, Image
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.engine import EngineOptions, OnnxEngine, Runtime
from agent.vision.families import FAMILIES, Outputs
from agent.vision.model_file import ModelFile, read_model
from agent.vision.preprocess import Placement, Preprocessor
from agent.vision.riders import join_riders
from agent.vision.suppression import drop_spans, drop_twins, suppress

BATCH_LIMIT: Final = 8
"""Pictures in one run of a model that takes any number; more gain nothing on a CPU and cost memory."""
TWIN_IOU: Final = 0.7
"""Overlap from which a car and a truck, say, are two readings of one vehicle."""
_GREY: Final = 114


class Engine(Protocol):
    """What runs a model; :class:`agent.vision.engine.OnnxEngine` is the real one."""

    provider: str
    fallback: tuple[str, ...]

    def run(self, tensor: Any) -> Outputs:
        """Run on a batch; see :meth:`agent.vision.engine.OnnxEngine.run`."""
        ...


@dataclass(frozen=True, slots=True)
class Cost:
    """What one stage of one call took: seconds on the wall, and seconds of CPU as the CPU clock counts them."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True, slots=True)
class DetectCost:
    """What the stages of one call to :meth:`Detector.detect` took."""

    preprocess: Cost = Cost(0, 0)
    model: Cost = Cost(0, 0)
    postprocess: Cost = Cost(0, 0)

    def __add__(self, other: DetectCost) -> DetectCost:
        return DetectCost(
            self.preprocess + other.preprocess, self.model + other.model, self.postprocess + other.postprocess
        )


class Detector:
    """One model, ready to look at pictures.

    Args:
        description: What the model takes and gives.
        engine: What runs it.
        one_class_per_object: Drop the weaker of two readings of one vehicle, and boxes around two of them. Counting
            wants it; measuring average precision per class, as a ranking, does not.
        cpu_clock: Seconds of CPU time for the costs; the calling thread's own unless told otherwise.

    Attributes:
        description: As given.
        cost: What the last call took.
    """

    def __init__(
        self,
        description: ModelDescription,
        engine: Engine,
        *,
        one_class_per_object: bool = True,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self.description = description
        self.cost = DetectCost()
        self._engine = engine
        self._one_class = one_class_per_object
        self._cpu_clock = cpu_clock
        self._preprocessor = Preprocessor(description.input)
        self._family = FAMILIES[description.family](description)

    @property
    def provider(self) -> str:
        """The execution provider in use, such as ``cpu`` or ``xnnpack``."""
        return self._engine.provider

    @property
    def fallback(self) -> tuple[str, ...]:
        """Why a preferred provider is not in use, one sentence each."""
        return self._engine.fallback

    @property
    def batch_limit(self) -> int:
        """How many pictures one run takes."""
        return self.description.input.batch or BATCH_LIMIT

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """Look at pictures.

        Args:
            images: uint8, shape (height, width, 3), BGR; sizes may differ.

        Returns:
            One value per picture, boxes in its own pixels, in falling order of score.

        Raises:
            ModelError: The model fails, or its output makes no sense.
        """
        self.cost = DetectCost()
        found: list[Detections] = []
        for start in range(0, len(images), self.batch_limit):
            found += self._detect_batch(list(images[start : start + self.batch_limit]))
        return found

    def warm_up(self) -> None:
        """Run once on a grey picture, so that a model whose output makes no sense is refused at the start.

        Raises:
            ModelError: The model fails, or its output makes no sense.
        """
        taken = self.description.input
        self.detect([np.full((taken.height_px, taken.width_px, 3), _GREY, np.uint8)])

    def _detect_batch(self, images: list[Image]) -> list[Detections]:
        count = len(images)
        if self.description.input.batch is not None:
            images += [images[-1]] * (self.description.input.batch - count)  # a fixed batch is always full
        marks = [self._mark()]
        tensor, placements = self._preprocessor.load(images)
        marks.append(self._mark())
        outputs = self._engine.run(tensor)
        marks.append(self._mark())
        found = [self._read(outputs, picture, placements[picture]) for picture in range(count)]
        marks.append(self._mark())
        costs = [Cost(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(marks)]
        self.cost += DetectCost(*costs)
        return found

    def _read(self, outputs: Outputs, picture: int, placement: Placement) -> Detections:
        """One picture's outputs as road users in its own pixels."""
        iou = self.description.thresholds.nms_iou
        # Families with suppression built in get it too: small DETRs find one object with several queries.
        found = suppress(self._family.decode(outputs, picture), iou)
        if not len(found):
            return found
        if not self.description.riders_joined:
            found = suppress(join_riders(found), iou)  # machines seen both with and without their riders are now equal
        if self._one_class:
            found = drop_spans(drop_twins(found, TWIN_IOU))
        boxes = placement.to_source(found.boxes)
        inside: Bools = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 1  # at least a pixel of it is in the picture
        return Detections(boxes, found.scores, found.classes).select(inside)

    def _mark(self) -> tuple[float, float]:
        return time.perf_counter(), self._cpu_clock()


def load_detector(
    model: ModelFile,
    options: EngineOptions | None = None,
    *,
    one_class_per_object: bool = True,
    runtime: Runtime | None = None,
) -> Detector:
    """Make a detector of a judged file and try it once.

    Raises:
        ModelError: The model can't be loaded, or its output makes no sense.
    """
    engine = OnnxEngine(model, options or EngineOptions(), runtime)
    detector = Detector(model.description, engine, one_class_per_object=one_class_per_object)
    try:
        detector.warm_up()
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}") from error
    return detector


def open_detector(
    path: Path,
    *,
    foreign: ForeignModel | None = None,
    options: EngineOptions | None = None,
    score: float | None = None,
    nms_iou: float | None = None,
    one_class_per_object: bool = True,
) -> Detector:
    """Read a file and make a detector of it.

    Args:
        path: The ONNX file.
        foreign: What the configuration says about a file that does not describe itself.
        options: How to run it.
        score: Lowest score of a detection; the model's own threshold if ``None``.
        nms_iou: Overlap for suppression; the model's own threshold if ``None``.
        one_class_per_object: See :class:`Detector`.

    Raises:
        ModelError: The file is refused, can't be loaded, or its output makes no sense.
    """
    model = read_model(path, foreign)
    model = ModelFile(model.path, model.data, model.outline, model.description.with_thresholds(score, nms_iou))
    return load_detector(model, options, one_class_per_object=one_class_per_object)
