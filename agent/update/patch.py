"""What a signed configuration may change: lines, zones, levels and rates of cameras that the box already has.

Addresses, logins, the broker and the update settings themselves stay what the installer wrote, so that whoever signs
configurations can never redirect a box. The result passes the same rules as ``kentongan check``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.config.document import Document, parse
from agent.config.explain import explain
from agent.config.fault import Fault, FaultyConfigError, Path, shown_key
from agent.config.load import parse_config
from agent.config.references import empty_sections
from agent.config.schema import Config, Ground, Line, Name, Zone
from agent.update.refusal import UpdateError

EXAMPLE: Final = """\
  cameras:
    gate:
      detect_fps: 8
      lines:
        - {name: gate-line, points: [[0.10, 0.65], [0.90, 0.65]]}
"""
"""The form of the file, as help shows it."""
_FORM: Final = "write it like: cameras: {gate: {lines: […]}}, with the name of a camera before its lines"


class CameraPatch(BaseModel):
    """The parts of one camera that may be replaced; what is absent stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lines: Annotated[tuple[Line, ...] | None, Field(max_length=64)] = None
    zones: Annotated[tuple[Zone, ...] | None, Field(max_length=64)] = None
    ground: Ground | None = None
    detect_fps: Annotated[float | None, Field(gt=0, le=60)] = None


ALLOWED: Final = tuple(CameraPatch.model_fields)
"""What may be set of a camera."""


class Patch(BaseModel):
    """The whole of a signed configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cameras: Annotated[dict[Name, CameraPatch], Field(min_length=1, max_length=64)]


def pass_over(_fault: Fault) -> None:
    """An empty section of the installer's file: the start of the agent told it."""


def parse_patch(data: bytes, where: str, *, is_new: bool = True) -> dict[str, dict[str, Any]]:
    """The cameras of a signed configuration as plain values, checked.

    Args:
        data: The bytes of the file.
        where: How faults call it.
        is_new: Whether nothing of it may be empty; one that is in charge stays so after an update of the agent.

    Raises:
        UpdateError: It says something else, or more than it may (``bad_configuration``).
    """
    try:
        document = parse(data.decode("utf-8"), where)
    except UnicodeDecodeError as error:
        raise UpdateError(
            "bad_configuration", f"{where} is no text; save it as YAML with the encoding UTF-8"
        ) from error
    except FaultyConfigError as error:
        raise UpdateError("bad_configuration", error.faults[0].text(where)) from error
    faults = document.faults or _of_its_form(document) or _of_its_values(document)
    if faults := faults or (_of_what_is_empty(document) if is_new else []):
        raise UpdateError("bad_configuration", min(faults).text(where))
    cameras: dict[str, dict[str, Any]] = document.value["cameras"]
    return cameras


def _of_its_form(document: Document) -> list[Fault]:
    """What keeps the file from being a mapping from cameras to what is set of them."""
    top = document.value
    if not isinstance(top, dict) or (not top.get("cameras") and set(top) <= {"cameras"}):
        return [Fault(document.mark(()), (), "a signed configuration names no camera", _FORM)]
    if others := [key for key in top if key != "cameras"]:
        wrong = f"a signed configuration may not set {shown_key(others[0])}, only parts of cameras"
        return [Fault(document.mark((others[0],)), (others[0],), wrong, f"delete it; {_FORM}")]
    cameras, path = top["cameras"], ("cameras",)
    if not isinstance(cameras, dict):
        return [Fault(document.mark(path), path, "cameras is no mapping of names here", _FORM)]
    return [fault for name, parts in cameras.items() if (fault := _of_a_camera(name, parts, document)) is not None]


def _of_a_camera(name: str, parts: Any, document: Document) -> Fault | None:
    path: Path = ("cameras", name)
    if not isinstance(parts, dict):
        wrong = f"cameras: {shown_key(name)} has nothing that can be set"
        return Fault(document.mark(path), path, wrong, f"write {', '.join(ALLOWED)} below it, as far as they change")
    if others := [key for key in parts if key not in ALLOWED]:
        wrong = f"cameras: a signed configuration may not set {shown_key(others[0])} of {shown_key(name)}"
        return Fault(document.mark((*path, others[0])), path, wrong, f"delete it; it may set {', '.join(ALLOWED)}")
    return None


def _of_its_values(document: Document) -> list[Fault]:
    """What the validator finds, in the words that ``kentongan check`` has for a configuration's own cameras."""
    try:
        Patch.model_validate_json(json.dumps(document.value), strict=True)  # as strictly as an installer's file
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    else:
        found = []
    numbers = {name: number for number, name in enumerate(document.value["cameras"])}
    names = [one for one in found if one["loc"][-1:] == ("[key]",)]
    if names:
        path: Path = names[0]["loc"][:-1]
        wrong = f"cameras has a key that is no name: {shown_key(str(path[-1]))}"
        return [Fault(document.mark(path), path, wrong, "write the name that the camera has on the box")]
    moved = [{**one, "loc": _moved(one["loc"], numbers)} for one in found]
    return explain(moved, _as_installed(document, numbers))


def _of_what_is_empty(document: Document) -> list[Fault]:
    """Keys with nothing below: only ground is taken away so, what else is meant can't be told."""
    found = []
    for name, parts in document.value["cameras"].items():
        for part in [part for part, value in parts.items() if value is None and part != "ground"]:
            path: Path = ("cameras", name, part)
            wrong = f"cameras: {part} of {shown_key(name)} is empty"
            found.append(
                Fault(document.mark(path), path, wrong, "delete it to keep what the box has; write [] for none")
            )
    numbers = {name: number for number, name in enumerate(document.value["cameras"])}
    sections = empty_sections(_as_installed(document, numbers))
    return found + [fault for fault in sections if fault.path[2:] != ("ground",)]


def _as_installed(document: Document, numbers: Mapping[str, int]) -> Document:
    """The same with its cameras as the list that an installer writes."""
    cameras = [{"name": name, **parts} for name, parts in document.value["cameras"].items()]
    return Document(
        value={"cameras": cameras},
        marks={_moved(path, numbers): mark for path, mark in document.marks.items()},
        ambiguous={_moved(path, numbers): text for path, text in document.ambiguous.items()},
    )


def _moved(path: Path, numbers: Mapping[str, int]) -> Path:
    return path if len(path) < 2 else (path[0], numbers[str(path[1])], *path[2:])


def apply_patch(base: str, patch: dict[str, dict[str, Any]], file: FilePath) -> Config:
    """The installer's configuration with the signed parts in it.

    Args:
        base: The text of the installer's file.
        patch: From :func:`parse_patch`.
        file: The installer's file, for messages and for what is relative to it.

    Raises:
        UpdateError: A camera is unknown, or the result does not hold (``bad_configuration``).
    """
    plain = parse(base, str(file)).value
    cameras = {camera["name"]: camera for camera in plain["cameras"]}
    if unknown := sorted(set(patch) - set(cameras)):
        raise UpdateError(
            "bad_configuration",
            f"the signed configuration speaks of camera {unknown[0]}, which this box has not; "
            f"it has {', '.join(sorted(cameras))}",
        )
    for name, parts in patch.items():
        cameras[name] |= parts
        for gone in [part for part, value in parts.items() if value is None]:  # signed away
            del cameras[name][gone]
    try:
        return parse_config(yaml.safe_dump(plain, sort_keys=False), str(file), folder=file.parent, on_empty=pass_over)
    except FaultyConfigError as error:
        fault = error.faults[0]  # its line is that of the merged text, which nobody has
        told = f"the signed configuration does not fit this box: {fault.wrong} \N{EN DASH} {fault.hint}"
        raise UpdateError("bad_configuration", told) from error
