"""What an exported file says about itself: the project's own description, and the keys of an ultralytics export."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from models.train.dataset import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

LICENCE = "AGPL-3.0-only (made with ultralytics); data CC BY 4.0 and MIT"


def description(version: str, size: tuple[int, int], provenance: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of the file: one JSON object under `kentongan`, and what ultralytics would write."""
    width, height = size
    own = {
        "name": "street",
        "version": version,
        "task": "detect",
        "family": "yolo",
        "input": {"width": width, "height": height, "layout": "NCHW", "color": "RGB", "scale": "0..1", "fit": "centre"},
        "labels": list(CLASSES),
        "riders_joined": True,
        "thresholds": {"score": 0.1, "nms_iou": 0.5},
        "licence": LICENCE,
        "provenance": dict(provenance),
    }
    return {
        "kentongan": json.dumps(own, ensure_ascii=False, sort_keys=True),
        "names": repr(dict(enumerate(CLASSES))),
        "imgsz": repr([height, width]),
        "stride": "32",
        "task": "detect",
        "license": LICENCE,
    }
