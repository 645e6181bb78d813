"""Works out a model's description from its own words, an exporter's, or a few lines of configuration.

Asked in this order: the file's own ``kentongan`` metadata; the metadata an ultralytics export leaves; the shapes of
well-known exports; with a :class:`ForeignModel` filling what the last two leave open. What stays open is refused with
a sentence that says what to write. Never guesses between two readings of a file.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ModelError
from agent.vision.description import (
    DEFAULT_NMS_IOU,
    DEFAULT_SCORE,
    METADATA_KEY,
    Color,
    FamilyName,
    Fit,
    ModelDescription,
    ModelInput,
    Scale,
    Thresholds,
)
from agent.vision.labels import COCO, NAMED_LISTS, map_labels
from agent.vision.onnx_outline import Outline, Tensor

_STRIDES: Final = (8, 16, 32)  # of the three heads of every YOLO since v5 and of YOLOX
_METADATA_LIMIT: Final = 65536
_QUOTED: Final = 40  # letters of a file's own words that a sentence repeats
_DETR_OUTPUTS: Final = {"labels", "boxes", "scores"}


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """What a configuration says about a file that does not describe itself; ``None`` leaves it to the file.

    Attributes:
        family: How its outputs are read.
        labels: ``coco``, or its labels in the order of its outputs.
        color: ``RGB`` or ``BGR``.
        scale: ``0..1``, ``0..255`` or ``imagenet``.
        classes: Label to class name, for labels whose meaning their name does not tell.
    """

    family: str | None = None
    labels: str | tuple[str, ...] | None = None
    color: str | None = None
    scale: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)

    def says_something(self) -> bool:
        """Whether anything at all is given."""
        return self != ForeignModel()


_Choice = TypeVar("_Choice", bound=StrEnum)
_Share = Annotated[float, Field(gt=0, lt=1)]
_Pixels = Annotated[int, Field(ge=32, le=8192)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _OwnInput(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: _Pixels
    height: _Pixels
    layout: Literal["NCHW"] = "NCHW"
    color: Color
    scale: Scale
    fit: Fit | None = None


class _OwnThresholds(BaseModel):
    model_config = ConfigDict(extra="forbid")
    score: _Share = DEFAULT_SCORE
    nms_iou: _Share = DEFAULT_NMS_IOU


class _OwnCard(BaseModel):
    """The JSON object under the ``kentongan`` key."""

    model_config = ConfigDict(extra="forbid")
    name: _Text
    version: _Text
    task: Literal["detect"]
    family: FamilyName
    input: _OwnInput
    labels: Annotated[tuple[_Text, ...], Field(min_length=1, max_length=10_000)]
    classes: dict[str, str] = {}
    riders_joined: bool | None = None
    thresholds: _OwnThresholds = _OwnThresholds()
    licence: str = ""
    provenance: dict[str, Any] = {}


def describe(outline: Outline, *, name: str, sha256: str, foreign: ForeignModel) -> ModelDescription:
    """Describe one file.

    Args:
        outline: What the file holds.
        name: Its name without suffix; the model's name where it does not say its own, and for messages.
        sha256: Of its bytes.
        foreign: What the configuration says about it.

    Raises:
        ModelError: The file and the configuration together do not say enough, or contradict each other.
    """
    images = _image_input(outline, name)
    own = outline.metadata.get(METADATA_KEY)
    if own is None:
        return _described_by_others(outline, images, name, sha256, foreign)
    if foreign.says_something():
        raise ModelError(f"{name}: the file describes itself; remove family, labels, color and scale from its section")
    return _described_by_itself(own, images, name, sha256)


def _described_by_itself(own: str, images: Tensor, name: str, sha256: str) -> ModelDescription:
    try:
        card = _OwnCard.model_validate_json(own)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the object"
        why = "it is nested too deeply" if "recursion limit" in first["msg"] else first["msg"]
        raise ModelError(
            f"{name}: its metadata {METADATA_KEY!r} is wrong at {place}: {why}; export it again"
        ) from error
    taken = ModelInput(
        width_px=card.input.width,
        height_px=card.input.height,
        color=card.input.color,
        scale=card.input.scale,
        fit=card.input.fit or _usual_fit(card.family),
        batch=_batch(images),
        resizable=_is_resizable(images),
        half=images.dtype == "float16",
    )
    _check_size(images, taken, name)
    return ModelDescription(
        name=card.name,
        version=card.version,
        family=card.family,
        input=taken,
        labels=card.labels,
        classes=map_labels(card.labels, card.classes, name),
        sha256=sha256,
        thresholds=Thresholds(card.thresholds.score, card.thresholds.nms_iou),
        riders_joined=card.labels != COCO if card.riders_joined is None else card.riders_joined,
        licence=card.licence,
        provenance=card.provenance,
    )


def _described_by_others(
    outline: Outline, images: Tensor, name: str, sha256: str, foreign: ForeignModel
) -> ModelDescription:
    """Put together what an exporter left, what the shapes tell, and what the configuration adds."""
    exporter = _Ultralytics.read(outline.metadata, name)
    labels = _labels(outline, exporter, foreign, name)
    family = _family(outline, images, foreign, len(labels), name)
    is_yolox = family is FamilyName.YOLOX  # trained on plain BGR bytes since its release 0.1.1
    width_px, height_px = _size(images, exporter, name)
    taken = ModelInput(
        width_px=width_px,
        height_px=height_px,
        color=_one_of(Color, foreign.color, Color.BGR if is_yolox else Color.RGB, f"{name}: color"),
        scale=_one_of(Scale, foreign.scale, Scale.BYTE if is_yolox else Scale.UNIT, f"{name}: scale"),
        fit=_usual_fit(family),
        batch=_batch(images),
        resizable=_is_resizable(images),
        half=images.dtype == "float16",
    )
    return ModelDescription(
        name=name,
        version=sha256[:12],
        family=family,
        input=taken,
        labels=labels,
        classes=map_labels(labels, foreign.classes, name),
        sha256=sha256,
        riders_joined=labels != COCO,
        licence=outline.metadata.get("license", ""),
        provenance=_provenance(outline),
    )


def _provenance(outline: Outline) -> dict[str, str]:
    keys = ("description", "author", "date", "version")
    found = {key: outline.metadata[key] for key in keys if key in outline.metadata}
    return found | ({"producer": outline.producer} if outline.producer else {})


@dataclass(frozen=True, slots=True)
class _Ultralytics:
    """The part of an ultralytics export's metadata that matters here; empty for other files."""

    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None  # height, width

    @classmethod
    def read(cls, metadata: Mapping[str, str], name: str) -> _Ultralytics:
        if not {"names", "task", "stride"} <= metadata.keys():
            return cls()
        if metadata["task"] != "detect":
            raise ModelError(
                f"{name}: its task is {metadata['task'][:_QUOTED]!r}; only models exported for 'detect' can be used"
            )
        names = _literal(metadata["names"], f"{name}: its metadata names")
        if not isinstance(names, dict) or sorted(names) != list(range(len(names))) or not names:
            raise ModelError(f"{name}: its metadata names does not number its labels from 0; export it again")
        size = _literal(metadata.get("imgsz", "None"), f"{name}: its metadata imgsz")
        is_pair = isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) for side in size)
        return cls(tuple(str(names[i]) for i in range(len(names))), (size[0], size[1]) if is_pair else None)


def _literal(text: str, where: str) -> Any:
    """The Python literal in a metadata entry; ultralytics writes repr()."""
    try:
        return ast.literal_eval(text[:_METADATA_LIMIT])
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ModelError(f"{where} can't be read; export it again") from error


def _image_input(outline: Outline, name: str) -> Tensor:
    """The one input that takes pictures."""
    pictures = [t for t in outline.inputs if t.shape is not None and len(t.shape) == 4 and t.shape[1] in {3, None, ""}]
    if len(pictures) != 1 and len(pictures := [t for t in pictures if t.shape and t.shape[1] == 3]) != 1:
        shown = ", ".join(f"{t.name}{list(t.shape or ())}" for t in outline.inputs) or "none"
        raise ModelError(
            f"{name}: it needs one input of shape (batch, 3, height, width), but has {shown}; take a detector"
        )
    images = pictures[0]
    if images.dtype not in {"float32", "float16"}:
        raise ModelError(f"{name}: its input is {images.dtype}; export it with a float32 or float16 input")
    others = [t.name for t in outline.inputs if t is not images and t.name != "orig_target_sizes"]
    if others:
        raise ModelError(f"{name}: nothing is known to feed its input {others[0][:_QUOTED]!r}; export it without")
    return images


def _labels(outline: Outline, exporter: _Ultralytics, foreign: ForeignModel, name: str) -> tuple[str, ...]:
    """The labels: the configuration's, the exporter's, or COCO's where the shapes leave no other reading."""
    if isinstance(foreign.labels, str):
        if foreign.labels not in NAMED_LISTS:
            known = ", ".join(NAMED_LISTS)
            raise ModelError(
                f"{name}: labels: {foreign.labels!r} is no list that is known; write {known}, or the names"
            )
        return NAMED_LISTS[foreign.labels]
    if foreign.labels is not None:
        return tuple(foreign.labels)
    if exporter.labels is not None:
        return exporter.labels
    if _has_coco_shape(outline):
        return COCO
    raise ModelError(
        f"{name}: the file does not name its labels; write labels: coco, or labels: [its names], in its section"
    )


def _has_coco_shape(outline: Outline) -> bool:
    """A YOLO or YOLOX output with 80 class columns; only COCO's list has 80."""
    shape = outline.outputs[0].shape if len(outline.outputs) == 1 else None
    return shape is not None and len(shape) == 3 and (shape[2] == 5 + len(COCO) or shape[1] == 4 + len(COCO))


def _family(outline: Outline, images: Tensor, foreign: ForeignModel, labels: int, name: str) -> FamilyName:
    """The family that the configuration names, or the only one that fits the outputs' shapes."""
    if foreign.family is not None:
        return _one_of(FamilyName, foreign.family, FamilyName.YOLO, f"{name}: family")
    if {tensor.name for tensor in outline.outputs} >= _DETR_OUTPUTS:
        return FamilyName.DETR
    shape = outline.outputs[0].shape if outline.outputs else None
    if shape is not None and len(shape) == 3:
        if outline.metadata.get("head") == "RTDETRDecoder":
            return FamilyName.DETR
        if shape[1] == 4 + labels:
            return FamilyName.YOLO
        if shape[2] == 6:
            return FamilyName.YOLO_END2END
        if shape[2] == 5 + labels and shape[1] in {_cells(images), None}:
            return FamilyName.YOLOX
    shown = ", ".join(f"{ascii(t.name[:_QUOTED])[1:-1]}{list(t.shape or ())}" for t in outline.outputs[:8]) or "none"
    families = ", ".join(FamilyName)
    raise ModelError(
        f"{name}: its outputs ({shown}) with {labels} labels fit no family for certain; "
        f"write family: and one of {families}, and check labels, in its section"
    )


def _cells(images: Tensor) -> int | None:
    """How many cells the three grids of a YOLOX input have."""
    _, _, height, width = images.shape or (None,) * 4
    if not isinstance(height, int) or not isinstance(width, int):
        return None
    return sum((height // stride) * (width // stride) for stride in _STRIDES)


def _size(images: Tensor, exporter: _Ultralytics, name: str) -> tuple[int, int]:
    """Width and height, from the shape or the exporter's word.

    A file that leaves both open runs at 16:9 even if it was exported square: a square wastes four pixels in nine on
    the picture of a street camera.
    """
    _, _, height, width = images.shape or (None,) * 4
    if isinstance(height, int) and isinstance(width, int):
        return width, height
    if exporter.size is not None:
        said_height, said_width = exporter.size
        if said_height == said_width and not isinstance(height, int) and not isinstance(width, int):
            return said_width, math.ceil(said_width * 9 / 16 / _STRIDES[-1]) * _STRIDES[-1]
        return said_width, said_height
    raise ModelError(f"{name}: the file leaves its input size open; export it with a fixed width and height")


def _check_size(images: Tensor, taken: ModelInput, name: str) -> None:
    """The card must not contradict the graph."""
    _, _, height, width = images.shape or (None,) * 4
    for word, said, built in (("width", taken.width_px, width), ("height", taken.height_px, height)):
        if isinstance(built, int) and built != said:
            raise ModelError(f"{name}: its metadata says {word} {said}, its input takes {built}; correct the metadata")


def _batch(images: Tensor) -> int | None:
    size = images.shape[0] if images.shape else None
    return size if isinstance(size, int) and size > 0 else None


def _is_resizable(images: Tensor) -> bool:
    return any(not isinstance(side, int) for side in (images.shape or ())[2:])


def _usual_fit(family: FamilyName) -> Fit:
    """How each family's training laid pictures into the input."""
    return {FamilyName.YOLOX: Fit.CORNER, FamilyName.DETR: Fit.STRETCH}.get(family, Fit.CENTRE)


def _one_of(kind: type[_Choice], said: str | None, usual: _Choice, where: str) -> _Choice:
    """The choice that was made, or the usual one where none was."""
    if said is None:
        return usual
    try:
        return kind(said)
    except ValueError as error:
        choices = ", ".join(choice.value for choice in kind)
        raise ModelError(f"{where} can't be {said[:_QUOTED]!r}; write one of {choices}") from error
