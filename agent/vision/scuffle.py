"""Looks for people attacking each other: clips of places where persons are close together, judged over seconds.

The clip model runs on a crop around each of at most two groups and nowhere else, so that it costs nothing on an empty
street. One clip proves nothing: the likeness must stay high for seconds, and is taken back when it falls. Pure but for
the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent.values import Floats, Image, Ints, RoadUser, Tracks
from agent.vision.aggression import AggressionModel, Clip

CLOSE: Final = 0.35
"""Persons are close when the gap between their boxes is no more than this share of their mean height."""
LEAST_HEIGHT_PX: Final = 32
"""Smaller persons are too small to judge."""
WALKS: Final = 0.5
"""Who moves on by more than this share of the own height each second walks past, and is left out."""
MOST_GROUPS: Final = 2
MARGIN: Final = 1.3
"""A crop's side, in sides of the group."""
AWAY_S: Final = 1.5
"""A place is forgotten when nobody was close together there for so long."""
EVERY: Final = 4
"""Once a clip is full it is judged again after so many pictures."""
MEMORY_S: Final = 2.0
"""Likeness is averaged over about so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Scuffle:
    """One place where it looks like a fight.

    Attributes:
        likeness: 0 to 1, averaged over seconds.
        box: Left, top, right, bottom in pixels.
        tracks: Who is there, by track id.
    """

    likeness: float
    box: tuple[float, float, float, float]
    tracks: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Place:
    """A square that is filmed: fixed while its group stays in it, so that the crop itself doesn't move."""

    square: Floats
    seen_s: float
    tracks: tuple[int, ...]
    clip: Clip = field(default_factory=Clip)
    likeness: float = 0.0
    pictures: int = 0
    judged_s: float | None = None


class ScuffleWatch:
    """Watches one camera.

    Args:
        model: What judges a clip.
    """

    def __init__(self, model: AggressionModel) -> None:
        self._model = model
        self._places: list[_Place] = []

    def look(self, image: Image, tracks: Tracks, now_s: float) -> list[Scuffle]:
        """Take in one picture with its tracks, and say where it has looked like a fight lately, likest first."""
        height, width = image.shape[:2]
        for box, ids in _groups(tracks):
            self._visit(box, ids, now_s, (width, height))
        self._places = [place for place in self._places if now_s - place.seen_s <= AWAY_S]
        for place in self._places:
            self._film(place, image, now_s)
        found = [
            Scuffle(round(p.likeness, 3), tuple(float(v) for v in p.square), p.tracks)  # type: ignore[arg-type]
            for p in self._places
            if p.judged_s is not None
        ]
        return sorted(found, key=lambda each: -each.likeness)

    def _visit(self, box: Floats, ids: tuple[int, ...], now_s: float, size: tuple[int, int]) -> None:
        """Find the place a group is in, or make one."""
        centre = (box[:2] + box[2:]) / 2
        for place in self._places:
            side = place.square[2] - place.square[0]
            inside = (centre >= place.square[:2]).all() and (centre <= place.square[2:]).all()
            if inside and 0.4 * side < (box[2:] - box[:2]).max() * MARGIN < 1.6 * side:
                place.seen_s, place.tracks = now_s, ids
                return
        if len(self._places) < MOST_GROUPS:
            half = max(LEAST_HEIGHT_PX, float((box[2:] - box[:2]).max())) * MARGIN / 2
            square = np.concatenate([np.maximum(centre - half, 0), np.minimum(centre + half, size)])
            self._places.append(_Place(square.astype(np.float32), now_s, ids))

    def _film(self, place: _Place, image: Image, now_s: float) -> None:
        left, top, right, bottom = place.square.astype(int)
        part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        if not place.clip.add(part, now_s):
            return
        place.pictures += 1
        if (place.pictures - 1) % EVERY:
            return
        likeness = self._model.score(place.clip.rows())
        passed_s = 0.0 if place.judged_s is None else now_s - place.judged_s
        share = 1.0 if place.judged_s is None else min(1.0, passed_s / MEMORY_S)
        place.likeness += share * (likeness - place.likeness)
        place.judged_s = now_s


def _groups(tracks: Tracks) -> list[tuple[Floats, tuple[int, ...]]]:
    """Persons close to each other: the box around them and their ids, the largest group first."""
    heights = tracks.boxes[:, 3] - tracks.boxes[:, 1]
    stays = np.hypot(*tracks.velocities.T) <= WALKS * heights
    judged = (tracks.classes == RoadUser.PERSON) & (heights >= LEAST_HEIGHT_PX) & tracks.observed & stays
    rows: Ints = judged.nonzero()[0]
    boxes, heights = tracks.boxes[rows], heights[rows]
    gap_x = np.maximum(boxes[:, None, 0], boxes[None, :, 0]) - np.minimum(boxes[:, None, 2], boxes[None, :, 2])
    gap_y = np.maximum(boxes[:, None, 1], boxes[None, :, 1]) - np.minimum(boxes[:, None, 3], boxes[None, :, 3])
    mean = (heights[:, None] + heights[None]) / 2
    alike = np.minimum(heights[:, None], heights[None]) > 0.5 * mean
    close = (np.maximum(gap_x, 0) <= CLOSE * mean) & (gap_y <= -0.3 * mean) & alike
    groups, left = [], set(range(len(rows)))
    while left:
        group, fresh = set(), {left.pop()}
        while fresh:
            one = fresh.pop()
            group.add(one)
            fresh |= {int(other) for other in close[one].nonzero()[0]} & left
            left -= fresh
        if len(group) > 1:
            mine = np.array(sorted(group))
            box = np.concatenate([boxes[mine, :2].min(axis=0), boxes[mine, 2:].max(axis=0)])
            groups.append((box, tuple(int(i) for i in tracks.ids[rows[mine]])))
    return sorted(groups, key=lambda each: -len(each[1]))
