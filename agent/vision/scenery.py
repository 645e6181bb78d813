"""Tells what stands in a picture for ever, and only looks like a road user, from road users who stand in front.

A small detector takes a cabinet, a kiosk or a statue for a lorry or a person, at the same place for ever: its box hides
nothing. Such a box stood there when the watch began, or came where nothing changed with it. What became scenery stays
so while it stands there; a vehicle that was learnt with the region and drives off is told by its track. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from agent.values import Bools, Floats, Ints

SAME: Final = 0.6
"""Intersection over union of two boxes at one place: a false box on a real cabinet kept 0.70 of its median."""
FOLLOWS: Final = 0.1
"""Share by which a place follows the boxes that are seen there."""
FORGOTTEN_S: Final = 600.0
"""A place where no box was seen for so long is forgotten …"""
PATIENCE: Final = 10.0
"""… and before, after so many times the time for which one stood there …"""
GAP_S: Final = 3.0
"""… and at once, if it is no scenery: of those who pass, each comes to a place of its own."""
STEADY: Final = 0.7
"""Share of its time for which a box must be seen at a place to stand there: traffic comes by the same place again and
again."""
BEGAN_S: Final = 10.0
"""Who is seen so soon after the watch of a region began stood there before."""
STILL_S: Final = 6.0
"""A region is learnt with what stood there since then, once it stands for so long …"""
STILL_PERSON_S: Final = 300.0
"""… or for so long, when it is taken for a person: people wait for minutes and sway, statues do not."""
PROBATION_S: Final = 60.0
"""What was learnt with a region and is gone before it stood so long was a road user after all …"""
GONE_S: Final = 3.0
"""… once it has not been seen for so long."""
ALIKE_S: Final = 10.0
"""What stands where the region looks for so long as it is remembered hides nothing …"""
ALIKE_PERSON_S: Final = 60.0
"""… or for so long, when it is taken for a person: one who stands beside it may lean before it."""
MOST: Final = 32
"""Places held for one region."""


@dataclass(frozen=True, slots=True, eq=False)
class Users:
    """Road users in one picture, in columns of equal length n.

    Attributes:
        boxes: float32, shape (n, 4), pixels.
        ids: int64, shape (n,): of their tracks; negative where nobody knows.
        persons: bool, shape (n,).
    """

    boxes: Floats
    ids: Ints
    persons: Bools

    @classmethod
    def of(cls, boxes: Floats, ids: Ints | None = None, persons: Bools | None = None) -> Users:
        """With what is known of them."""
        count = len(boxes)
        return cls(
            boxes,
            np.full(count, -1, np.int64) if ids is None else ids,
            np.zeros(count, np.bool_) if persons is None else persons,
        )

    def near(self, area: tuple[int, int, int, int], grow: float) -> Users:
        """Those whose boxes, grown by a share on each side, reach into an area (left, top, right, bottom)."""
        if not len(self.boxes):
            return self
        left, top, right, bottom = self.boxes.T
        room_x, room_y = grow * (right - left), grow * (bottom - top)
        across = (left - room_x < area[2]) & (right + room_x > area[0])
        here = across & (top - room_y < area[3]) & (bottom + room_y > area[1])
        return Users(self.boxes[here], self.ids[here], self.persons[here])


@dataclass(slots=True, eq=False)
class Place:
    """Where a box stands still.

    Attributes:
        box: float32, shape (4,): averaged, pixels.
        track: Of the box that was seen there last; negative when nobody knows.
        person: That box is taken for a person's.
        first: It stood there when the watch of the region began.
        learnt: It stood there while the region was learnt, so that the memory may show it.
        is_scenery: It hides nothing.
        moved: Its track was seen elsewhere since, so that it may have been a vehicle all the same.
        stood_s: For how long a box was seen there …
        age_s: … since the first.
        unseen_s: For how long none is.
        alike_s: For how long the region has looked there as it is remembered.
    """

    box: Floats
    track: int = -1
    person: bool = False
    first: bool = False
    learnt: bool = False
    is_scenery: bool = False
    moved: bool = False
    stood_s: float = 0.0
    age_s: float = 0.0
    unseen_s: float = 0.0
    alike_s: float = 0.0

    def is_left(self) -> bool:
        """Whether what was learnt with the region was a road user, who is gone after a short time."""
        return self.is_scenery and self.learnt and self.stood_s < PROBATION_S and self.unseen_s >= GONE_S

    def is_forgotten(self) -> bool:
        """Whether nobody has stood here for too long."""
        return self.unseen_s > (min(FORGOTTEN_S, PATIENCE * self.stood_s) if self.is_scenery else GAP_S)

    def has_stood(self, for_s: float) -> bool:
        """Whether a box has stood here for so long, hardly interrupted."""
        return self.stood_s >= for_s and self.stood_s >= STEADY * self.age_s

    def note_alike(self, passed_s: float, *, alike: bool) -> None:
        """Take in whether the region looks here as it is remembered."""
        self.alike_s = self.alike_s + passed_s if alike else 0.0
        self.is_scenery |= self.alike_s >= (ALIKE_PERSON_S if self.person else ALIKE_S)


class Scenery:
    """The places before one region where boxes stand still."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self._watched_s = 0.0
        self._users = Users.of(np.zeros((0, 4), np.float32))
        self._at: list[Place] = []

    def note(self, users: Users, passed_s: float, *, learning: bool = False, wished: bool = False) -> None:
        """Take in where boxes are now.

        Args:
            users: Road users near the region.
            passed_s: Since the look before.
            learning: How the region looks is not known yet.
            wished: How it looks now is to be taken as how it should look.
        """
        first = self._watched_s <= BEGAN_S
        self._watched_s += passed_s
        for place in self.places:
            place.unseen_s += passed_s
            place.age_s += passed_s
        self._users, self._at = users, []
        held = self._places_of(users.boxes)
        for box, track, person, known in zip(
            users.boxes, users.ids.tolist(), users.persons.tolist(), held, strict=True
        ):
            place = known or self._new_place(box, first=first)
            if place not in self._at:
                place.stood_s += passed_s
            place.unseen_s, place.person = 0.0, person
            place.moved &= place.track != track
            place.track = place.track if place.moved else track
            place.box = place.box + np.float32(FOLLOWS) * (box - place.box)
            place.learnt |= learning
            stands = learning and place.first and place.has_stood(STILL_PERSON_S if person else STILL_S)
            stands |= wished and place.has_stood(STILL_PERSON_S if person else PROBATION_S)
            place.is_scenery |= stands
            self._at.append(place)
        self.places = [place for place in self.places if not place.is_forgotten()]

    def hiding(self, but: Place | None = None) -> Floats:
        """The boxes that hide what is behind them, without those at a place."""
        hides = [(not place.is_scenery or place.moved) and place is not but for place in self._at]
        return self._users.boxes[np.array(hides, np.bool_)]

    def doubtful(self) -> list[Place]:
        """Where a box stands that hides the region, and has stood long enough to ask whether it does."""
        return [
            place for place in self.places if place.unseen_s <= 0 and not place.is_scenery and place.has_stood(ALIKE_S)
        ]

    def moved(self) -> list[Place]:
        """From where a track went that the region was learnt with."""
        return [place for place in self.places if place.moved]

    def follow(self, boxes: Floats, ids: Ints) -> None:
        """Note whether what is learnt with the region is seen elsewhere: its middle is out of its place."""
        for place in self.places:
            if not (place.is_scenery and place.learnt) or place.moved or place.track < 0:
                continue
            for left, top, right, bottom in boxes[ids == place.track].tolist():
                x, y = (left + right) / 2, (top + bottom) / 2
                place.moved = not (place.box[0] <= x <= place.box[2] and place.box[1] <= y <= place.box[3])

    def forget(self, place: Place) -> None:
        """Hold a place no longer, whose vehicle drove off."""
        self.places.remove(place)

    def forget_left(self) -> bool:
        """Forget who was learnt with the region and left after a short time; ``True`` when there was somebody."""
        left = [place for place in self.places if place.is_left()]
        self.places = [place for place in self.places if place not in left]
        return bool(left)

    def learnt(self) -> None:
        """The region is learnt as it looks now: with everything that stands there."""
        for place in self._at:
            place.learnt = True

    def _places_of(self, boxes: Floats) -> list[Place | None]:
        """The place of each box, where one is held."""
        if not self.places or not len(boxes):
            return [None] * len(boxes)
        overlaps = _overlaps(boxes, np.stack([place.box for place in self.places]))
        best = overlaps.argmax(axis=1)
        sure = overlaps[np.arange(len(boxes)), best] >= SAME
        return [self.places[index] if is_sure else None for index, is_sure in zip(best, sure, strict=True)]

    def _new_place(self, box: Floats, *, first: bool) -> Place:
        if len(self.places) >= MOST:
            self.places.remove(min(self.places, key=lambda place: place.stood_s))
        place = Place(box, first=first)
        self.places.append(place)
        return place


def _overlaps(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union of each of n boxes with each of m others, shape (n, m)."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[:, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[:, 2:])
    both = np.maximum(high - low, 0).prod(axis=2)
    area, other_area = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others))
    return cast("Floats", both / np.maximum(area[:, np.newaxis] + other_area - both, 1e-6))
