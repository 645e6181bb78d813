"""The event that something protected was taken away, defaced, damaged, or had something put there.

How much of a region differs, and how, is judged elsewhere. Here it is told once it stood long enough, what it is most
likely called, and who was near before: by track number, never by a face. It ends when the region looks as it did, or
when it has looked otherwise for so long that this is how it looks now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from agent.clock import Instant
from agent.config.schema import Asset, ProtectedRegion
from agent.records import Body, Detail, EventBody, Severity
from agent.scene.carry import out_of_picture
from agent.scene.episode import Episode
from agent.scene.roster import as_state
from agent.scene.rule import Moment, Setting, State
from agent.scene.values import AssetLook
from agent.scene.visitors import Visitors

Change: TypeAlias = Literal["removed", "defaced", "damaged", "added"]

GONE: Final = 0.45
"""A thing is gone when this share of its structure is …"""
PAINTED: Final = 0.8
"""… unless this share of what changed has new structure: then it is there, behind paint or paper."""
SURELY_GONE: Final = 0.75
BARE: Final = 2.0
"""Where structure is new and neither any is lost nor the colour another, so many times the least change is needed: the
edge of a shadow that stands leaves thin bands of that."""
SLIGHT: Final = 0.05
"""A smaller share of what settled is none."""
CLEAR: Final = 0.5
"""A sign that this share of a change shows is the sign of it; else what it is called is not certain."""
SEEN: Final = 0.5
"""With less of a region in view nothing is said of it, and nothing is over."""
BACK: Final = 0.5
"""It looks as it did when less than this share of the least change is left."""
LEAVE_S: Final = 5.0
MORE: Final = 0.1
"""An open event is told again when so much more or less of the region has changed."""
WHOLE_S: Final = 5.0
"""A change settles in parts; so long after the first it is whole enough to be given a name."""
UPDATE_S: Final = 15.0
ACCEPTED: Final = "it has looked so for so long that this is how it looks now"
RELEARNT: Final = "how it should look was learnt anew, as in a new view; whether the change is undone is not known"
TOO_SMALL: Final = "it is too small in the pictures that come now; whether the change is undone is not known"
OUTSIDE: Final = "it is out of the picture since the camera moved; whether the change is undone is not known"
PUT_ON: Final[frozenset[Asset]] = frozenset({"floor", "bench"})
"""What things are left on."""
FLAT: Final[frozenset[Asset]] = frozenset({"floor", "wall"})
"""What nobody carries away."""
SEVERITY: Final[Mapping[Change, Severity]] = {
    "removed": "alarm",
    "defaced": "warning",
    "damaged": "warning",
    "added": "warning",
}


def change_of(what: Asset, look: AssetLook, least_share: float) -> tuple[Change, bool] | None:
    """What a change is called, and whether that is certain; ``None`` when there is none."""
    painted = look.settled >= least_share and look.new >= PAINTED
    if what not in FLAT and look.gone >= GONE and not painted:
        return "removed", look.gone >= SURELY_GONE
    is_bare = max(look.lost, look.coloured) < SLIGHT
    if look.settled < least_share * (BARE if is_bare else 1.0):
        return None
    fresh = max(look.new, look.coloured)
    if what == "floor":
        return ("removed", True) if look.lost >= CLEAR > fresh else ("added", look.new >= CLEAR)
    if fresh >= CLEAR or look.new > look.lost:
        return ("added" if what in PUT_ON else "defaced"), look.new >= CLEAR > look.lost
    return "damaged", look.lost >= CLEAR


class AssetChanged:
    """Watches the protected regions of one camera.

    Args:
        setting: Which.
        state: What an earlier :meth:`state` gave.
    """

    def __init__(self, setting: Setting, state: Mapping[str, Any]) -> None:
        self._regions = {
            region.name: _Region(setting, region, as_state(state.get(region.name)))
            for region in setting.camera.protected
        }
        self._outside = out_of_picture(setting.camera)

    def state(self) -> State:
        """The open events by region."""
        return {name: kept for name, region in self._regions.items() if (kept := region.state())}

    def step(self, moment: Moment) -> list[Body]:
        """Start, update or end events as the regions look."""
        if moment.sight is not None:
            for region in self._regions.values():
                region.visitors.see(moment.sight)
        looks = {look.name: look for look in moment.assets}
        ended = [end for name in self._outside if (end := self._regions[name].give_up(moment.at)) is not None]
        return [
            *ended,
            *(body for name, each in self._regions.items() if name in looks for body in each.look(moment, looks[name])),
        ]


class _Region:
    """One region, and its event."""

    def __init__(self, setting: Setting, region: ProtectedRegion, state: Mapping[str, Any]) -> None:
        self._region = region
        self._light: str = str(state.get("light", ""))
        self._unsure_s = region.settle_s * 1.5 if state else 0.0
        self._seen_s: float | None = None
        self._found_s: float | None = None
        self.visitors = Visitors(setting.pixels(region.polygon, (1, 1)))
        self._episode = Episode(
            setting,
            "asset_changed",
            region.name,
            enter_s=0.0,
            leave_s=LEAVE_S,
            update_s=UPDATE_S,
            state=as_state(state.get("event")),
        )

    def state(self) -> State:
        if not self._episode.is_open:
            return {}
        return {"event": self._episode.state(), "light": self._light}

    def look(self, moment: Moment, look: AssetLook) -> list[Body]:
        why = TOO_SMALL if look.unwatched else ACCEPTED if look.accepted else RELEARNT if look.relearnt else None
        if why is not None and (end := self.give_up(moment.at, why)) is not None:
            return [end]
        if not look.known or look.seen < SEEN:
            return []
        if self._episode.is_open:
            return self._go_on(moment.at, look)
        found = change_of(self._region.what, look, self._region.least_share)
        if found is None:
            self._found_s = None
            return []
        self._found_s = moment.at.mono_s if self._found_s is None else self._found_s
        if moment.at.mono_s - self._found_s < WHOLE_S:
            return []
        onset = self._onset(moment.at, look)
        self._light = look.light
        details = self._details(look, *found) | {"near": self.visitors.before(onset)}
        return list(self._episode.feed(onset, details, severity=SEVERITY[found[0]], confidence=_confidence(found[1])))

    def give_up(self, at: Instant, why: str = OUTSIDE) -> EventBody | None:
        """End an open event without its change being undone, if there is one."""
        return self._episode.end(at, why=why) if self._episode.is_open else None

    def _go_on(self, at: Instant, look: AssetLook) -> list[Body]:
        """An open event: it is over when the region looks as it did, by the light in which it was seen to change.

        After a restart what still differs must settle again before it is known not to be back.
        """
        passed_s = 0.0 if self._seen_s is None else min(2.0, at.mono_s - self._seen_s)
        self._seen_s = at.mono_s
        self._unsure_s = max(0.0, self._unsure_s - passed_s)
        told = self._episode.details
        found = change_of(self._region.what, look, BACK * self._region.least_share)
        if found is None:
            return [] if look.light != self._light or self._unsure_s > 0 else list(self._episode.feed(at, None))
        change, certain = found
        if change != "removed" or told["change"] == "removed":  # a name is kept, but for the gravest
            change, certain = cast("Change", told["change"]), bool(told["certain"])
        details = dict(told) | self._details(look, change, certain)
        grew = abs(float(cast("float", details["share"])) - float(cast("float", told["share"]))) >= MORE
        if change == told["change"] and not grew:
            details = dict(told)  # what flickers at its edges is no news
        return list(self._episode.feed(at, details, severity=SEVERITY[change], confidence=_confidence(certain)))

    def _onset(self, at: Instant, look: AssetLook) -> Instant:
        """When the change came: told by what settled, else by how long it takes to."""
        ago_s = look.stood_s or self._region.settle_s
        return Instant(at.mono_s - ago_s, at.utc_s - ago_s, at.synced, at.error_ms)

    def _details(self, look: AssetLook, change: Change, certain: bool) -> dict[str, Detail]:  # noqa: FBT001 - a pair
        share = max(look.settled, look.gone if change == "removed" else 0.0)
        return {
            "change": change,
            "what": self._region.what,
            "certain": certain,
            "share": round(share, 1) if share >= 0.1 else round(share, 2),
            "light": look.light,
            "place": {"x": round(look.place[0], 3), "y": round(look.place[1], 3)},
        }


def _confidence(certain: bool) -> float:  # noqa: FBT001 - the one thing it depends on
    return 0.9 if certain else 0.6
