"""How a camera's view looked before a restart, as text: so that a camera that was covered meanwhile is noticed.

What is kept is the judge's memory and nothing else: one small grey picture, 160 pixels wide, that passers-by leave no
trace in, and the strength of detail by cell. Some ten thousand letters. It is believed only while it is fresh, by a
clock that can be trusted, and while camera and configuration are the same; otherwise the view is learnt anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np

from agent.clock import Instant
from agent.config.schema import Camera
from agent.vision.look import Look

FRESH_S: Final = 1800.0
"""Older than this it is not believed: by then daylight may have gone, and shadows have moved."""
MOST_LETTERS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Of what and in which life a view was kept.

    Attributes:
        camera: A fingerprint of where the camera is and what was drawn on its view: drawn anew, the view is new.
        machine: An id of this start of the machine.
    """

    camera: str
    machine: str

    @classmethod
    def of(cls, camera: Camera, machine: str) -> Origin:
        """Of a camera's configuration."""
        drawn = json.dumps(_drawn(camera), sort_keys=True)
        return cls(hashlib.sha256(drawn.encode()).hexdigest()[:16], machine)


def _drawn(camera: Camera) -> dict[str, Any]:
    """Where the camera is and the places drawn on its view, by name; no threshold: it says nothing of the view."""
    ways = {zone.name: zone.rules.wrong_way for zone in camera.zones}
    ground = camera.ground
    lanes = None if ground is None else ground.lanes
    return {
        "source": camera.model_dump(mode="json", include={"source"}),
        "frame_size": camera.frame_size,
        "lines": {line.name: line.points for line in camera.lines},
        "zones": {zone.name: zone.polygon for zone in camera.zones},
        "ways": {name: way.along for name, way in ways.items() if way is not None},
        "protected": {region.name: region.polygon for region in camera.protected},
        "ground": [] if ground is None else [point.image for point in ground.points],
        "lanes": None if lanes is None else [lanes.left, lanes.right],
    }


def write_view(view: Look, at: Instant, origin: Origin) -> str:
    """A view as text."""
    _, png = cv2.imencode(".png", np.clip(np.rint(view.grey), 0, 255).astype(np.uint8))
    plain = {
        "camera": origin.camera,
        "machine": origin.machine,
        "mono_s": round(at.mono_s, 1),
        "utc_s": round(at.utc_s, 1) if at.synced else None,
        "grey": base64.b64encode(png.tobytes()).decode(),
        "fine": np.round(view.fine, 2).tolist(),
        "colourfulness": round(view.colourfulness, 2),
    }
    return json.dumps(plain, separators=(",", ":"))


def read_view(text: str | None, at: Instant, origin: Origin) -> Look | None:
    """The view of a text; ``None`` when it can't be read, is not fresh, or is of another camera or configuration."""
    if not text or len(text) > MOST_LETTERS:
        return None
    try:
        plain = json.loads(text)
        if plain["camera"] != origin.camera or not 0 <= _age_s(plain, at, origin) <= FRESH_S:
            return None
        png = np.frombuffer(base64.b64decode(plain["grey"], validate=True), np.uint8)
        grey: Any = cv2.imdecode(png, cv2.IMREAD_GRAYSCALE)
        fine = np.array(plain["fine"], np.float32)
        if grey is None or fine.ndim != 2 or not np.isfinite(fine).all():
            return None
        return Look(cast("Any", grey).astype(np.float32), fine, float(plain["colourfulness"]), 0.0)
    except (ValueError, KeyError, TypeError, binascii.Error, cv2.error):
        return None


def _age_s(plain: dict[str, Any], at: Instant, origin: Origin) -> float:
    """How old a kept view is; below zero when no clock tells."""
    if plain["machine"] == origin.machine:
        return at.mono_s - float(plain["mono_s"])
    if at.synced and plain["utc_s"] is not None:
        return at.utc_s - float(plain["utc_s"])
    return -1.0
