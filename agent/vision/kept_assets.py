"""How protected regions looked before a restart, as text: so that what was taken meanwhile is noticed.

Kept is one small picture for each kind of light, some hundred pixels wide, of the region alone (passers-by leave no
trace in it), and where false boxes stand that hide nothing. It is believed while camera, region and configuration are
the same, and for a week where a clock tells; if light or weather are others by then, the surroundings say so, and the
region is learnt anew.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, cast

import cv2
import numpy as np

from agent.clock import Instant
from agent.values import Image
from agent.vision.assets import Light, Watched
from agent.vision.keepsake import Memory
from agent.vision.kept_view import Origin
from agent.vision.patch import Map
from agent.vision.scenery import FORGOTTEN_S, MOST, Place

FRESH_S: Final = 7 * 86_400.0
MOST_LETTERS: Final = 200_000
LIGHTS: Final[tuple[Light, ...]] = ("day", "night", "infrared")
STEPS: Final = 45.0
"""Steps in which a logarithm of grey is kept: 2 %."""
USUAL_STEPS: Final = 255 / 0.02


def write_region(watched: Watched, at: Instant, origin: Origin) -> str:
    """The memories of a region as text; empty while there are none worth keeping."""
    lights = {
        light: _write_memory(memories[0])
        for light, memories in sorted(watched.memories.items())
        if memories and memories[0].is_ready
    }
    if not lights:
        return ""
    plain = {
        "camera": origin.camera,
        "machine": origin.machine,
        "mono_s": round(at.mono_s, 1),
        "utc_s": round(at.utc_s, 1) if at.synced else None,
        "stood_s": round(watched.stood_s),
        "lights": lights,
        "scenery": [_write_place(place, watched.size) for place in watched.scenery.places if place.is_scenery],
    }
    return json.dumps(plain, separators=(",", ":"))


def read_region(text: str | None, watched: Watched, at: Instant, origin: Origin) -> bool:
    """Give a region the memories of a text; ``False``, and nothing given, when it can't be read or is of another."""
    if not text or len(text) > MOST_LETTERS:
        return False
    try:
        plain = json.loads(text)
        if plain["camera"] != origin.camera or _is_old(plain, at, origin):
            return False
        shape = (watched.cut.height, watched.cut.width)
        lights = {light: [_read_memory(plain["lights"][light], shape)] for light in LIGHTS if light in plain["lights"]}
        stood_s = float(plain["stood_s"])
        places = [_read_place(each, watched.size) for each in plain.get("scenery", [])[:MOST]]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, cv2.error):
        return False
    watched.memories, watched.scenery.places = lights, places
    watched.stood_s = stood_s if 0 <= stood_s <= watched.region.accept_s else 0.0
    return True


def _is_old(plain: dict[str, Any], at: Instant, origin: Origin) -> bool:
    """Whether a clock tells that it is too old, or of the future."""
    if plain["machine"] == origin.machine:
        return not 0 <= at.mono_s - float(plain["mono_s"]) <= FRESH_S
    if at.synced and plain["utc_s"] is not None:
        return not 0 <= at.utc_s - float(plain["utc_s"]) <= FRESH_S
    return False


def _write_place(place: Place, size: tuple[int, int]) -> list[float]:
    """Left, top, right and bottom relative to the picture, whether the region was learnt with it, and for how long."""
    box = (place.box / np.array(size * 2)).round(4).tolist()
    return [*box, int(place.learnt), round(min(place.stood_s, FORGOTTEN_S))]


def _read_place(plain: list[float], size: tuple[int, int]) -> Place:
    *box, learnt, stood_s = (float(each) for each in plain)
    if len(box) != 4 or not np.isfinite([*box, stood_s]).all():
        raise ValueError("no place")
    found = (np.array(box) * np.array(size * 2)).astype(np.float32)
    return Place(found, learnt=bool(learnt), is_scenery=True, stood_s=stood_s)


def _write_memory(memory: Memory) -> dict[str, str]:
    height, width = memory.grey.shape
    quarter = cv2.resize(memory.usual, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    maps = {"grey": memory.grey * STEPS, "colour": memory.colour, "usual": quarter * USUAL_STEPS}
    return {name: _write_map(cast("Map", values)) for name, values in maps.items()}


def _read_memory(plain: dict[str, str], shape: tuple[int, int]) -> Memory:
    height, width = shape
    grey = _read_map(plain["grey"]) / STEPS
    colour, usual = _read_map(plain["colour"]), _read_map(plain["usual"]) / USUAL_STEPS
    if grey.shape != shape or colour.shape != ((height + 1) // 2, (width + 1) // 2, 3) or usual.ndim != 2:
        raise ValueError("of another shape")
    rough = cv2.resize(usual, (width, height), interpolation=cv2.INTER_LINEAR)
    return Memory(cast("Map", grey), colour, cast("Map", rough), None)


def _write_map(values: Map) -> str:
    _, png = cv2.imencode(".png", np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return base64.b64encode(png.tobytes()).decode()


def _read_map(text: str) -> Map:
    png = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    found: Any = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    if found is None:
        raise ValueError("no picture")
    return cast("Map", cast("Image", found).astype(np.float32))
