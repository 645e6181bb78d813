"""Who is in the picture: gives every track a slot, so that all rules keep their state in columns.

A slot belongs to one track from its first sighting until it has not been observed for :data:`LINGER_S`; then every
rule is told, and the slot is used again. So memory is bounded by how many road users are in view at once, never by
how many have passed. It also says which new track most likely goes on where a lost one left off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agent.clock import Instant
from agent.scene.geometry import Array, Mask
from agent.values import Ints, Tracks

LINGER_S: Final = 3.0
"""How long a track that is not observed keeps its slot; an occluded one may come back, or a new one go on for it."""
RECENT: Final = 24
"""Sightings kept per track for speeds: over two seconds at ten a second."""
HEIR_REACH: Final = 0.6
"""A new track goes on for a lost one when it appears within this many box sizes of where that one was heading …"""
HEIR_REACH_TRAVEL: Final = 0.5
"""… and this share of the way it would have gone unseen."""
HEIR_SIZE_RATIO: Final = 1.6
"""… and its box differs from the expected size by no more than this factor."""
FARTHEST: Final = 8.0
"""No new track further than so many box sizes from where one was lost is thought of at all."""
NEAREST: Final = 0.3
"""A box is expected to grow to no more than the inverse of this while unseen."""
HEADING_S: Final = 0.7
"""Where a lost track was heading is told by so much of its path before."""
TRAIL_S: Final = 0.7
"""How far behind, in seconds, the smooth place follows: noise of a box averages out, a stop is seen within a second."""
SHORTEST_PATH_S: Final = 0.15
"""A velocity needs positions over at least so long."""
EDGE_PX: Final = 2.0
"""A box this near the picture's edge is cut by it: what it held has left, and nothing goes on for it."""


class Columns:
    """Named arrays with one row a slot that grow together; a fresh row holds each column's fill value."""

    def __init__(self, **fills: tuple[Any, Any, tuple[int, ...]]) -> None:
        """``name=(fill, dtype, shape of one row)``."""
        self._fills = {name: np.asarray(fill, dtype) for name, (fill, dtype, _) in fills.items()}
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.full((0, *shape), fill, dtype) for name, (fill, dtype, shape) in fills.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def fit(self, capacity: int) -> None:
        """Have at least so many rows."""
        for name, array in self._arrays.items():
            if len(array) >= capacity:
                return
            grown = np.full((capacity, *array.shape[1:]), self._fills[name], array.dtype)
            grown[: len(array)] = array
            self._arrays[name] = grown

    def reset(self, slots: Ints) -> None:
        """Put the fill values back into some rows."""
        for name, array in self._arrays.items():
            array[slots] = self._fills[name]

    def move(self, source: Ints, target: Ints) -> None:
        """Give rows to other slots and leave fresh ones behind."""
        for array in self._arrays.values():
            array[target] = array[source]
        self.reset(source)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One detected frame as the rules see it; columns have one row per track in it.

    Attributes:
        at: When.
        gap_s: Seconds since the sight before; 0 for the first.
        size: Width and height of the picture in pixels.
        ids: int64, shape (n,).
        slots: int64, shape (n,): each track's row in every rule's columns.
        feet: float64, shape (n, 2): where each stands, pixels.
        boxes: float64, shape (n, 4): left, top, right, bottom, pixels.
        scale: float64, shape (n,): square root of the box's area, pixels: the unit of tolerances.
        classes: int64, shape (n,).
        velocities: float64, shape (n, 2): of the box's centre, pixels per second.
        observed: bool, shape (n,): False while a track coasts.
        fresh: bool, shape (n,): first sighting.
        first_boxes: float64, shape (n, 4): where each was detected first; its box where the tracker did not say, and in
            the first sight of all.
        first_s: float64, shape (n,): when that was, monotonic seconds.
        gone: int64, shape (k,): slots that are given up; their columns still hold the last state in this sight.
        heirs: Pairs (row, slot): the fresh track in that row likely goes on for the lost track of that slot.
        capacity: Every slot is smaller than this.
    """

    at: Instant
    gap_s: float
    size: tuple[int, int]
    ids: Ints
    slots: Ints
    feet: Array
    boxes: Array
    scale: Array
    classes: Ints
    velocities: Array
    observed: Mask
    fresh: Mask
    first_boxes: Array
    first_s: Array
    gone: Ints
    heirs: tuple[tuple[int, int], ...]
    capacity: int
    roster: Roster

    def __len__(self) -> int:
        return len(self.ids)


class Roster:
    """The slots of one camera's tracks, and the recent path of each."""

    def __init__(self) -> None:
        self._slot_of: dict[int, int] = {}
        self._free: list[int] = []
        self._capacity = 0
        self._last: Instant | None = None
        self._columns = Columns(
            id=(-1, np.int64, ()),
            category=(0, np.int64, ()),
            seen_s=(-np.inf, np.float64, ()),
            foot=(np.nan, np.float64, (2,)),
            box=(0.0, np.float64, (4,)),
            velocity=(0.0, np.float64, (2,)),
            inherited=(False, np.bool_, ()),
            count=(0, np.int64, ()),
            slow_foot=(np.nan, np.float64, (2,)),
            slow_s=(np.nan, np.float64, ()),
            followed_s=(np.nan, np.float64, ()),
            path_s=(np.nan, np.float64, (RECENT,)),
            path=(np.nan, np.float64, (RECENT, 2)),
            path_size=(np.nan, np.float64, (RECENT,)),
            path_box=(np.nan, np.float64, (RECENT, 4)),
        )

    def see(self, tracks: Tracks, at: Instant, size: tuple[int, int], linger_s: float = LINGER_S) -> Sight:
        """Take in the tracks of one frame. The sight's columns are valid until the next call."""
        boxes = tracks.boxes.astype(np.float64)
        feet = tracks.ground_points().astype(np.float64)
        ids = tracks.ids.tolist()
        fresh = np.array([i not in self._slot_of for i in ids], np.bool_)
        gone = self._give_up(at.mono_s - linger_s, tracks)
        for row in fresh.nonzero()[0].tolist():
            self._assign(ids[row])
        slots = np.array([self._slot_of[i] for i in ids], np.int64)
        # Tracks that go on while all rules begin anew were told to the rules before, which counted what they crossed.
        first, first_s = (None, None) if self._last is None else (tracks.first_boxes, tracks.first_s)
        scale = np.sqrt(np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1.0))
        sight = Sight(
            at=at,
            gap_s=0.0 if self._last is None else max(0.0, at.mono_s - self._last.mono_s),
            size=size,
            ids=tracks.ids,
            slots=slots,
            feet=feet,
            boxes=boxes,
            scale=scale,
            classes=tracks.classes,
            velocities=tracks.velocities.astype(np.float64),
            observed=tracks.observed | fresh,
            fresh=fresh,
            first_boxes=boxes if first is None else first.astype(np.float64),
            first_s=np.full(len(ids), at.mono_s) if first_s is None else first_s,
            gone=gone,
            heirs=self._heirs(fresh.nonzero()[0], slots[tracks.observed], feet, scale, at.mono_s, size),
            capacity=self._capacity,
            roster=self,
        )
        self._remember(sight)
        self._free.extend(gone.tolist()[::-1])
        self._last = at
        return sight

    def trail(self, slots: Ints) -> tuple[Array, Array, Array]:
        """Where each track is and was lately on average: feet then, shape (n, 2), feet last, and seconds between.

        The difference over the seconds is a smooth velocity; nan where too little was seen to tell one.
        """
        columns = self._columns
        then = columns["slow_foot"][slots]
        between_s = columns["seen_s"][slots] - columns["slow_s"][slots]
        return then, columns["foot"][slots], np.where(between_s >= SHORTEST_PATH_S, between_s, np.nan)

    def velocity(self, slots: Ints) -> Array:
        """How each slot's track moved when it was last observed, pixels per second, shape (n, 2); 0 when unknown."""
        then, last, between_s = self.trail(slots)
        velocity: Array = np.nan_to_num((last - then) / between_s[:, np.newaxis])
        return velocity

    def finish(self, at: Instant, size: tuple[int, int]) -> Sight:
        """Nobody is seen any more: a sight in which every track is gone."""
        return self.see(Tracks.empty(), at, size, linger_s=-np.inf)

    def recent(self, slots: Ints) -> tuple[Array, Array]:
        """The last sightings of some slots: times in seconds, shape (n, RECENT), and feet, shape (n, RECENT, 2).

        Unordered in time; nan where a track has fewer.
        """
        return self._columns["path_s"][slots], self._columns["path"][slots]

    def sightings(self) -> tuple[Array, Array]:
        """The last sightings of all slots: times, shape (slots, RECENT), and boxes, shape (slots, RECENT, 4).

        Ordered as in :meth:`recent`; nan where a slot has fewer. Slots that were given up still hold theirs.
        """
        return self._columns["path_s"], self._columns["path_box"]

    def last_seen_s(self, slots: Ints) -> Array:
        """When each slot's track was last observed, monotonic seconds."""
        seen: Array = self._columns["seen_s"][slots]
        return seen

    def last_foot(self, slots: Ints) -> Array:
        """Where each slot's track stood last, shape (n, 2)."""
        foot: Array = self._columns["foot"][slots]
        return foot

    def last_box(self, slots: Ints) -> Array:
        """Each slot's last observed box, shape (n, 4)."""
        box: Array = self._columns["box"][slots]
        return box

    def last_size(self, slots: Ints) -> Array:
        """The size of each slot's last observed box: square root of its area, pixels, shape (n,)."""
        box = self._columns["box"][slots]
        size: Array = np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1.0))
        return size

    def class_of(self, slot: int) -> int:
        """The newest vote on what the slot's track is."""
        return int(self._columns["category"][slot])

    def _assign(self, track: int) -> None:
        if not self._free:
            grown = max(64, self._capacity * 2)
            self._free.extend(range(grown - 1, self._capacity - 1, -1))
            self._capacity = grown
            self._columns.fit(grown)
        slot = self._free.pop()
        self._slot_of[track] = slot
        self._columns.reset(np.array([slot]))
        self._columns["id"][slot] = track

    def _give_up(self, before_s: float, tracks: Tracks) -> Ints:
        """Slots whose tracks were not observed for long; a track the tracker still holds keeps its slot."""
        ids, seen = self._columns["id"], self._columns["seen_s"]
        stale: Ints = ((ids >= 0) & (seen < before_s)).nonzero()[0]
        if len(stale):
            stale = stale[~np.isin(ids[stale], tracks.ids)]
        for slot in stale.tolist():
            del self._slot_of[int(ids[slot])]
            ids[slot] = -1
        return stale

    def _remember(self, sight: Sight) -> None:
        rows = sight.observed.nonzero()[0]
        slots, columns = sight.slots[rows], self._columns
        columns["category"][sight.slots] = sight.classes
        columns["seen_s"][slots] = sight.at.mono_s
        columns["foot"][slots] = sight.feet[rows]
        columns["box"][slots] = sight.boxes[rows]
        columns["velocity"][slots] = sight.velocities[rows]
        columns["inherited"][slots] = False
        self._trail(slots, sight.feet[rows], sight.at.mono_s)
        cursor = columns["count"][slots] % RECENT
        columns["path_s"][slots, cursor] = sight.at.mono_s
        columns["path"][slots, cursor] = sight.feet[rows]
        columns["path_size"][slots, cursor] = np.log(sight.scale[rows])
        columns["path_box"][slots, cursor] = sight.boxes[rows]
        columns["count"][slots] += 1

    def _trail(self, slots: Ints, feet: Array, now_s: float) -> None:
        """Let the slow foot, and the time it stands for, follow by the same share."""
        columns = self._columns
        slow_s = columns["slow_s"][slots]
        first = np.isnan(slow_s)
        share = np.where(
            first, 1.0, 1 - np.exp(-(now_s - np.where(first, now_s, columns["followed_s"][slots])) / TRAIL_S)
        )
        slow = columns["slow_foot"][slots]
        columns["slow_foot"][slots] = np.where(first[:, np.newaxis], feet, slow + share[:, np.newaxis] * (feet - slow))
        columns["slow_s"][slots] = np.where(first, now_s, slow_s + share * (now_s - slow_s))
        columns["followed_s"][slots] = now_s

    def _heirs(
        self, rows: Ints, seen: Ints, feet: Array, scale: Array, now_s: float, size: tuple[int, int]
    ) -> tuple[tuple[int, int], ...]:
        """Match new tracks to lost ones, each at most once, the best match first."""
        lost = self._lost(seen, now_s, size) if len(rows) else rows
        if len(lost):
            apart = np.hypot(*np.moveaxis(feet[rows][:, np.newaxis] - self._columns["foot"][lost], -1, 0))
            lost = lost[(apart <= FARTHEST * self.last_size(lost)).any(axis=0)]
        if not len(lost):
            return ()
        foot, size_px, reach = self._expected(lost, now_s)
        miss = np.hypot(*np.moveaxis(feet[rows][:, np.newaxis] - foot, -1, 0)) / reach
        ratio = scale[rows][:, np.newaxis] / size_px
        fits = (miss <= 1) & (ratio <= HEIR_SIZE_RATIO) & (ratio >= 1 / HEIR_SIZE_RATIO)
        pairs: list[tuple[int, int]] = []
        for flat in np.argsort(np.where(fits, miss, np.inf), axis=None, kind="stable").tolist():
            row, column = divmod(flat, len(lost))
            if not fits[row, column]:
                break
            new, old_slot = int(rows[row]), int(lost[column])
            if all(new != taken and old_slot != given for taken, given in pairs):
                pairs.append((new, old_slot))
                self._columns["inherited"][old_slot] = True
        return tuple(pairs)

    def _expected(self, lost: Ints, now_s: float) -> tuple[Array, Array, Array]:
        """Where lost tracks should be by now: feet, shape (n, 2), box sizes and how far to search, shape (n,).

        What drives straight on at constant speed grows as 1 / (1 - k t) when its size grows at the rate k, and its
        way in the picture grows with it.
        """
        columns = self._columns
        times, feet = self.recent(lost)
        since_s = columns["seen_s"][lost] - HEADING_S
        velocity = slopes(times, feet, since_s)
        velocity = np.where(np.isfinite(velocity), velocity, columns["velocity"][lost])
        logs = np.repeat(columns["path_size"][lost][..., np.newaxis], 2, axis=2)
        growth = np.nan_to_num(slopes(times, logs, since_s)[:, 0])
        away_s = now_s - columns["seen_s"][lost]
        nearer = np.clip(1 - growth * away_s, NEAREST, 1 / NEAREST)
        way = velocity * (away_s / nearer)[:, np.newaxis]
        size_px = self.last_size(lost) / nearer
        return columns["foot"][lost] + way, size_px, HEIR_REACH * size_px + HEIR_REACH_TRAVEL * np.hypot(*way.T)

    def _lost(self, seen: Ints, now_s: float, size: tuple[int, int]) -> Ints:
        """Slots of tracks that are not observed now but lately were, and did not leave the picture."""
        columns = self._columns
        box = columns["box"]
        inside = (box[:, 0] > EDGE_PX) & (box[:, 1] > EDGE_PX)
        inside &= (box[:, 2] < size[0] - EDGE_PX) & (box[:, 3] < size[1] - EDGE_PX)
        lost = inside & (columns["id"] >= 0) & (now_s - columns["seen_s"] <= LINGER_S) & ~columns["inherited"]
        lost[seen] = False
        slots: Ints = lost.nonzero()[0]
        return slots


def cut_by_edge(box: Array, size: tuple[int, int]) -> bool:
    """Whether the picture's edge cuts a box."""
    return bool(cut(box[np.newaxis], size)[0])


def cut(boxes: Array, size: tuple[int, int]) -> Mask:
    """Which boxes, shape (n, 4), the picture's edge cuts."""
    low, high = boxes[:, :2].min(axis=1), (boxes[:, 2:] - np.array(size)).max(axis=1)
    edged: Mask = (low <= EDGE_PX) | (high >= -EDGE_PX)
    return edged


def slopes(times: Array, where: Array, since_s: ArrayLike) -> Array:
    """Velocity by least squares of each row's positions since a moment, in units of the positions per second.

    Args:
        times: float64, shape (n, k), seconds; nan where there is none.
        where: float64, shape (n, k, 2).
        since_s: Earlier positions don't count; one moment for all, or shape (n,).

    Returns:
        float64, shape (n, 2); nan for rows with fewer than three positions or too short a time of them.
    """
    since = np.asarray(since_s, np.float64).reshape(-1, 1)
    usable = np.isfinite(times) & (times >= since) & np.isfinite(where[..., 0])
    count = usable.sum(axis=1)
    held = np.where(usable, times, 0.0)
    mean_s = held.sum(axis=1) / np.maximum(count, 1)
    offset_s = np.where(usable, held - mean_s[:, np.newaxis], 0.0)
    spread = (offset_s**2).sum(axis=1)
    enough = (count >= 3) & (np.ptp(offset_s, axis=1) >= SHORTEST_PATH_S)
    known = np.where(usable[..., np.newaxis], where, 0.0)
    slope = (offset_s[..., np.newaxis] * known).sum(axis=1) / np.where(enough, spread, 1.0)[:, np.newaxis]
    velocity: Array = np.where(enough[:, np.newaxis], slope, np.nan)
    return velocity


def as_state(value: object) -> Mapping[str, Any]:
    """A part of a stored state as a mapping; anything else counts as none."""
    return value if isinstance(value, Mapping) else {}
