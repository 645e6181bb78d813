"""Parts that more than one command puts together in the same way: a detector from a configuration, its reference."""

from __future__ import annotations

from pathlib import Path

import cv2

from agent.config.load import load_config
from agent.config.schema import Model
from agent.ops.assets import default_model
from agent.records import ModelRef
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.detector import Detector, open_detector
from agent.vision.engine import EngineOptions
from agent.vision.labels import NAMED_LISTS


def model_ref(description: ModelDescription) -> ModelRef:
    """What records say of the model behind them."""
    return ModelRef(name=description.name, version=description.version, sha256=description.sha256)


def open_configured(model: Model, *, threads: int = 0) -> Detector:
    """Open a model as its section of the configuration says.

    Raises:
        ModelError: The file is refused or can't be loaded.
    """
    cv2.setNumThreads(1)  # cameras are spread over threads already; OpenCV's own would fight the model's for cores
    foreign = ForeignModel(family=model.family, labels=model.labels, color=model.color, scale=model.scale)
    options = EngineOptions(threads=threads or model.threads)
    if model.providers is not None:
        options = EngineOptions(threads=options.threads, providers=model.providers)
    return open_detector(model.file, foreign=foreign, options=options, score=model.score, nms_iou=model.nms_iou)


def labels_of(text: str) -> str | tuple[str, ...]:
    """Labels as a command line gives them: the name of a known list, or the names of the outputs in order."""
    return text if text in NAMED_LISTS else tuple(word.strip() for word in text.split(","))


def detector_for(
    name: str, config: Path | None, *, model: Path | None = None, labels: str | None = None, threads: int = 0
) -> Detector:
    """The detector a command works with: the named file, else the configured one, else the one that ships.

    Raises:
        ConfigError: The configuration has faults.
        ModelError: The file is refused or can't be loaded.
    """
    configured = {} if config is None else load_config(config).models
    if model is not None:
        words = None if labels is None else labels_of(labels)
        chosen = Model.model_validate({"file": model, "labels": words})
    else:
        chosen = configured.get(name) or Model(file=default_model())
    return open_configured(chosen, threads=threads)
