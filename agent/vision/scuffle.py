"""Looks for people attacking each other: clips of places where persons are close together, judged over seconds.

Pictures are kept, small and grey, only while persons are close to each other or to a watched region: an empty street
costs nothing. Each clip is cut around its group, so the crop follows the people and never moves within a clip. One clip
proves nothing: likeness is averaged, and whoever asks must want it to last. Pure but for the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

import cv2
import numpy as np

from agent.values import Detections, Floats, Image, Ints, RoadUser, Tracks
from agent.vision.closeness import Gathering, gatherings
from agent.vision.motion import FPS, FRAMES, Grey

LEAST_HEIGHT_PX: Final = 32
"""Smaller persons, in the kept picture, are too small to judge."""
WIDEST_PX: Final = 640
"""Pictures are kept no wider than this: sixteen of them are 4 MB."""
MOST_PERSONS: Final = 32
"""Of more persons in a picture only the surest are looked at: a square of them is computed."""
MOST_GROUPS: Final = 2
AWAY_S: Final = 1.5
"""Nothing is kept any more when nobody was close to anybody for so long; and a place is forgotten."""
EVERY_S: Final = 0.4
"""A group is judged so often; twice as often where it looked like a fight."""
SUSPICIOUS: Final = 0.5
MEMORY_S: Final = 1.0
"""Likeness is averaged over about so long."""
HOLE_S: Final = 0.25
"""Pictures further apart are no clip; it begins again."""
CLIP_S: Final = (FRAMES - 1) / FPS


@dataclass(frozen=True, slots=True, eq=False)
class Scuffle:
    """One place where it looks like a fight.

    Attributes:
        likeness: 0 to 1, averaged over a second.
        box: Left, top, right, bottom in pixels: around who is there now; around the clip if none is tracked.
        tracks: Who is there, by track id.
        at_thing: It was looked at because of a watched region alone: no two persons were close to each other there.
    """

    likeness: float
    box: tuple[float, float, float, float]
    tracks: tuple[int, ...]
    at_thing: bool = False


class ClipJudge(Protocol):
    """What judges a clip: :class:`agent.vision.aggression.AggressionModel`."""

    def score(self, clip: Sequence[Grey]) -> float:
        """The likeness of a clip, 16 grey pictures or parts of them 0.1 s apart, to a fight: 0 to 1."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """One kept picture, and where persons are in it, in its own pixels."""

    at_s: float
    grey: Grey
    persons: Floats


@dataclass(slots=True, eq=False)
class _Place:
    """Where a group was judged."""

    square: tuple[int, int, int, int]
    likeness: float
    judged_s: float
    at_thing: bool


class ScuffleWatch:
    """Watches one camera.

    Args:
        model: What judges a clip.
        regions: Left, top, right, bottom, relative to the picture: things that are protected. There one person alone
            is reason enough to look.
    """

    def __init__(self, model: ClipJudge, regions: Sequence[tuple[float, float, float, float]] = ()) -> None:
        self._model = model
        self.regions = regions
        self._shots: deque[_Shot] = deque(maxlen=2 * FRAMES)
        self._places: list[_Place] = []
        self._close_s: float | None = None
        self._due_s = float("-inf")

    def look(self, image: Image, seen: Detections, tracks: Tracks, now_s: float) -> list[Scuffle]:
        """Take in one picture, and say where it has looked like a fight lately, likest first."""
        if self._shots and not 0 <= now_s - self._shots[-1].at_s <= HOLE_S:
            self.forget()
        scale = min(1.0, WIDEST_PX / image.shape[1])
        persons = persons_of(seen, scale)
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        if len(persons) and gatherings([persons] * 2, size, self._in_pixels(size)):
            self._close_s = now_s
        if self._close_s is None or not 0 <= now_s - self._close_s <= AWAY_S:
            self.forget()
            return []
        if not self._shots or now_s - self._shots[-1].at_s >= 0.75 / FPS:
            self._shots.append(_Shot(now_s, _kept(image, size), persons))
            self._judge(now_s, size)
        found = [self._told(place, tracks, scale) for place in self._places]
        return sorted(found, key=lambda each: -each.likeness)

    def forget(self) -> None:
        """Begin as if nothing had been seen yet."""
        self._shots.clear()
        self._places.clear()
        self._close_s = None
        self._due_s = float("-inf")

    def _in_pixels(self, size: tuple[int, int]) -> list[tuple[float, ...]]:
        return [tuple(value * size[at % 2] for at, value in enumerate(region)) for region in self.regions]

    def _judge(self, now_s: float, size: tuple[int, int]) -> None:
        """Judge the largest groups of the last clip, when that is due and the clip is whole."""
        if now_s < self._due_s or now_s - self._shots[0].at_s < CLIP_S - 0.5 / FPS:
            return
        times = np.array([shot.at_s for shot in self._shots])
        wanted = now_s - CLIP_S + np.arange(FRAMES) / FPS
        clip = [self._shots[int(np.abs(times - at_s).argmin())] for at_s in wanted]
        groups = gatherings([shot.persons for shot in clip], size, self._in_pixels(size))
        for group in groups[:MOST_GROUPS]:
            self._visit(group, clip, now_s)
        self._places = [place for place in self._places if now_s - place.judged_s <= AWAY_S]
        hot = any(place.likeness >= SUSPICIOUS for place in self._places)
        self._due_s = now_s + (EVERY_S / 2 if hot else EVERY_S) - 0.25 / FPS

    def _visit(self, group: Gathering, clip: Sequence[_Shot], now_s: float) -> None:
        left, top, right, bottom = group.square
        if right - left < 2 or bottom - top < 2:
            return
        likeness = self._model.score([shot.grey[top:bottom, left:right] for shot in clip])
        place = next((each for each in self._places if _same(each.square, group.square)), None)
        if place is None:
            self._places.append(_Place(group.square, likeness, now_s, group.at_thing))
            return
        share = min(1.0, (now_s - place.judged_s) / MEMORY_S)
        place.likeness += share * (likeness - place.likeness)
        place.square, place.judged_s = group.square, now_s
        place.at_thing &= group.at_thing

    def _told(self, place: _Place, tracks: Tracks, scale: float) -> Scuffle:
        left, top, right, bottom = (value / scale for value in place.square)
        x, y = (tracks.boxes[:, 0] + tracks.boxes[:, 2]) / 2, (tracks.boxes[:, 1] + tracks.boxes[:, 3]) / 2
        there = (tracks.classes == RoadUser.PERSON) & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        ids: Ints = tracks.ids[there]
        box, named = (left, top, right, bottom), tuple(int(one) for one in ids)
        if named:  # a clip is cut around where they were within a second and a half: who walks is at its edge by now
            corners = tracks.boxes[there]
            (left, top), (right, bottom) = corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)
            box = (float(left), float(top), float(right), float(bottom))
        return Scuffle(round(place.likeness, 3), box, named, place.at_thing)


def persons_of(seen: Detections, scale: float = 1.0) -> Floats:
    """Boxes of persons that are large enough, weak ones too, float32, shape (n, 4), in a picture scaled by so much."""
    boxes = seen.boxes[seen.classes == RoadUser.PERSON] * np.float32(scale)
    large: Floats = boxes[boxes[:, 3] - boxes[:, 1] >= LEAST_HEIGHT_PX]
    return large[:MOST_PERSONS]


def _kept(image: Image, size: tuple[int, int]) -> Grey:
    same = image.shape[:2] == size[::-1]
    scaled = image if same else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cast("Grey", cv2.cvtColor(scaled, cv2.COLOR_BGR2GRAY))


def _same(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two squares show one place: the middle of each lies in the other."""
    return all(
        a[at] <= (b[at] + b[at + 2]) / 2 <= a[at + 2] for a, b in ((one, other), (other, one)) for at in range(2)
    )
