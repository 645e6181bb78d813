"""Protected regions of one camera: when they are looked at, and what of them is remembered over a restart.

The place where configuration, pixels and scene meet; each of them knows nothing of the others. While the view can't be
trusted (moved, covered, dark) nothing is looked at: a region that isn't where it was drawn would look changed. A region
that a move carried out of the picture, or that is too small in it, is not looked at either, which ``trouble`` says, as
it does of one that something hides for long.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import KentonganError
from agent.hidden import Hidden
from agent.scene.carry import out_of_picture
from agent.scene.judgeable import LARGER, is_too_small
from agent.scene.rule import Setting
from agent.scene.values import AssetLook, View
from agent.values import Frame, RoadUser, Tracks
from agent.viewing import assets_of
from agent.vision.assets import AssetJudge, Region, RegionLook
from agent.vision.kept_assets import read_region, write_region
from agent.vision.kept_view import Origin

LOG: Final = logging.getLogger("kentongan.guarding")
SAVED_S: Final = 1800.0
"""How often memories are saved, besides when one is first complete: they hardly change, and a disk wears."""
_FORGOTTEN: Final = "null"
"""Stored over what must not be read again."""
_TO_DO: Final = "turn the camera back if it was moved, or draw them on what it shows now and accept its view"
_READY_S: Final = 60.0
"""How soon after a first memory is complete it is saved."""


class Guard:
    """Looks after one camera's protected regions.

    Args:
        camera: Its configuration.
        state: What :meth:`states` said before a restart, and others' texts.
        origin: Whose memories they are.
    """

    def __init__(self, camera: Camera, state: Mapping[str, str], origin: Origin) -> None:
        self._origin = origin
        self._outside = self._tiny = ""
        self._lay(camera)
        self._texts = {name: state[key] for name, key in self._names.items() if state.get(key)}
        self._accepted: set[str] = set()
        self._relearnt: set[str] = set()
        self._save_at_s: float | None = None

    def begin_anew(self, camera: Camera, origin: Origin) -> None:
        """Forget how the regions looked, which now lie elsewhere in the picture, and learn it again there."""
        self._origin = origin
        self._lay(camera)
        self._texts = dict.fromkeys(self._names, _FORGOTTEN)
        self._accepted.clear()
        self._save_at_s = None

    def _lay(self, camera: Camera) -> None:
        """Watch the regions where they are seen now, but those that are not."""
        outside = out_of_picture(camera)
        self._names = {region.name: region_name(camera.name, region.name) for region in camera.protected}
        self._camera, self._size = camera.name, (0, 0)
        self._hidden, self._hiding = Hidden(), ""
        self._unwatched: tuple[AssetLook, ...] = ()
        self._drawn = self._regions = [region for region in _regions_of(camera) if region.name not in outside]
        self._judge = AssetJudge(self._regions)
        trouble = f"not watched, out of the picture: protected {', '.join(outside)}; {_TO_DO}"
        self._outside = self._told_once(self._outside, trouble if outside else "")

    def _fit(self, size: tuple[int, int]) -> None:
        """Watch those regions that are large enough in pictures of a size; it is known only when one has come."""
        self._size = size
        tiny = [region.name for region in self._drawn if is_too_small(region.polygon * size)]
        regions = [region for region in self._drawn if region.name not in tiny]
        if [region.name for region in regions] != [region.name for region in self._regions]:
            self._watch(regions)
        trouble = f"not watched, too small in a picture of {size[0]}x{size[1]}: protected {', '.join(tiny)}; {LARGER}"
        self._tiny = self._told_once(self._tiny, trouble if tiny else "")
        self._unwatched = tuple(AssetLook(name, "", known=False, seen=0.0, unwatched=True) for name in tiny)

    def _told_once(self, before: str, trouble: str) -> str:
        if trouble and trouble != before:
            LOG.warning("camera %s: %s", self._camera, trouble)
        return trouble

    @property
    def trouble(self) -> str:
        """Which regions are not watched or judged, and why; empty while all are."""
        return "; ".join(why for why in (self._outside, self._tiny, self._hiding) if why)

    def heed(self, camera: Camera, at: Instant) -> None:
        """Judge the regions, where they are, by other thresholds; how they looked stays known."""
        here = {region.name for region in self._drawn}
        regions = [region for region in _regions_of(camera) if region.name in here]
        if _thresholds(regions) == _thresholds(self._drawn):
            return
        self.keep(at)
        self._drawn, self._size = regions, (0, 0)
        self._watch(regions)

    def _watch(self, regions: list[Region]) -> None:
        self._regions, self._judge = regions, AssetJudge(regions)
        for name in self._accepted:
            self._judge.accept(name)

    def look(self, frame: Frame, tracks: Tracks, view: View) -> tuple[AssetLook, ...]:
        """How every region looks; between looks and while the view can't be trusted only which are not watched."""
        now_s, size = frame.at.mono_s, (frame.image.shape[1], frame.image.shape[0])
        here = tracks.observed
        boxes, ids = tracks.boxes[here], tracks.ids[here]
        self._judge.follow(boxes, ids)
        if size != self._size:
            self._fit(size)
        if not self._regions or view.reasons or view.cause or not self._judge.due(now_s):
            return self._unwatched
        if self._judge.fit(size):
            for watched in self._judge.watched:
                name = watched.region.name
                if not read_region(self._texts.get(name), watched, frame.at, self._origin):
                    self._relearnt.add(name)
        looks = self._judge.look(frame.image, now_s, boxes, ids, tracks.classes[here] == RoadUser.PERSON)
        self._accepted -= {look.name for look in looks if look.accepted}
        self._note_hidden(looks, frame.at)
        self._forget_driven_off(looks)
        self._save_now_and_then(frame.at)
        return self._unwatched + self._told(assets_of(looks))

    def _note_hidden(self, looks: list[RegionLook], at: Instant) -> None:
        for look in looks:
            self._hidden.note(look.name, look.seen, at)
        self._hiding = self._told_once(self._hiding, self._hidden.trouble)

    def _forget_driven_off(self, looks: list[RegionLook]) -> None:
        """What was learnt with a vehicle that drove off must not come back with a restart."""
        for name in (look.name for look in looks if look.anew):
            self._relearnt.add(name)
            self._texts[name] = _FORGOTTEN
            self._save_at_s = None

    def _told(self, looks: tuple[AssetLook, ...]) -> tuple[AssetLook, ...]:
        """The looks, with those marked that are the first since their region was learnt anew."""
        first = {look.name for look in looks if look.known} & self._relearnt
        self._relearnt -= first
        return tuple(replace(look, relearnt=look.name in first) for look in looks) if first else looks

    def accept(self, region: str) -> bool:
        """Take how a region looks now as how it should look; ``False`` when there is no such region.

        How it looked is forgotten at once, so that a power cut before the next look does not bring it back.

        Raises:
            KentonganError: It is out of the picture, or too small in it.
        """
        if not self._judge.accept(region):
            if region in self._names:
                raise KentonganError(f"its protected region {region} can't be accepted; {self.trouble}")
            return False
        self._accepted.add(region)
        self._texts[region] = _FORGOTTEN
        self._save_at_s = None
        return True

    def keep(self, at: Instant) -> None:
        """Write down how the regions are remembered."""
        for watched in self._judge.watched:
            name = watched.region.name
            if name not in self._accepted and (text := write_region(watched, at, self._origin)):
                self._texts[name] = text

    def states(self) -> dict[str, str]:
        """Texts by name from which a new process goes on."""
        return {self._names[name]: text for name, text in self._texts.items()}

    def _save_now_and_then(self, at: Instant) -> None:
        if self._save_at_s is None:
            self._save_at_s = at.mono_s + _READY_S
        if at.mono_s >= self._save_at_s or self._save_at_s - at.mono_s > SAVED_S:
            self._save_at_s = at.mono_s + SAVED_S
            self.keep(at)


def _regions_of(camera: Camera) -> list[Region]:
    setting = Setting("", camera)
    return [
        Region(
            region.name,
            setting.pixels(region.polygon, (1, 1)),
            region.settle_s,
            region.least_share,
            region.accept_h * 3600,
        )
        for region in camera.protected
    ]


def _thresholds(regions: list[Region]) -> list[tuple[str, float, float, float]]:
    return [(each.name, each.settle_s, each.least_share, each.accept_s) for each in regions]


def region_name(camera: str, region: str) -> str:
    """Under which name the memory of a region is kept; no camera can be called so."""
    return f"{camera}/protected/{region}"
