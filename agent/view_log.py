"""What the log says when a camera's view is attacked, moved, carried over, or well again: one line for each.

Reads the events that go out anyway, so that log and broker never tell two stories. Decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from agent.records import Detail, EventBody, Record

LOG: Final = logging.getLogger("kentongan.view")
_CAUSES: Final[Mapping[str, str]] = {
    "turned": "shows another view than the one its lines and zones are drawn on, so nothing is counted; turn it back, "
    "or accept the view: kentongan accept-view",
    "covered": "is covered",
    "sprayed": "has something on its lens",
    "defocused": "is out of focus",
    "blinded": "is blinded by a light",
    "dark": "shows nothing but dark",
    "frozen": "gives the same picture again and again",
    "unplugged": "gives no picture any more",
}


class ViewLog:
    """The log of all cameras' views."""

    def __init__(self) -> None:
        self._causes: dict[str, str] = {}
        self._ended: dict[str, str] = {}

    def tell(self, camera: str, records: Sequence[Record]) -> None:
        """Log what is new in a camera's records; a cause once, however often its event is told."""
        for record in records:
            if isinstance(record.body, EventBody) and record.body.kind == "camera_tampered":
                self._tell(camera, record.body)

    def _tell(self, camera: str, event: EventBody) -> None:
        if self._ended.get(camera) == event.event:
            return  # told once more, with its clip
        if event.phase == "end":
            self._causes.pop(camera, None)
            self._ended[camera] = event.event
            LOG.warning("camera %s: %s", camera, _ending(event.details))
            return
        cause = str(event.details.get("cause", ""))
        if self._causes.get(camera) != cause and "settled" not in event.details:
            self._causes[camera] = cause
            LOG.warning("camera %s: it %s", camera, _CAUSES.get(cause, f"is tampered with ({cause})"))


def _ending(details: Mapping[str, Detail]) -> str:
    if "why" in details:  # nobody looks whether it is well
        return f"its view is {details['why']}"
    settled = details.get("settled")
    if settled == "accepted":
        return "its view is accepted as it is; counting goes on"
    if settled == "reanchored" and "shift_x" in details:
        move = ", ".join(f"{name} {details[name]}" for name in ("shift_x", "shift_y", "turn_deg", "zoom"))
        return f"it was moved, and its lines and zones are carried over to where they are seen now ({move})"
    return "its view is well again"
