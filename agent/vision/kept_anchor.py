"""The installer's view over a restart, as text: corners and their codes, the shift in force, and whether it stopped.

No picture can be made of it. It is believed as long as the camera and all that was drawn are the same: who draws lines
anew draws them on what the camera shows then.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, cast

import numpy as np

from agent.vision.anchor import FEWEST, STAYED, Anchor, Corners, Numbers, Standing
from agent.vision.kept_view import Origin

_STEPS: Final = 65_535
MOST_LETTERS: Final = 60_000


def write_anchor(anchor: Anchor, origin: Origin) -> str:
    """What an anchor knows as text."""
    plain: dict[str, Any] = {
        "camera": origin.camera,
        "shift": list(anchor.standing.shift),
        "stopped": anchor.standing.stopped,
    }
    if anchor.original is not None:
        where = np.rint(np.clip(anchor.original.where, 0, 1) * _STEPS).astype("<u2")
        plain |= {
            "where": base64.b64encode(where.tobytes()).decode(),
            "codes": base64.b64encode(anchor.original.codes.tobytes()).decode(),
            "aspect": round(anchor.original.aspect, 5),
        }
    return json.dumps(plain, separators=(",", ":"))


def read_anchor(text: str, origin: Origin) -> Anchor:
    """The anchor of a text; a fresh one when it can't be read or is of another camera or configuration."""
    try:
        plain = json.loads(text) if 0 < len(text) <= MOST_LETTERS else {}
        if plain.get("camera") != origin.camera:
            return Anchor()
        shift = tuple(float(each) for each in plain["shift"])
        if len(shift) != len(STAYED) or not np.isfinite(shift).all():
            return Anchor()
        if "where" not in plain:
            return Anchor()
        where = np.frombuffer(base64.b64decode(plain["where"], validate=True), "<u2").reshape(-1, 2)
        codes = np.frombuffer(base64.b64decode(plain["codes"], validate=True), np.uint8).reshape(-1, 32)
        if len(where) < FEWEST or len(where) != len(codes) or not 0.1 < float(plain["aspect"]) < 10:
            return Anchor()
        original = Corners((where / np.float32(_STEPS)).astype(np.float32), codes.copy(), float(plain["aspect"]))
        return Anchor(original, Standing(cast("Numbers", shift), stopped=plain["stopped"] is True))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        return Anchor()
