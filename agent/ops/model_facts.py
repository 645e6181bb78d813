"""What a model's file says about itself, for people: detectors and clip models alike, told apart by the file.

A clip model is tried out as the agent would before anything is said of it. Text is for terminals and pipes of any
width: one line a fact, nothing cut or broken, so that hashes can be copied and compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from typing import Final

from agent.errors import ModelError
from agent.vision.aggression import MOST_BYTES, RECIPE, AggressionModel
from agent.vision.describe import ForeignModel
from agent.vision.model_file import ModelFile, read_model
from agent.vision.onnx_outline import Outline, Tensor, read_outline
from agent.vision.wire import NotOnnxError

_CLIP_TASK: Final = "clip"
_KEY_WIDTH: Final = 16


def facts_of(path: Path, foreign: ForeignModel) -> dict[str, object]:
    """Everything one file says, and what was found in it.

    Args:
        path: The ONNX file.
        foreign: What is known of a detector that does not describe itself.

    Raises:
        ModelError: The file is refused.
    """
    clip = clip_outline(path)
    if clip is None:
        return _detector_facts(read_model(path, foreign))
    if foreign.says_something():
        raise ModelError(f"{path} is a clip model and describes itself; leave family, labels, color and scale out")
    return _clip_facts(path, clip)


def clip_outline(path: Path) -> Outline | None:
    """The outline of a file that says it is a clip model; ``None`` for all others, which are judged as detectors."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        outline = read_outline(path.read_bytes())
    except (OSError, NotOnnxError):
        return None
    return outline if outline.metadata.get("task") == _CLIP_TASK else None


def lines_of(facts: Mapping[str, object], key: str = "") -> Iterator[str]:
    """One line a fact; facts within facts under both their names, with a point between; those of a list by number."""
    for name, value in facts.items():
        yield from _lines(f"{key}{name}", value)


def _lines(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        yield from lines_of(value, f"{key}.")
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for number, each in enumerate(value, 1):
            if isinstance(each, dict) and each and not any(isinstance(part, dict | list) for part in each.values()):
                yield _line(f"{key}[{number}]", ", ".join(f"{printable(name)} {_text(each[name])}" for name in each))
            else:
                yield from _lines(f"{key}[{number}]", each)
    else:
        yield _line(key, _text(value))


def _line(key: str, text: str) -> str:
    return f"{printable(key):<{_KEY_WIDTH}} {text}"


def printable(text: str) -> str:
    """A text without letters that steer a terminal: they are written as JSON would write them, line ends too."""
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def json_of(facts: Mapping[str, object]) -> str:
    """All facts as JSON over several lines, with nothing in it that steers a terminal."""
    lines = json.dumps(facts, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(map(printable, lines))


def _text(value: object) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, list) and all(isinstance(each, str) and each.isprintable() for each in value):
        return ", ".join(value)
    return printable(json.dumps(value, ensure_ascii=False))


def _detector_facts(model: ModelFile) -> dict[str, object]:
    said = model.description
    card: dict[str, object] = json.loads(said.to_metadata())
    mapped = {
        label: None if user is None else user.label for label, user in zip(said.labels, said.classes, strict=True)
    }
    used = {label: user for label, user in mapped.items() if user is not None}
    size = {"parameters": model.outline.parameters, "megabytes": round(len(model.data) / 1e6, 2)}
    return {**card, "classes": used, "sha256": said.sha256, **size}


def _clip_facts(path: Path, outline: Outline) -> dict[str, object]:
    model, said = AggressionModel(path), outline.metadata
    facts: dict[str, object] = {key: said.get(key, "") for key in ("name", "version", "task")}
    facts["family"] = "aggression"
    facts["inputs"] = {tensor.name: _shape(tensor) for tensor in outline.inputs}
    facts["outputs"] = {tensor.name: _shape(tensor) for tensor in outline.outputs}
    facts |= {key: said[key] for key in ("frames", "licence") if key in said}
    facts |= {key: value for key, value in model.facts.items() if key != "held_out"}
    if "held_out" in model.facts:
        facts["held_out_clips"] = len(_held_out(path, model.facts["held_out"]))
    size = {"parameters": outline.parameters, "megabytes": round(path.stat().st_size / 1e6, 2)}
    return {**facts, "sha256": model.sha256, **size}


def _held_out(path: Path, said: object) -> Sized:
    if not isinstance(said, dict | list):
        raise ModelError(f"{path}: the clip model's metadata 'held_out' lists no clips; {RECIPE}")
    return said


def _shape(tensor: Tensor) -> str:
    sides = "?" if tensor.shape is None else " x ".join("?" if side is None else str(side) for side in tensor.shape)
    return f"{tensor.dtype}, {sides}"
