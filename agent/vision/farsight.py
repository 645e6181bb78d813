"""Decides by itself where people are too small or too many for one look at the whole picture, and looks again in tiles.

About once a second a picture is kept, and tiles of it are handed out one by one to whoever has time for them; when all
were looked at, what was seen becomes one answer. A look that is not finished in time is dropped and counted. How high
people are is learnt from those that are seen, as a line over the picture's rows, or told by the plane of the road.
Runs no model itself and knows no clock but the frames'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.values import Bools, Detections, Floats, Frame, Image, RoadUser, Tracks
from agent.vision.tiling import MOST_TILES, Tile, merge, plan

EVERY_S: Final = 1.0
"""From the beginning of one look to that of the next …"""
QUIET_EVERY_S: Final = 3.0
"""… and while hardly anybody is there, which costs a third."""
HARDLY: Final = 3
"""Fewer than so many are hardly anybody."""
PATIENCE_S: Final = 3.0
"""A look that takes longer tells of the past, and is dropped."""
SMALL_PX: Final = 30.0
"""People lower than this in the model's input are counted better in tiles: at 40 px whole pictures find all but one in
twenty, at 20 px every third is missed (measured on vtest.avi with the model that ships)."""
MANY: Final = 12
"""So many people in a region hide each other …"""
MANY_PX: Final = 44.0
"""… and are looked at again even when they are this high."""
PROBE_S: Final = 60.0
"""Where nobody was seen yet, nobody knows how high people are; so often a guess is tried."""
PROBE_SHARE: Final = 0.05
"""The guess: this share of the picture's height."""
LEAST_SCORE: Final = 0.25
"""In a tile people are large: a lower score is none of them."""
SURE_SCORE: Final = 0.4
"""Whose height is learnt from a tile."""
_MOST_SEEN: Final = 256
_FEWEST: Final = 8
_LEAST_SPREAD: Final = 0.08
_SHORTEST_PX: Final = 4.0

Region = NDArray[np.float64]
"""An outline, shape (n, 2), relative to the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """What a second look saw.

    Attributes:
        at_s: When its picture was captured, monotonic seconds.
        regions: Which regions were looked at.
        feet: float32, shape (n, 2): where each person stands, relative to the picture.
    """

    at_s: float
    regions: tuple[str, ...]
    feet: Floats


class Heights:
    """How high people are in the picture, by the row their feet are at.

    Args:
        prior: Pairs of row and height, both relative to the picture's height, shape (n, 2), where the plane of the
            road tells them; believed until enough people were seen.
    """

    def __init__(self, prior: Region | None = None) -> None:
        self._prior = np.zeros((0, 2)) if prior is None else prior
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST_SEEN)
        self._line: tuple[float, float] | None = None
        self._bounds = (0.0, 1.0)
        self._fit()

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return self._line is not None

    def learn(self, boxes: Floats, picture: tuple[int, int]) -> None:
        """Take in the boxes of people, shape (n, 4), pixels; those that the picture's edge cuts tell nothing."""
        width, height = picture
        whole = (boxes[:, :2] > 2).all(axis=1) & (boxes[:, 2] < width - 2) & (boxes[:, 3] < height - 2)
        if not whole.any():
            return
        rows, heights = boxes[whole, 3] / height, (boxes[whole, 3] - boxes[whole, 1]) / height
        self._seen.extend(zip(rows.tolist(), heights.tolist(), strict=True))
        self._fit()

    def at(self, row: float) -> float:
        """Height at a row, both relative to the picture's height; 0 when nothing is known."""
        if self._line is None:
            return 0.0
        slope, height = self._line
        return float(np.clip(slope * row + height, *self._bounds))

    def _fit(self) -> None:
        pairs = np.array(self._seen) if len(self._seen) >= _FEWEST or not len(self._prior) else self._prior
        if not len(pairs):
            return
        rows, heights = pairs.T
        low, high = np.percentile(heights, (5, 95))
        self._bounds = (0.5 * float(low), 2.0 * float(high))
        if len(pairs) < min(_FEWEST, max(3, len(self._prior))) or np.ptp(rows) < _LEAST_SPREAD:
            self._line = (0.0, float(np.median(heights)))
            return
        slope, height = np.polyfit(rows, heights, 1)
        self._line = (max(0.0, float(slope)), float(height if slope > 0 else np.median(heights)))


@dataclass(slots=True)
class _Look:
    """A second look under way."""

    frame: Frame
    tiles: tuple[Tile, ...] | None = None
    regions: tuple[str, ...] = ()
    handed: int = 0
    seen: list[Detections] | None = None


class FarSight:
    """The second looks of one camera.

    Args:
        regions: Where people matter, by name: outlines relative to the picture.
        prior: See :class:`Heights`.

    Attributes:
        finished: Second looks that were finished, since the start.
        skipped: Those that were dropped because there was no time for them.
    """

    def __init__(self, regions: Mapping[str, Region], prior: Region | None = None) -> None:
        self.finished = self.skipped = 0
        self._regions = regions
        self._heights = Heights(prior)
        self._look: _Look | None = None
        self._began_s = self._probed_s = -np.inf
        self._many: frozenset[str] = frozenset()
        self._glance: Glance | None = None
        self._every_s = EVERY_S
        self._needed = True  # until a plan says otherwise

    @property
    def waiting(self) -> bool:
        """Whether tiles may be asked for."""
        return self._look is not None

    def note(self, frame: Frame, tracks: Tracks) -> None:
        """Take in a frame that was looked at as a whole; now and then it is kept for a second look."""
        now_s = frame.at.mono_s
        if self._look is not None and not 0 <= now_s - self._look.frame.at.mono_s <= PATIENCE_S:
            self.drop()
        if self._look is not None or 0 <= now_s - self._began_s < self._every_s:
            return
        self._began_s = now_s
        picture = (frame.image.shape[1], frame.image.shape[0])
        people = tracks.boxes[(tracks.classes == RoadUser.PERSON) & tracks.observed]
        self._heights.learn(people, picture)
        feet = np.stack([(people[:, 0] + people[:, 2]) / 2, people[:, 3]], axis=1) / np.array(picture)
        self._many = frozenset(name for name, outline in self._regions.items() if _within(feet, outline).sum() >= MANY)
        self._look = _Look(frame)

    def tiles(self, taken: tuple[int, int], most: int = 1) -> list[Image]:
        """The next parts of the picture that should be looked at; none when no second look is needed.

        Args:
            taken: Width and height of the model's input.
            most: How many at most.
        """
        look = self._look
        if look is None:
            return []
        if look.tiles is None:
            look.regions, look.tiles = self._plan(look.frame, taken)
            look.seen = []
            self._needed = bool(look.tiles)
        chosen = look.tiles[look.handed : look.handed + most]
        look.handed += len(chosen)
        if not look.tiles:
            self._look = None
        return [tile.of(look.frame.image) for tile in chosen]

    def take(self, seen: Sequence[Detections]) -> None:
        """What was seen in the parts that were handed out last."""
        look = self._look
        if look is None or look.tiles is None or look.seen is None:
            return
        look.seen += seen
        if len(look.seen) >= len(look.tiles):
            self._finish(look, look.tiles, look.seen)

    def drop(self) -> None:
        """Give up the look under way."""
        if self._look is not None and self._needed:
            self.skipped += 1
        self._look = None

    def glance(self) -> Glance | None:
        """What a look saw that was finished since the last call."""
        found, self._glance = self._glance, None
        return found

    def _finish(self, look: _Look, tiles: tuple[Tile, ...], seen: list[Detections]) -> None:
        height, width = look.frame.image.shape[:2]
        people = merge(seen, tiles)
        people = people.select(people.scores >= LEAST_SCORE)
        if not self._heights.known or look.frame.at.mono_s == self._probed_s:
            self._heights.learn(people.boxes[people.scores >= SURE_SCORE], (width, height))
        feet = np.stack([(people.boxes[:, 0] + people.boxes[:, 2]) / 2, people.boxes[:, 3]], axis=1)
        feet /= np.array([width, height], np.float32)
        self._glance = Glance(look.frame.at.mono_s, look.regions, feet.astype(np.float32))
        self._every_s = EVERY_S if len(people) >= HARDLY else QUIET_EVERY_S
        self.finished += 1
        self._look = None

    def _plan(self, frame: Frame, taken: tuple[int, int]) -> tuple[tuple[str, ...], tuple[Tile, ...]]:
        """The regions that need a second look, and the tiles for them."""
        height, width = frame.image.shape[:2]
        whole = min(taken[0] / width, taken[1] / height)
        guessing = not self._heights.known
        if guessing:
            if 0 <= frame.at.mono_s - self._probed_s < PROBE_S:
                return (), ()
            self._probed_s = frame.at.mono_s
        needy = {}
        for name, outline in self._regions.items():
            (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
            usual_px = self._height((top + bottom) / 2 * height, height) * whole
            if usual_px < SMALL_PX or (name in self._many and usual_px < MANY_PX):
                needy[name] = (left * width, top * height, right * width, bottom * height)
        most = max(1, MOST_TILES // max(1, len(needy)))
        tiles = [
            tile
            for region in needy.values()
            for tile in plan(region, lambda row: self._height(row, height), (width, height), taken, most)
        ]
        return tuple(needy), tuple(dict.fromkeys(tiles))

    def _height(self, row_px: float, height: int) -> float:
        share = self._heights.at(row_px / height) if self._heights.known else PROBE_SHARE
        return max(_SHORTEST_PX, share * height)


def _within(feet: Floats, outline: Region) -> Bools:
    """Who stands in the rectangle around an outline: enough to tell many from few."""
    inside: Bools = ((feet >= outline.min(axis=0)) & (feet <= outline.max(axis=0))).all(axis=1)
    return inside
