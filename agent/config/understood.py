"""What can still be understood of a configuration that is refused: for drawing it, never for running it.

Whatever is faulty is left out, the smallest part that makes the rest valid; what is left is frozen and typed as ever.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from agent.config.document import parse
from agent.config.fault import FaultyConfigError
from agent.config.schema import Config

_MOST_CUTS: Final = 50
_ENOUGH: Final[dict[str, Any]] = {"device": "box", "mqtt": {"host": "localhost"}}
"""What no picture shows, and a configuration can't be without."""


def understood(text: str, file: str, *, folder: Path | None = None) -> Config | None:
    """The valid parts of a configuration's cameras; ``None`` when no camera is left."""
    try:
        value = parse(text, file).value
    except FaultyConfigError:
        return None
    cameras = value.get("cameras") if isinstance(value, dict) else None
    if not isinstance(cameras, list):
        return None
    plain: dict[str, Any] = {**_ENOUGH, "cameras": cameras}
    for _ in range(_MOST_CUTS):
        if not plain["cameras"]:
            return None
        try:
            return Config.model_validate_json(json.dumps(plain), strict=True, context={"folder": folder})
        except ValidationError as error:
            if not _cut(plain, error.errors(include_url=False)[0]["loc"]):
                return None
    return None


def _cut(plain: Any, path: tuple[int | str, ...]) -> bool:
    """Leave out the deepest part that a fault's path leads to; of a point in a list, the whole list."""
    holders: list[tuple[Any, int | str]] = []
    at = plain
    for key in path:
        inside = (isinstance(at, dict) and key in at) or (
            isinstance(at, list) and isinstance(key, int) and key < len(at)
        )
        if not inside:
            break
        holders.append((at, key))
        at = at[key]
    while len(holders) > 1 and isinstance(holders[-1][0], list) and not isinstance(holders[-1][0][0], dict):
        holders.pop()  # half a point is no point
    if len(holders) < 2:
        return False
    holder, key = holders[-1]
    if isinstance(holder, dict) and key in {"points", "polygon", "name", "source", "image", "metres", "along"}:
        holder, key = holders[-2]  # what can't be without it
    del holder[key]
    return True
