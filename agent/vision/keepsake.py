"""How one protected region is remembered, and for how long what differs from that has stood there unchanged.

What is ordinary is learnt slowly; what differs is not learnt but watched: it must be seen again
and again, look the same each time, and stay when nobody is in front of it. Pure: the same looks give the same sums.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np

from agent.values import Bools
from agent.vision.difference import NOISE, SURE, Difference, differ
from agent.vision.patch import WINDOW_PX, Cut, Map, Patch, energy, slopes

FIRST_LOOKS: Final = 12
"""So many first looks are remembered by their median, which passers-by leave no trace in."""
SLOW_S: Final = 600.0
"""The memory follows what is ordinary with this time constant: the sun's shadows, dirt, leaves, seasons."""
USUAL_S: Final = 120.0
"""So fast it learns what structure usually does here: moving leaves, a flag, a screen."""
STILL: Final = 0.5
"""What differs stands still while its structure differs from its own average by less than this share."""
FORGET: Final = 2.0
"""What looks as it was is forgiven so many times as fast as it was held against it."""
FOLLOWS: Final = 0.25
"""Share by which the picture of a change follows what is seen of it."""
SHAKE_PX: Final = 4.0
"""A pole that shakes moves a patch by no more."""


@dataclass(slots=True, eq=False)
class Memory:
    """How a region looks in one kind of light.

    Attributes:
        grey: float32, shape (h, w): logarithm of grey.
        colour: float32, shape (h / 2, w / 2, 3): blue, green and red, 0 to 255.
        usual: float32, shape (h, w): how much structure differs on an ordinary day.
        first: The looks that it is begun with, each with what could be seen; ``None`` once it is ready.
    """

    grey: Map
    colour: Map
    usual: Map
    first: list[tuple[Patch, Bools]] | None

    @classmethod
    def of(cls, patch: Patch, free: Bools) -> Memory:
        """A memory that begins with one look, and where nobody stands in it."""
        return cls(patch.grey.copy(), patch.colour.copy(), np.zeros_like(patch.grey), [(patch, free)])

    @property
    def is_ready(self) -> bool:
        """Whether enough was seen to tell a change."""
        return self.first is None

    def copy(self) -> Memory:
        """Another memory that is the same for now; of one that is ready."""
        return Memory(self.grey.copy(), self.colour.copy(), self.usual.copy(), None)

    def begin(self, patch: Patch, free: Bools) -> None:
        """Take in one of the first looks; who stands in it is left out where the place was seen without them."""
        first = [*(self.first or ()), (patch, free)]
        self.first = first
        if len(first) < FIRST_LOOKS:
            return
        seen = np.stack([each for _, each in first])
        seen |= ~seen.any(axis=0)
        self.grey = _median(np.stack([each.grey for each, _ in first]), seen)
        self.colour = _median(np.stack([each.colour for each, _ in first]), seen[:, ::2, ::2, np.newaxis])
        self.first = None

    def learn(self, patch: Patch, found: Difference, where: Bools, passed_s: float) -> None:
        """Become a little more like an ordinary look, where it is ordinary."""
        share = np.float32(min(1.0, passed_s / SLOW_S)) * where
        self.grey += share * (patch.grey - np.float32(found.level) - self.grey)
        self.colour += share[::2, ::2, np.newaxis] * np.clip(patch.colour - self.colour, -10, 10)
        usual = np.minimum(found.structure, 0.02)
        self.usual += np.float32(min(1.0, passed_s / USUAL_S)) * where * (usual - self.usual)


@dataclass(slots=True, eq=False)
class Change:
    """What differs from the memory, pixel by pixel.

    Attributes:
        grey: float32: how the change looks, averaged.
        age_s: float32: for how long it was seen, looking the same.
        gone_s: float32: the same of structure that is gone, whatever took it.
        began_s: float32: when a change was first seen, by ``clock_s``.
        clock_s: Seconds watched so far.
    """

    grey: Map
    age_s: Map
    gone_s: Map
    began_s: Map
    clock_s: float = 0.0

    @classmethod
    def none(cls, patch: Patch) -> Change:
        """Nothing differs yet."""
        nothing = np.zeros_like(patch.grey)
        return cls(patch.grey.copy(), nothing, nothing.copy(), nothing.copy())

    def stood_s(self, where: Bools) -> float:
        """For how long what differs in a place has differed, also while somebody hid it; 0 where nothing does."""
        return self.clock_s - float(np.median(self.began_s[where])) if where.any() else 0.0

    def watch(self, patch: Patch, found: Difference, seen: Bools, passed_s: float, most_s: float) -> None:
        """Take in one look.

        Args:
            patch: The look.
            found: What differs in it.
            seen: Where nothing stands in front.
            passed_s: Since the look before.
            most_s: No age grows beyond this.
        """
        if not (found.changed.any() or found.gone.any() or self.age_s.any() or self.gone_s.any()):
            self.clock_s += passed_s  # nothing differs and nothing did: what follows would come to this, for more
            self.began_s[:] = self.clock_s
            self.grey += seen * (patch.grey - self.grey)
            return
        apart, now, own = (energy(slopes(each)) for each in (patch.grey - self.grey, patch.grey, self.grey))
        still = apart < STILL * (now + own) + SURE * NOISE
        _grow(self.age_s, found.changed, still, seen, passed_s, most_s)
        _grow(self.gone_s, found.gone, still, seen, passed_s, most_s)
        self.clock_s += passed_s
        self.began_s[self.age_s <= 0] = self.clock_s
        fresh = seen & (self.age_s <= 0) & (self.gone_s <= 0)
        # Whoever passes in between is not followed: what is behind must be recognised when it is seen again.
        follows = np.where(fresh, np.float32(1), np.float32(FOLLOWS) * still) * seen
        self.grey += follows * (patch.grey - self.grey)


def _median(values: Map, seen: Bools) -> Map:
    """Medians along the first axis of what was seen; something was everywhere."""
    return cast("Map", np.nanmedian(np.where(seen, values, np.float32(np.nan)), axis=0).astype(np.float32))


def _grow(age_s: Map, here: Bools, still: Bools, seen: Bools, passed_s: float, most_s: float) -> None:
    """Let ages grow where something is and looks as before; shrink them where it doesn't, or is not there."""
    grown = np.where(here & still, age_s + np.float32(passed_s), age_s - np.float32(FORGET * passed_s))
    age_s[seen] = np.clip(grown, 0, most_s)[seen]


def aligned(patch: Patch, memory: Memory) -> Patch:
    """The patch moved to where the memory is, when the camera shook a little and that can be told."""
    now, then = (np.hypot(*slopes(each)) for each in (patch.grey, memory.grey))
    (x_px, y_px), sure = cv2.phaseCorrelate(cast("Any", then), cast("Any", now), _hanning(now.shape))
    if sure < 0.1 or not 0.2 < float(np.hypot(x_px, y_px)) <= SHAKE_PX:
        return patch
    return patch.moved(x_px, y_px)


@functools.lru_cache(maxsize=64)
def _hanning(shape: tuple[int, int]) -> Any:
    """The window of a patch's shape: the same at every look."""
    return cv2.createHanningWindow(shape[::-1], cv2.CV_32F)


def compare(patch: Patch, memory: Memory, cut: Cut, seen: Bools) -> Difference:
    """What differs in a look, with what can be seen beside the region as the measure of the light."""
    beside = cut.around if cut.around.sum() > WINDOW_PX**2 else np.ones_like(cut.inside)
    return differ(patch, memory.grey, memory.colour, memory.usual, beside & seen)
