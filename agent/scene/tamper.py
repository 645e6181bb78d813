"""The event that somebody tampers with the camera: one from the first sign to the last, whatever the signs are.

What the view shows is judged elsewhere; a picture that stands still or stays away is told by the link. Alone that is
`camera_lost`, unless the configuration says otherwise: networks fail far more often than cameras are stolen. After the
view itself was tampered with, it belongs to the same attack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from agent.records import Body, Detail, Scalar
from agent.scene.carry import out_of_picture, told
from agent.scene.episode import Episode
from agent.scene.roster import as_state
from agent.scene.rule import Moment, Setting, State

LEAVE_S: Final = 3.0
"""How long all must be well before the event ends."""
SETTLE_S: Final = 10.0
"""After a restart it takes so long until a view that is still covered is known to be."""


class CameraTampered:
    """Watches one camera.

    Args:
        setting: Which.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, state: Mapping[str, Any]) -> None:
        self._wish = setting.camera.tamper
        kept = as_state(state) if self._wish.enabled else {}  # what is switched off, the ledger ends
        self._episode = Episode(
            setting, "camera_tampered", None, enter_s=0.0, leave_s=LEAVE_S, update_s=1.0, state=kept
        )
        self._unwatched: list[Scalar] = list(out_of_picture(setting.camera))
        self._lost_since_s: float | None = None
        self._unsure = self._episode.is_open
        self._unsure_until_s: float | None = None

    def state(self) -> State:
        """The open event."""
        return self._episode.state()

    def step(self, moment: Moment) -> list[Body]:
        """Start, update or end the event as view and link say."""
        if not self._wish.enabled:
            return []
        if moment.view.settled:
            return self._settle(moment)
        details = self._sign(moment)
        if details is None and moment.link.state != "live":
            return []  # nothing is known, so nothing is over
        if details is None and self._is_unsure(moment):
            return []
        self._unsure = False
        return list(self._episode.feed(moment.at, details, severity="alarm"))

    def _settle(self, moment: Moment) -> list[Body]:
        """End the event of a view that is known again, and say how; a shift that nobody had noticed begins with it."""
        view = moment.view
        self._unsure = False
        events: list[Body] = []
        shift = {} if view.shift is None or view.settled == "accepted" else told(view.shift)
        details: dict[str, Detail] = {"cause": "turned", **self._episode.details, "settled": view.settled, **shift}
        if self._unwatched:
            details["unwatched"] = self._unwatched
        if not self._episode.is_open and view.settled == "accepted":
            return []
        if not self._episode.is_open:
            events.extend(self._episode.feed(moment.at, details, severity="warning"))
        return [*events, self._episode.end(moment.at, details=details)]

    def _is_unsure(self, moment: Moment) -> bool:
        """Whether an event from before a restart may still go on, though nothing is seen of it yet."""
        if self._unsure and self._unsure_until_s is None:
            self._unsure_until_s = moment.at.mono_s + SETTLE_S
        return self._unsure and moment.at.mono_s < (self._unsure_until_s or 0.0)

    def _sign(self, moment: Moment) -> dict[str, Detail] | None:
        link = moment.link.state
        if link != "lost":
            self._lost_since_s = None
        attacked = self._episode.is_open
        if link == "frozen" and (self._wish.frozen or attacked):
            return {"cause": "frozen"}
        if link == "lost" and (self._wish.unplugged or attacked):
            if self._lost_since_s is None:
                self._lost_since_s = moment.at.mono_s
            gone_s = moment.at.mono_s - self._lost_since_s
            return {"cause": "unplugged"} if gone_s >= self._wish.unplugged_after_s else None
        if moment.view.cause and link == "live":
            return {"cause": moment.view.cause, "share": round(moment.view.share, 1)}
        return None
