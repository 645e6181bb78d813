"""What a run was made of: plan, data, versions, network. Checked before a run goes on.

Written once; what a run may go on with otherwise is added with the reason, and what was before stays in the record.
"""

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

WAYS_ON = {
    "config": "give a new --run folder, or --plan-changed WHY to go on by the new plan",
    "data_sha256": "give a new --run folder, or --data-changed WHY to go on with the new data",
    "started_from": "give a new --run folder",
}


def record_of(
    plan: Plan, *, data_sha256: str, stills: int, command: Sequence[str], origin: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The record of a run that is about to start: plain JSON values."""
    return {
        "config": json.loads(json.dumps(dataclasses.asdict(plan))),
        "data_sha256": data_sha256,
        "stills": stills,
        **({"started_from": dict(origin)} if origin else {}),
        "command": list(command),
        "versions": versions(),
    }


def prepare_folder(
    folder: Path,
    yaml_file: Path,
    record: Mapping[str, Any],
    data_changed: str | None = None,
    plan_changed: str | None = None,
    reached: Mapping[str, Any] | None = None,
) -> None:
    """Make the run's folder with a copy of the network's description and the record of how it is trained.

    Args:
        folder: The run's folder.
        yaml_file: The network's description.
        record: What :func:`record_of` gave.
        data_changed: Why a run may go on with other data than it started with; written into its record.
        plan_changed: Why a run may go on by another plan, such as other stages; written into its record.
        reached: How far the run has come, by the checkpoint it goes on from: what was done after that is done again.

    Raises:
        SystemExit: The folder holds a run made with another configuration, network or data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record_file, network_file = folder / "config.json", folder / "street.yaml"
    if not record_file.exists():
        network_file.write_bytes(yaml_file.read_bytes())
        _write(record_file, record)
        return
    before = json.loads(record_file.read_text(encoding="utf-8"))
    agreed = before
    for key, earlier, why in (
        ("config", "earlier_plans", plan_changed),
        ("data_sha256", "earlier_data", data_changed),
    ):
        if why is not None and before[key] != record[key]:
            was = {key: before[key], "until": dict(reached or {}), "why": why}
            agreed = {**agreed, key: record[key], earlier: [*before.get(earlier, []), was]}
    for key in ("config", "data_sha256", "started_from"):
        if agreed.get(key) != record.get(key):
            raise SystemExit(f"{record_file}: this run was started with another '{key}': {WAYS_ON[key]}")
    if network_file.read_bytes() != yaml_file.read_bytes():
        raise SystemExit(f"{network_file}: this run was started with another network: give a new --run folder")
    if agreed != before:
        _write(record_file, agreed)


def _write(record_file: Path, record: Mapping[str, Any]) -> None:
    """Replace the record whole: an interruption leaves the old one."""
    partial = record_file.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    partial.replace(record_file)


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
