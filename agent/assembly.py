"""Parts that more than one command puts together in the same way: a detector from a configuration, its reference."""

from __future__ import annotations

from pathlib import Path

import cv2

from agent.config.load import load_config
from agent.config.references import BUILT_IN_MODEL
from agent.config.schema import Config, Model
from agent.ops.assets import default_model
from agent.records import ModelRef
from agent.update.eyes import Subject
from agent.vision.describe import ForeignModel
from agent.vision.description import ModelDescription
from agent.vision.detector import Detector, load_detector, open_detector
from agent.vision.engine import EngineOptions
from agent.vision.labels import NAMED_LISTS
from agent.vision.model_file import ModelFile


def model_ref(description: ModelDescription) -> ModelRef:
    """What records say of the model behind them."""
    return ModelRef(name=description.name, version=description.version, sha256=description.sha256)


def open_configured(model: Model, *, threads: int = 0) -> Detector:
    """Open a model as its section of the configuration says.

    Raises:
        ModelError: The file is refused or can't be loaded.
    """
    cv2.setNumThreads(1)  # cameras are spread over threads already; OpenCV's own would fight the model's for cores
    options = _options(model, threads)
    return open_detector(model.file, foreign=_foreign(model), options=options, score=model.score, nms_iou=model.nms_iou)


def _foreign(model: Model) -> ForeignModel:
    return ForeignModel(family=model.family, labels=model.labels, color=model.color, scale=model.scale)


def _options(model: Model, threads: int = 0) -> EngineOptions:
    threads = threads or model.threads
    return EngineOptions(threads) if model.providers is None else EngineOptions(threads, model.providers)


def configured_models(config: Config) -> dict[str, Model]:
    """Every model that a camera may name: those of the configuration, and the one that ships.

    Raises:
        ModelError: The one that ships is missing.
    """
    return {BUILT_IN_MODEL: Model(file=default_model()), **config.models}


def budget_s(config: Config, model: str) -> float:
    """What the cameras of one model leave for a picture, seconds."""
    asked = sum(camera.detect_fps for camera in config.cameras if camera.model == model)
    return 1.0 / asked if asked else 1.0


def subject_of(model: Model) -> Subject:
    """A configured model as the updater names one."""
    return Subject(model.file, None, _foreign(model))


def open_judged(model: Model, file: ModelFile) -> Detector:
    """Open bytes that were read and judged already, as a model's section of the configuration says.

    The section's thresholds are for the file it names; a model that came as an update brings its own, which are those
    that it was tried with.

    Raises:
        ModelError: They can't be loaded.
    """
    cv2.setNumThreads(1)
    if file.path == model.file:
        described = file.description.with_thresholds(model.score, model.nms_iou)
        file = ModelFile(file.path, file.data, file.outline, described)
    return load_detector(file, _options(model))


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
