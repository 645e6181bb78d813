"""What a model says about itself: everything a stage needs to run it and a record needs to name it.

A description is checked when it is made (:mod:`agent.vision.describe`) and never changes afterwards. It holds no
weights and no session, so it is cheap to pass around and to print.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from agent.values import RoadUser

METADATA_KEY: Final = "kentongan"
"""The key in an ONNX file's ``metadata_props`` that holds the file's own description as one JSON object."""

DEFAULT_SCORE: Final = 0.1  # the tracker's second stage feeds on low scores (ByteTrack, arXiv:2110.06864, section 3)
DEFAULT_NMS_IOU: Final = 0.55  # best over three small detectors on street cameras; 0.5 to 0.6 hardly differ
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)  # RGB, 0..1: the usual constants of torchvision's models
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class FamilyName(StrEnum):
    """How a model's outputs are to be read."""

    YOLO = "yolo"
    YOLO_END2END = "yolo-end2end"
    YOLOX = "yolox"
    DETR = "detr"


class Color(StrEnum):
    """The order of the channels a model was trained on."""

    RGB = "RGB"
    BGR = "BGR"


class Fit(StrEnum):
    """How a picture is laid into the model's input.

    ``centre`` and ``corner`` keep its proportions and pad with grey: on both sides, or right and below. ``stretch``
    fills the input and gives up the proportions.
    """

    CENTRE = "centre"
    CORNER = "corner"
    STRETCH = "stretch"


class Scale(StrEnum):
    """What the model expects of a pixel's value."""

    UNIT = "0..1"
    BYTE = "0..255"
    IMAGENET = "imagenet"


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The picture a model takes.

    Attributes:
        width_px: Width of the input.
        height_px: Height of the input.
        color: Order of its channels.
        scale: Range of its values.
        fit: How a frame is laid into it.
        batch: Pictures per run; ``None`` means any number.
        resizable: The file leaves width and height open, so :meth:`ModelDescription.resized` may choose others.
        half: The tensor is float16 instead of float32.
    """

    width_px: int
    height_px: int
    color: Color = Color.RGB
    scale: Scale = Scale.UNIT
    fit: Fit = Fit.CENTRE
    batch: int | None = 1
    resizable: bool = False
    half: bool = False


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where detections are cut.

    Attributes:
        score: Detections below it are dropped. Low, because the tracker sorts high from low scores itself.
        nms_iou: Two boxes of one class that overlap more (intersection over union) are one object.
    """

    score: float = DEFAULT_SCORE
    nms_iou: float = DEFAULT_NMS_IOU


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One model: its name, what it takes, what it gives, who made it.

    Attributes:
        name: Short name for records and logs.
        version: The maker's version; the start of the hash where there is none.
        family: How its outputs are read.
        input: What it takes.
        labels: Its own names, in the order of its outputs.
        classes: The class of each label; ``None`` for labels that are ignored.
        sha256: Of the file's bytes, hexadecimal.
        thresholds: Where detections are cut.
        riders_joined: Its motorcycle boxes include the riders; if not, riders are joined after detection.
        licence: The licence of the weights; empty where the file does not say.
        provenance: Where it comes from, as the file says.
        task: Always ``detect``.
    """

    name: str
    version: str
    family: FamilyName
    input: ModelInput
    labels: tuple[str, ...]
    classes: tuple[RoadUser | None, ...]
    sha256: str
    thresholds: Thresholds = Thresholds()
    riders_joined: bool = True
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    task: str = "detect"

    def with_thresholds(self, score: float | None = None, nms_iou: float | None = None) -> ModelDescription:
        """The same model with other cuts; ``None`` keeps the one it has."""
        cuts = Thresholds(
            self.thresholds.score if score is None else score,
            self.thresholds.nms_iou if nms_iou is None else nms_iou,
        )
        return dataclasses.replace(self, thresholds=cuts)

    def resized(self, width_px: int, height_px: int) -> ModelDescription:
        """The same model run at another input size.

        Raises:
            ValueError: The file fixes its input size.
        """
        if not self.input.resizable and (width_px, height_px) != (self.input.width_px, self.input.height_px):
            raise ValueError(f"{self.name} only takes {self.input.width_px}x{self.input.height_px}")
        return dataclasses.replace(self, input=dataclasses.replace(self.input, width_px=width_px, height_px=height_px))

    def to_metadata(self) -> str:
        """The JSON object that belongs under :data:`METADATA_KEY` in the file (without the hash it can't contain)."""
        mapped = {
            label: user.label
            for label, user in zip(self.labels, self.classes, strict=True)
            if user is not None and user.label != label
        }
        card = {
            "name": self.name,
            "version": self.version,
            "task": self.task,
            "family": self.family.value,
            "input": {
                "width": self.input.width_px,
                "height": self.input.height_px,
                "layout": "NCHW",
                "color": self.input.color.value,
                "scale": self.input.scale.value,
                "fit": self.input.fit.value,
            },
            "labels": list(self.labels),
            "classes": mapped,
            "riders_joined": self.riders_joined,
            "thresholds": {"score": self.thresholds.score, "nms_iou": self.thresholds.nms_iou},
            "licence": self.licence,
            "provenance": dict(self.provenance),
        }
        return json.dumps(card, ensure_ascii=False, sort_keys=True)
