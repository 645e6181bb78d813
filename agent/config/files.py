"""Files that a configuration names: a relative name is meant from the configuration's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo


def beside_the_config(path: Path, info: ValidationInfo) -> Path:
    """A relative name is meant from the configuration's own folder, where the loader knows it."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


File: TypeAlias = Annotated[
    Path, AfterValidator(beside_the_config), Field(description="A file; relative to the configuration's folder.")
]
