"""One alarm made of several signs: aggression, a protected thing that changed, loitering near one, the camera attacked.

Each sign has a weight; those near each other in place and time add up, each kind once, and from one on it is an alarm.
A network that fails or somebody who waits is none alone; a thing that is gone is. The alarm names its signs by their
event ids, so that whoever reads it can see why. It goes on until all its signs are over, and over restarts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from agent.clock import Instant
from agent.records import Body, Detail, EventBody, EventKind, Scalar, Severity, utc_text
from agent.scene.episode import Episode
from agent.scene.geometry import Array
from agent.scene.ledger import watched
from agent.scene.roster import as_state
from agent.scene.rule import Setting, State

ENOUGH: Final = 1.0
WEIGHTS: Final[Mapping[EventKind, float]] = {
    "asset_changed": 1.0,
    "camera_tampered": 1.0,
    "aggression": 0.6,
    "loitering": 0.4,
    "camera_lost": 0.4,
}
ADDED: Final = 0.6
"""Weight of something that was put there: litter and forgotten bags are more frequent than vandals."""
AT_A_THING: Final = 0.1
"""Who loiters is near a protected thing within so much of the picture."""
MOST_LOOSE: Final = 32
MOST_SIGNS: Final = 16
MOST_PLACES: Final = 16
"""Of one sign: where it began, and where it was told to be last."""


@dataclass(slots=True)
class _Sign:
    """What is remembered of one event that may be a part of vandalism.

    Attributes:
        event: Its id.
        kind: Of event.
        where: Zone or region.
        since_s: Since when, UTC.
        weight: How much it counts.
        severity: Its own.
        confidence: Its own.
        place: Where in the picture it is; ``None`` for the camera as a whole, which is near everything.
        ended_s: When it ended, UTC; ``None`` while it goes on.
        been: Where it was before, and until when, UTC: a fight that moves on leaves what it broke behind.
    """

    event: str
    kind: EventKind
    where: str | None
    since_s: float
    weight: float
    severity: Severity
    confidence: float
    place: tuple[float, float] | None
    ended_s: float | None = None
    been: list[tuple[float, float, float]] = field(default_factory=list)

    def places(self, since_s: float) -> Array:
        """Where it is, and everywhere it was since a time, shape (n, 2)."""
        lately = [(x, y) for x, y, until_s in self.been if until_s >= since_s]
        known: Array = np.array([*lately, *([] if self.place is None else [self.place])]).reshape(-1, 2)
        return known

    def plain(self) -> dict[str, Scalar]:
        """As the alarm names it."""
        told: dict[str, Scalar] = {"kind": self.kind, "event": self.event, "since": utc_text(self.since_s)}
        return told | ({"where": self.where} if self.where else {}) | {"over": self.ended_s is not None}


@dataclass(slots=True)
class _Alarm:
    """An open alarm and its signs by event id."""

    episode: Episode
    signs: dict[str, _Sign] = field(default_factory=dict)


class Fusion:
    """Makes the alarms of one camera out of its events.

    Args:
        setting: Which camera.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, state: Mapping[str, Any]) -> None:
        self._setting = setting
        self._wish = setting.camera.vandalism
        self._on = setting.camera.fuses_vandalism
        self._boxes = [_box(setting.pixels(region.polygon, (1, 1))) for region in setting.camera.protected]
        self._loose: dict[str, _Sign] = {}
        self._alarms: list[_Alarm] = []
        self._news = True
        if self._on:
            self._loose = {sign.event: sign for sign in map(_restored, state.get("loose", ()))}
            for kept in state.get("alarms", ()):
                self._restore(as_state(kept))
        signs = [*self._loose.values(), *(sign for alarm in self._alarms for sign in alarm.signs.values())]
        self._orphans = [sign for sign in signs if not watched(setting.camera, sign.kind, sign.where)]

    def state(self) -> State:
        """The open alarms, and the signs that are none yet."""
        alarms = [
            {
                "where": alarm.episode.where,
                "event": alarm.episode.state(),
                "signs": [asdict(sign) for sign in alarm.signs.values()],
            }
            for alarm in self._alarms
        ]
        loose = [asdict(sign) for sign in self._loose.values()]
        return ({"alarms": alarms} if alarms else {}) | ({"loose": loose} if loose else {})

    def fuse(self, bodies: Sequence[Body], at: Instant, sent: Collection[str] = ()) -> list[Body]:
        """The bodies to send: those given, without signs that are not wanted alone, and what they make together.

        Args:
            bodies: What the rules said.
            at: When.
            sent: Events whose start was sent. Their end is sent as well, whatever is wanted alone by now.
        """
        if not self._on:
            return list(bodies)
        self._end_orphans(at)
        for body in bodies:
            if isinstance(body, EventBody) and body.kind in WEIGHTS:
                self._take(body, at)
        if self._news:  # by time alone nothing comes near to anything
            self._begin(at)
            self._news = False
        told: list[Body] = [each for alarm in self._alarms for each in self._tell(alarm, at)]
        self._alarms = [alarm for alarm in self._alarms if alarm.episode.is_open]
        alone: frozenset[str] = frozenset(self._wish.alone)
        return [body for body in bodies if _kind(body) not in WEIGHTS.keys() - alone or _ends(body, sent)] + told

    def _end_orphans(self, at: Instant) -> None:
        """Signs that nobody watches any more since a restart are over; nobody else may say so."""
        for sign in self._orphans:
            sign.ended_s = at.utc_s if sign.ended_s is None else sign.ended_s
        self._orphans = []

    def _take(self, body: EventBody, at: Instant) -> None:
        """Note a sign that began, changed or ended."""
        self._news = True
        home = next((alarm.signs for alarm in self._alarms if body.event in alarm.signs), self._loose)
        known = home.get(body.event)
        if body.phase == "end":
            if known is not None:
                known.ended_s = at.utc_s
            return
        place = _place(body)
        if body.kind == "loitering" and not self._at_a_thing(place):
            return
        sign = _Sign(
            event=body.event,
            kind=body.kind,
            where=body.where,
            since_s=body.since,
            weight=ADDED if body.details.get("change") == "added" else WEIGHTS[body.kind],
            severity=body.severity,
            confidence=body.confidence,
            place=place,
            been=[] if known is None else _been(known, place, at.utc_s),
        )
        if home is self._loose:  # also one that has come nearer since it was first told
            home = next((each.signs for each in self._alarms if self._belongs(sign, each.signs.values(), at)), home)
            if home is not self._loose:
                self._loose.pop(sign.event, None)
        if known is not None or len(home) < MOST_SIGNS or home is self._loose:
            home[sign.event] = sign

    def _begin(self, at: Instant) -> None:
        """Start an alarm where loose signs are enough together."""
        fresh_s = at.utc_s - self._wish.window_s
        loose = [sign for sign in self._loose.values() if sign.ended_s is None or sign.ended_s >= fresh_s]
        self._loose = {sign.event: sign for sign in loose[-MOST_LOOSE:]}
        for seed in loose:
            if seed.event not in self._loose:
                continue
            group = [sign for sign in self._loose.values() if self._goes_with(seed, sign, fresh_s)]
            if _score(group) < ENOUGH or all(sign.ended_s is not None for sign in group):
                continue
            self._loose = {event: sign for event, sign in self._loose.items() if sign not in group}
            self._alarms.append(_Alarm(self._episode(_where(group)), {sign.event: sign for sign in group}))

    def _tell(self, alarm: _Alarm, at: Instant) -> list[EventBody]:
        signs = sorted(alarm.signs.values(), key=lambda sign: (sign.since_s, sign.event))
        if not alarm.episode.is_open:
            at = Instant(at.mono_s, min(sign.since_s for sign in signs), at.synced, at.error_ms)
        elif all(sign.ended_s is not None for sign in signs):
            return alarm.episode.feed(at, None)
        kinds = sorted({sign.kind for sign in signs})
        details: dict[str, Detail] = {
            "score": round(_score(signs), 1),
            "kinds": list[Scalar](kinds),
            "signs": [sign.plain() for sign in signs],
        }
        lasting = sorted(signs, key=lambda sign: sign.ended_s is not None)
        place = next((sign.place for sign in lasting if sign.place is not None), None)
        if place is not None:
            details["place"] = {"x": place[0], "y": place[1]}
        grave = len(kinds) > 1 or any(sign.severity == "alarm" for sign in signs)
        unsure = float(np.prod([1 - sign.confidence for sign in signs]))
        return alarm.episode.feed(
            at, details, severity="alarm" if grave else "warning", confidence=min(0.99, 1 - unsure)
        )

    def _belongs(self, sign: _Sign, signs: Any, at: Instant) -> bool:
        """Whether a new sign is one more of an alarm's."""
        recent_s = at.utc_s - self._wish.window_s
        recent = [each for each in signs if each.ended_s is None or each.ended_s >= recent_s]
        return len(signs) < MOST_SIGNS and any(self._is_near(sign, each, recent_s) for each in recent)

    def _goes_with(self, one: _Sign, other: _Sign, since_s: float) -> bool:
        return self._is_near(one, other, since_s) and self._together(one, other)

    def _is_near(self, one: _Sign, other: _Sign, since_s: float) -> bool:
        """Whether two signs were near each other, anywhere they have been since a time."""
        if one.place is None or other.place is None:
            return True
        between = one.places(since_s)[:, np.newaxis] - other.places(since_s)
        return float(np.hypot(between[..., 0], between[..., 1]).min()) <= self._wish.reach

    def _together(self, one: _Sign, other: _Sign) -> bool:
        """Whether two signs overlap in time, or one began within the window after the other ended."""
        first, second = sorted((one, other), key=lambda sign: sign.since_s)
        return first.ended_s is None or second.since_s - first.ended_s <= self._wish.window_s

    def _at_a_thing(self, place: tuple[float, float] | None) -> bool:
        if place is None:
            return False
        away = [np.maximum(box[:2] - place, np.maximum(np.asarray(place) - box[2:], 0)) for box in self._boxes]
        return any(float(np.hypot(*each)) <= AT_A_THING for each in away)

    def _episode(self, where: str | None, state: Mapping[str, Any] | None = None) -> Episode:
        return Episode(
            self._setting,
            "vandalism",
            where,
            enter_s=0.0,
            leave_s=self._wish.leave_s,
            update_s=1.0,
            state=state,
        )

    def _restore(self, kept: Mapping[str, Any]) -> None:
        """An alarm about a place that is no longer configured is the ledger's to end."""
        camera, where = self._setting.camera, kept.get("where")
        names = {region.name for region in camera.protected} | {zone.name for zone in camera.zones}
        if where is not None and where not in names:
            return
        signs = {sign.event: sign for sign in map(_restored, kept.get("signs", ()))}
        self._alarms.append(_Alarm(self._episode(where, as_state(kept.get("event"))), signs))


def _kind(body: Body) -> str:
    return body.kind if isinstance(body, EventBody) else ""


def _ends(body: Body, sent: Collection[str]) -> bool:
    return isinstance(body, EventBody) and body.phase == "end" and body.event in sent


def _score(signs: Sequence[_Sign]) -> float:
    """The weights of the kinds, each once."""
    best: dict[str, float] = {}
    for sign in signs:
        best[sign.kind] = max(best.get(sign.kind, 0.0), sign.weight)
    return round(sum(best.values()), 3)


def _where(signs: Sequence[_Sign]) -> str | None:
    """The protected region if one is among the signs, else the zone."""
    by_kind = {sign.kind: sign.where for sign in reversed(signs)}
    return by_kind.get("asset_changed") or by_kind.get("loitering")


def _place(body: EventBody) -> tuple[float, float] | None:
    place = body.details.get("place")
    return (float(place["x"]), float(place["y"])) if isinstance(place, dict) else None


def _been(known: _Sign, place: tuple[float, float] | None, until_s: float) -> list[tuple[float, float, float]]:
    """Where a sign was, now that it is at a place; of very many places the oldest after the first are left out."""
    if known.place is None or known.place == place:
        return known.been
    been = [*known.been, (*known.place, until_s)]
    return been if len(been) < MOST_PLACES else [been[0], *been[2:]]


def _box(outline: Array) -> Array:
    box: Array = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return box


def _restored(kept: Any) -> _Sign:
    place = kept["place"]
    at = None if place is None else (float(place[0]), float(place[1]))
    been = [(float(x), float(y), float(until_s)) for x, y, until_s in kept.get("been", ())]
    return _Sign(**{**kept, "place": at, "been": been})
