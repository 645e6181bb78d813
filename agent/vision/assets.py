"""Watches protected regions: how much of each has changed, and whether that looks like a thing or like light.

Each region has a memory for every kind of light (day, night, infrared), is looked at about once a second, and is
compared only where no road user stands in front of it: what stands there for ever and only looks like one is scenery.
What changes beside the region as well is weather or light.
Numbers come out, one value a region; what they mean, and who was near, is for the scene to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.values import Bools, Floats, Image, Ints
from agent.vision.difference import Difference
from agent.vision.keepsake import Change, Memory, aligned, compare
from agent.vision.patch import Cut, Patch
from agent.vision.scenery import Place, Scenery, Users

Light: TypeAlias = Literal["day", "night", "infrared"]

EVERY_S: Final = 1.0
"""How often a look is needed while something differs or is being learnt …"""
CALM_S: Final = 3.0
"""… and while nothing does, or less than could be said."""
CALM: Final = 0.5
"""So much of the least change that is said is less: noise, a leaf, who passes and is not detected."""
LONGEST_S: Final = 2.0
"""A look stands for no longer than this, however long ago the one before was."""
NIGHT: Final = (45.0, 65.0)
"""Mean grey level: below the first it is night, above the second day."""
GREY: Final = (1.5, 4.0)
"""Colourfulness: below the first it is infrared, above the second it is not."""
LIGHT_S: Final = 10.0
"""How long it must be so."""
GROW: Final = 0.08
"""A box is taken to hide this share more on each side."""
WIDESPREAD: Final = 0.3
"""With more of its surroundings changed than this, and …"""
LIKE_INSIDE: Final = 0.6
"""… more than this share of what changed inside, the light or the weather changed and not the region."""
RELEARN_S: Final = 120.0
"""So long such a change must stand before it is remembered as another ordinary look."""
MOST_LOOKS: Final = 3
"""Ordinary looks remembered for one kind of light: in sun and without, dry and wet."""
LEAST_KNOWN: Final = 0.15
"""With less of a region holding structure, nothing can be said of it being gone."""
SUSPECT: Final = 0.3
"""With more of its structure gone than this, a region is not learnt from."""
FIRST_EVERY_S: Final = 2.0
"""So far apart are the looks that a memory is begun with."""
ENOUGH_SEEN: Final = 0.5
"""A memory is begun with looks that show at least so much of the region."""
ALIKE: Final = 0.1
"""Where a box hides nothing, no more than this share differs from how it is remembered."""
DROVE: Final = 0.2
"""Where a vehicle stood that was learnt with the region and drove off, at least this share differs."""


@dataclass(frozen=True, slots=True)
class RegionLook:
    """One region at one moment; shares are of what of it can be seen.

    Attributes:
        name: Of the region.
        light: Which memory it was compared with.
        known: That memory is good enough to tell a change, and the light is one it knows.
        seen: Share of the region that nobody stands in front of.
        changed: Share that differs now.
        settled: Share that has differed for as long as was asked, always looking the same.
        gone: Share of its remembered structure that has been gone for so long; 0 where it has next to none.
        lost: Of what settled: the share whose structure is gone.
        new: The share that has structure where there was none.
        coloured: The share whose colour is another.
        stood_s: For how long what settled has differed, also while somebody hid it.
        accepted: How it looks was just made its memory.
        anew: A vehicle that it was learnt with drove off, and it is learnt anew from now on.
        place: Middle of what settled, else of the region, relative to the picture.
    """

    name: str
    light: Light
    known: bool
    seen: float
    place: tuple[float, float]
    changed: float = 0.0
    settled: float = 0.0
    gone: float = 0.0
    lost: float = 0.0
    new: float = 0.0
    coloured: float = 0.0
    stood_s: float = 0.0
    accepted: bool = False
    anew: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region to watch.

    Attributes:
        name: What it is called.
        polygon: float64, shape (n, 2), relative to the picture.
        settle_s: How long a change must stand.
        least_share: Less of it is no change.
        accept_s: A change that stands for so long becomes the memory.
    """

    name: str
    polygon: NDArray[np.float64]
    settle_s: float = 30.0
    least_share: float = 0.04
    accept_s: float = 43_200.0


@dataclass(slots=True, eq=False)
class Watched:
    """All that is held of one region: its memories by light, the last used first, what differs, who stands there."""

    region: Region
    cut: Cut
    size: tuple[int, int]
    memories: dict[Light, list[Memory]] = field(default_factory=dict)
    change: Change | None = None
    last_light: Light | None = None
    waited_s: float = 0.0
    widespread_s: float = 0.0
    stood_s: float = 0.0
    accept: bool = False
    scenery: Scenery = field(default_factory=Scenery)


@dataclass(frozen=True, slots=True, eq=False)
class _Glance:
    """What of a region can be seen: masks of the patch's shape, and the share."""

    patch: Patch
    light: Light
    free: Bools
    inside: Bools
    seen: float
    passed_s: float


class AssetJudge:
    """Watches the protected regions of one camera."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = tuple(regions)
        self.watched: list[Watched] = []
        self._last_s: float | None = None
        self._light: Light | None = None
        self._other_s = 0.0
        self._calm = False
        self._accepted: set[str] = set()

    def due(self, now_s: float) -> bool:
        """Whether it is time for another look."""
        every_s = CALM_S if self._calm else EVERY_S
        return self._last_s is None or now_s - self._last_s >= every_s * 0.9 or now_s < self._last_s

    def fit(self, size: tuple[int, int]) -> bool:
        """Be ready for pictures of a size (width, height); ``True`` when that is new, and nothing is remembered."""
        if self.watched and self.watched[0].size == size:
            return False
        self.watched = [Watched(each, Cut.of(each.polygon * size, size), size) for each in self._regions]
        return True

    def accept(self, name: str) -> bool:
        """Take how a region looks at the next look as how it should look; ``False`` when there is no such region."""
        if not any(each.name == name for each in self._regions):
            return False
        self._accepted.add(name)
        return True

    def follow(self, boxes: Floats, ids: Ints) -> None:
        """Note between looks where tracks are, so that who drives off is not missed."""
        for watched in self.watched:
            watched.scenery.follow(boxes, ids)

    def look(
        self, image: Image, now_s: float, boxes: Floats, ids: Ints | None = None, persons: Bools | None = None
    ) -> list[RegionLook]:
        """Look at every region.

        Args:
            image: uint8, shape (height, width, 3), BGR.
            now_s: Monotonic seconds.
            boxes: float32, shape (n, 4): road users in the picture, pixels.
            ids: int64, shape (n,): their tracks, when they are known.
            persons: bool, shape (n,): who of them is taken for a person.
        """
        self.fit((image.shape[1], image.shape[0]))
        passed_s = EVERY_S if self._last_s is None else min(LONGEST_S, max(0.0, now_s - self._last_s))
        self._last_s = now_s
        light = self._note_light(kind_of_light(image, self._light), passed_s)
        users = Users.of(boxes, ids, persons)
        looks = [self._look_at(each, image, users, passed_s, light) for each in self.watched]
        calm = (_is_calm(each, watched.region) for each, watched in zip(looks, self.watched, strict=True))
        self._calm = all(calm)
        return looks

    def _note_light(self, light: Light, passed_s: float) -> Light:
        """The kind of light, once it has been so for a while: a lorry that fills the picture is no nightfall."""
        self._other_s = self._other_s + passed_s if light != self._light else 0.0
        if self._light is None or self._other_s >= LIGHT_S:
            self._light, self._other_s = light, 0.0
        return self._light

    def _look_at(self, watched: Watched, image: Image, users: Users, passed_s: float, light: Light) -> RegionLook:
        cut, memories = watched.cut, watched.memories.setdefault(light, [])
        wished = watched.accept or watched.region.name in self._accepted
        near = users.near((cut.left, cut.top, cut.right, cut.bottom), GROW)
        watched.scenery.note(near, passed_s, learning=not (memories and memories[0].is_ready), wished=wished)
        free = ~cut.hidden(watched.scenery.hiding(), GROW)
        inside = free & cut.inside
        seen = float(inside.sum() / max(1, cut.inside.sum()))
        glance = _Glance(Patch.take(image, cut), light, free, inside, seen, passed_s)
        if wished and seen >= ENOUGH_SEEN:
            self._accepted.discard(watched.region.name)
            return _start_anew(watched, glance, accepted=True)
        if watched.scenery.forget_left():
            return _start_anew(watched, glance)
        if not memories:
            _borrow(watched, glance, memories)
        if not memories or not memories[0].is_ready:
            _forget_moved(watched, memories)
            if seen >= ENOUGH_SEEN:
                _learn_first(watched, memories, glance)
            return _unknown(watched, glance)
        return _compare(watched, glance, memories)


def _is_calm(look: RegionLook, region: Region) -> bool:
    return look.known and look.changed < CALM * region.least_share and look.settled == look.gone == 0


def _borrow(watched: Watched, glance: _Glance, memories: list[Memory]) -> None:
    """In a light that is new, a region is first looked at beside how it looked before, where the surroundings fit."""
    before = watched.memories.get(watched.last_light, []) if watched.last_light else []
    if before and before[0].is_ready and not _best(watched, glance, before[:1])[2]:
        memories.append(before[0].copy())


def _learn_first(watched: Watched, memories: list[Memory], glance: _Glance) -> None:
    """Take in a first look now and then: somebody who stands there unseen for some seconds is outvoted."""
    watched.waited_s += glance.passed_s
    if memories and watched.waited_s < FIRST_EVERY_S:
        return
    watched.waited_s = 0.0
    if memories:
        memories[0].begin(aligned(glance.patch, memories[0]), glance.free)
    else:
        memories.append(Memory.of(glance.patch, glance.free))


def _forget_moved(watched: Watched, memories: list[Memory]) -> None:
    """First looks that show a vehicle which drove off are none."""
    for place in watched.scenery.moved():
        watched.scenery.forget(place)
        memories.clear()


def _unknown(watched: Watched, glance: _Glance, *, accepted: bool = False, anew: bool = False) -> RegionLook:
    name, place = watched.region.name, _middle(watched, None)
    return RegionLook(name, glance.light, known=False, seen=glance.seen, place=place, accepted=accepted, anew=anew)


def _start_anew(watched: Watched, glance: _Glance, *, accepted: bool = False) -> RegionLook:
    """Forget how it looked, in every light."""
    begins = glance.seen >= ENOUGH_SEEN
    watched.memories = {glance.light: [Memory.of(glance.patch, glance.free)] if begins else []}
    watched.change, watched.stood_s, watched.accept = None, 0.0, False
    watched.scenery.learnt()
    return _unknown(watched, glance, accepted=accepted, anew=not accepted)


def _compare(watched: Watched, glance: _Glance, memories: list[Memory]) -> RegionLook:
    region = watched.region
    patch, found, is_widespread = _best(watched, glance, memories)
    watched.last_light = glance.light
    if _drove_off(watched, glance, found):
        return _start_anew(watched, glance)
    if watched.change is None:
        watched.change = Change.none(patch)
    change, inside = watched.change, glance.inside
    settled = inside & (change.age_s >= region.settle_s)
    if is_widespread:
        _weather(watched, glance, memories, stands=_share(settled, inside) >= region.least_share)
        return _unknown(watched, glance)
    watched.widespread_s = max(0.0, watched.widespread_s - glance.passed_s)
    _note_alike(watched, glance, found)
    change.watch(patch, found, glance.free, glance.passed_s, region.settle_s * 1.5)
    settled = inside & (change.age_s >= region.settle_s)
    known = found.known & inside
    told = RegionLook(
        region.name,
        glance.light,
        known=True,
        seen=glance.seen,
        place=_middle(watched, settled),
        changed=_share(found.changed, inside),
        settled=_share(settled, inside),
        gone=_gone(known, change.gone_s >= region.settle_s, inside),
        lost=_share(found.lost, settled),
        new=_share(found.new, settled),
        coloured=_share(found.coloured, settled),
        stood_s=change.stood_s(settled),
    )
    ordinary = glance.free & (change.age_s <= 0) & ~found.changed
    if _gone(known, found.gone, inside) < SUSPECT:
        memories[0].learn(patch, found, ordinary, glance.passed_s)
    stands = told.settled >= region.least_share or told.gone >= SUSPECT
    watched.stood_s = watched.stood_s + glance.passed_s if stands else 0.0
    watched.accept |= watched.stood_s >= region.accept_s
    return told


def _under(watched: Watched, place: Place) -> Bools:
    """What of a region a place covers."""
    return watched.cut.hidden(place.box[np.newaxis], 0.0) & watched.cut.inside


def _note_alike(watched: Watched, glance: _Glance, found: Difference) -> None:
    """Ask of each box that stands in front whether the region is seen there all the same."""
    for place in watched.scenery.doubtful():
        under = _under(watched, place) & ~watched.cut.hidden(watched.scenery.hiding(but=place), GROW)
        alike = bool(under.any()) and _share(found.changed | found.gone, under) <= ALIKE
        place.note_alike(glance.passed_s, alike=alike)


def _drove_off(watched: Watched, glance: _Glance, found: Difference) -> bool:
    """Whether a vehicle that the region was learnt with is gone: its track went, and it looks otherwise there."""
    for place in watched.scenery.moved():
        under = _under(watched, place)
        seen = under & glance.free
        if 2 * seen.sum() < under.sum():
            continue  # it is still on its way, or another stands there
        place.moved = False
        if _share(found.changed | found.gone, seen) >= DROVE:
            watched.scenery.forget(place)
            return True
    return False


def _best(watched: Watched, glance: _Glance, memories: list[Memory]) -> tuple[Patch, Difference, bool]:
    """The look beside the memory that fits its surroundings; that memory comes to the front."""
    free, around = glance.free, glance.free & watched.cut.around
    first: tuple[Patch, Difference, bool] | None = None
    for memory in list(memories):
        patch = aligned(glance.patch, memory)
        found = compare(patch, memory, watched.cut, free)
        beside = _share(found.changed, around)
        is_widespread = beside > WIDESPREAD and beside > LIKE_INSIDE * _share(found.changed, glance.inside)
        if not is_widespread:
            if memory is not memories[0]:
                memories.remove(memory)
                memories.insert(0, memory)
                watched.change = None
            return patch, found, False
        first = first or (patch, found, True)
    assert first is not None  # noqa: S101 - there is a memory, or nothing would be compared
    return first


def _weather(watched: Watched, glance: _Glance, memories: list[Memory], *, stands: bool) -> None:
    """What changed all around is remembered as another ordinary look, unless something is known to have changed."""
    watched.widespread_s += glance.passed_s
    if watched.widespread_s >= RELEARN_S and not stands and glance.seen >= ENOUGH_SEEN:
        memories.insert(0, Memory.of(glance.patch, glance.free))
        del memories[MOST_LOOKS:]
        watched.widespread_s, watched.change = 0.0, None


def kind_of_light(image: Image, before: Light | None) -> Light:
    """By which light the camera sees, told from every sixteenth pixel; near a border it stays what it was."""
    thin = image[::16, ::16].astype(np.int16)
    colourful = float(np.median(thin.max(axis=2) - thin.min(axis=2)))
    if colourful < GREY[1 if before == "infrared" else 0]:
        return "infrared"
    return "night" if float(thin.mean()) < NIGHT[1 if before == "night" else 0] else "day"


def _share(of: Bools, where: Bools) -> float:
    """Share of some pixels that have something; 0 where there are none."""
    count = int(where.sum())
    return float((of & where).sum() / count) if count else 0.0


def _gone(known: Bools, gone: Bools, inside: Bools) -> float:
    return _share(gone, known) if known.sum() >= LEAST_KNOWN * inside.sum() else 0.0


def _middle(watched: Watched, settled: Bools | None) -> tuple[float, float]:
    """The middle of some pixels of the patch, else of the region, relative to the picture."""
    if settled is None or not settled.any():
        x, y = watched.region.polygon.mean(axis=0).tolist()
        return x, y
    cut = watched.cut
    rows, columns = settled.nonzero()
    x_px = cut.left + float(columns.mean() + 0.5) / cut.width * (cut.right - cut.left)
    y_px = cut.top + float(rows.mean() + 0.5) / cut.height * (cut.bottom - cut.top)
    return x_px / watched.size[0], y_px / watched.size[1]
