"""One model judged on one set of labelled pictures: accuracy by class and size, latency, memory.

Every model is judged alike: low scores kept, one ruler, COCO labels mapped and riders joined by the detector itself.
Reads pictures, runs the model and returns numbers; printing and drawing are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.evaluate.dataset import Dataset
from agent.evaluate.latency import Latency
from agent.evaluate.matching import LONG_SIDE_PX, SUBJECTS, Curve, Picture, curve_of, size_bands
from agent.values import Detections
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.detector import open_detector

LOWEST_SCORE: Final = 0.01
"""Precision is measured down to here; below, a detection changes no average worth reading."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What one model reached on one data set.

    Attributes:
        model: The model's description.
        data: The data set's name.
        pictures: Truth and detections of every picture, for drawing.
        curves: Precision over recall by subject, subjects without objects left out.
        sizes: AP50 by subject and size band.
        latencies: By number of threads.
    """

    model: ModelDescription
    data: str
    pictures: Sequence[Picture]
    curves: dict[str, Curve]
    sizes: dict[str, dict[str, Curve]]
    latencies: tuple[Latency, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return {
            "model": {"name": self.model.name, "version": self.model.version, "sha256": self.model.sha256},
            "data": self.data,
            "pictures": len(self.pictures),
            "classes": {
                name: {
                    "objects": curve.objects,
                    "ap50": _rounded(curve.ap50),
                    "ap50_95": _rounded(curve.ap50_95),
                    "ap50_by_size": {
                        band: _rounded(inner.ap50) for band, inner in self.sizes[name].items() if inner.objects
                    },
                }
                for name, curve in self.curves.items()
            },
            "latency": [asdict(latency) for latency in self.latencies],
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def look_at(
    model: Path, foreign: ForeignModel, dataset: Dataset, progress: Callable[[], None]
) -> tuple[ModelDescription, list[Picture]]:
    """Run a model over every picture.

    Raises:
        ModelError: The model is refused.
        DatasetError: A picture does not decode.
    """
    detector = open_detector(model, foreign=foreign, score=LOWEST_SCORE, one_class_per_object=False)
    pictures = []
    for name, image, truth in dataset:
        height, width = image.shape[:2]
        scale = LONG_SIDE_PX / max(height, width)
        found = detector.detect([image])[0]
        size = np.array([width, height, width, height], np.float32) * scale
        scaled = Detections(found.boxes * np.float32(scale), found.scores, found.classes)
        pictures.append(Picture(name, truth.boxes * size, truth.classes, scaled))
        progress()
    return detector.description, pictures


def judge(
    description: ModelDescription, data: str, pictures: Sequence[Picture], latencies: tuple[Latency, ...] = ()
) -> Verdict:
    """Turn truth and detections into numbers."""
    curves = {subject.name: curve_of(pictures, subject) for subject in SUBJECTS}
    asked = [subject for subject in SUBJECTS if curves[subject.name].objects]
    sizes = {
        subject.name: size_bands(lambda low, high, subject=subject: curve_of(pictures, subject, low, high))  # type: ignore[misc]
        for subject in asked
    }
    return Verdict(description, data, pictures, {s.name: curves[s.name] for s in asked}, sizes, latencies)
