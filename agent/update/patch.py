"""What a signed configuration may change: lines, zones, levels and rates of cameras that the box already has.

Addresses, logins, the broker and the update settings themselves stay what the installer wrote, so that whoever signs
configurations can never redirect a box. The result passes the same rules as ``kentongan check``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.config.document import parse
from agent.config.load import parse_config
from agent.config.schema import Config, Ground, Line, Name, Zone
from agent.errors import ConfigError
from agent.update.refusal import UpdateError


class CameraPatch(BaseModel):
    """The parts of one camera that may be replaced; what is absent stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lines: Annotated[tuple[Line, ...] | None, Field(max_length=64)] = None
    zones: Annotated[tuple[Zone, ...] | None, Field(max_length=64)] = None
    ground: Ground | None = None
    detect_fps: Annotated[float | None, Field(gt=0, le=60)] = None


class Patch(BaseModel):
    """The whole of a signed configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cameras: Annotated[dict[Name, CameraPatch], Field(min_length=1, max_length=64)]


def parse_patch(data: bytes, where: str) -> dict[str, dict[str, Any]]:
    """The cameras of a signed configuration as plain values, checked.

    Raises:
        UpdateError: It says something else, or more than it may (``bad_configuration``).
    """
    try:
        document = parse(data.decode("utf-8"), where)
        if document.faults:
            raise UpdateError("bad_configuration", f"{where} is no configuration: {document.faults[0]}; correct it")
        Patch.model_validate(document.value)
    except (ConfigError, UnicodeDecodeError) as error:
        raise UpdateError("bad_configuration", f"{where} is no configuration: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UpdateError(
            "bad_configuration",
            f"{where} says what it may not at {place}: {first['msg']}; it may set lines, zones, ground and detect_fps "
            "of cameras",
        ) from error
    cameras: dict[str, dict[str, Any]] = document.value["cameras"]
    return cameras


def apply_patch(base: str, patch: dict[str, dict[str, Any]], file: Path) -> Config:
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
            "bad_configuration", f"the signed configuration speaks of {unknown[0]!r}, which this box has not"
        )
    for name, parts in patch.items():
        cameras[name] |= parts
    try:
        return parse_config(yaml.safe_dump(plain, sort_keys=False), str(file), folder=file.parent)
    except ConfigError as error:
        raise UpdateError("bad_configuration", f"the signed configuration does not fit this box: {error}") from error
