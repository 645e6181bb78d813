"""What a run was made of: plan, data, versions, network. Written once, and checked before a run goes on."""

from __future__ import annotations

import dataclasses
import json
import platform
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.train.plan import Plan


def record_of(plan: Plan, *, data_sha256: str, stills: int, command: Sequence[str]) -> dict[str, Any]:
    """The record of a run that is about to start: plain JSON values."""
    return {
        "config": json.loads(json.dumps(dataclasses.asdict(plan))),
        "data_sha256": data_sha256,
        "stills": stills,
        "command": list(command),
        "versions": versions(),
    }


def prepare_folder(folder: Path, yaml_file: Path, record: Mapping[str, Any]) -> None:
    """Make the run's folder with a copy of the network's description and the record of how it is trained.

    Raises:
        SystemExit: The folder holds a run made with another configuration, network or data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record_file, network_file = folder / "config.json", folder / "street.yaml"
    if not record_file.exists():
        network_file.write_bytes(yaml_file.read_bytes())
        record_file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return
    before = json.loads(record_file.read_text(encoding="utf-8"))
    for key in ("config", "data_sha256"):
        if before[key] != record[key]:
            raise SystemExit(f"{record_file}: this run was started with another '{key}': give a new --run folder")
    if network_file.read_bytes() != yaml_file.read_bytes():
        raise SystemExit(f"{network_file}: this run was started with another network: give a new --run folder")


def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    import torch  # noqa: PLC0415 - checks and tests of the record's rules run without it
    import ultralytics  # noqa: PLC0415 - as above

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ultralytics": ultralytics.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
