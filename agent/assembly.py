"""Parts that more than one command puts together in the same way: a detector from a configuration, its reference."""

from __future__ import annotations

from pathlib import Path

import cv2

from agent.config.load import load_config
from agent.config.schema import Model
from agent.errors import ConfigError
from agent.ops.assets import default_model
from agent.records import ModelRef
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.detector import Detector, open_detector
from agent.vision.engine import EngineOptions


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
        words = tuple(labels.split(",")) if labels and "," in labels else labels
        if isinstance(words, str) and words != "coco":
            raise ConfigError(f"--labels {words!r} names no list of labels; write coco, or names with commas between")
        chosen = Model.model_validate({"file": model, "labels": words})
    else:
        chosen = configured.get(name) or Model(file=default_model())
    return open_configured(chosen, threads=threads)
