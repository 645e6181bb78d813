"""Detections become tracks: the same thing keeps the same number.

Two stages in the manner of ByteTrack (Zhang et al. 2022): high scores first, then low scores for what is already
known. Promises ids that are unique for the tracker's life and are given only to confirmed tracks, each end told
once, bounded memory, and the same answer to the same input. Knows capture times, never frame counts or clocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.values import Detections, Tracks
from agent.vision.assignment import assign
from agent.vision.association import candidate_pairs, covered, doubles
from agent.vision.kalman import Array, Rows, begin, correct, measurement_noise, predict
from agent.vision.track_table import TrackTable
from agent.vision.tracker_options import TrackerOptions

__all__ = ["Tracker", "TrackerOptions"]


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame's usable detections in an order that depends on nothing but themselves.

    ``measured`` holds centre x, centre y, width, height; shape (m, 4).
    """

    measured: Array
    scores: Array
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: Rows) -> _Seen:
        return _Seen(self.measured.take(rows, axis=0), self.scores.take(rows), self.classes.take(rows))


class Tracker:
    """The tracker of one camera.

    Args:
        options: Its numbers.
        picture_px: Width and height of the picture. When given, a track that coasts out of it ends at once instead
            of waiting outside for ``coast_s``.
    """

    def __init__(self, options: TrackerOptions | None = None, picture_px: tuple[int, int] | None = None) -> None:
        self._options = options or TrackerOptions()
        self._picture_px = picture_px
        self._table = TrackTable.empty()
        self._now_s: float | None = None
        self._next_id = 1
        self._ended: list[NDArray[np.int64]] = []

    def fit(self, picture_px: tuple[int, int]) -> None:
        """Say how large the picture is, or has become: width and height, pixels."""
        self._picture_px = picture_px

    @property
    def held(self) -> int:
        """Tracks in memory, unconfirmed ones included; never more than ``max_tracks``."""
        return len(self._table)

    def update(self, detections: Detections, now_s: float) -> Tracks:
        """Take in one frame.

        Args:
            detections: What the model saw, in any order. Rows that are not finite, have no area, or score below
                ``low_score`` are passed over.
            now_s: The frame's capture time, monotonic seconds. A time before the last one counts as the last one.

        Returns:
            All confirmed tracks, the coasting ones with ``observed`` False, by rising id; and the ids that ended.

        Raises:
            ValueError: ``now_s`` is not a finite number.
        """
        if not math.isfinite(now_s):
            raise ValueError(f"a frame's capture time must be a finite number of seconds, not {now_s}")
        self._ended = []
        now_s = self._advance(now_s)
        seen = self._usable(detections)
        used = self._match_all(seen, now_s)
        self._forget_tentative(now_s)
        self._confirm()
        self._add(seen.select(self._births(seen, used)), now_s)
        return self._shown()

    def finish(self) -> Tracks:
        """End every track, for the end of a file or the loss of a camera. No tracks come back, only ``ended``."""
        self._ended = []
        self._keep(np.zeros(len(self._table), np.bool_))
        return self._shown()

    def _advance(self, now_s: float) -> float:
        """Move to a new time: what was unseen for too long ends, the rest is predicted."""
        before_s = now_s if self._now_s is None else self._now_s
        now_s = max(now_s, before_s)
        self._now_s = now_s
        self._keep(now_s - self._table.seen_s <= self._options.coast_s)
        table = self._table
        beliefs = predict(table.beliefs, now_s - before_s, before_s - table.seen_s, self._options)
        self._table = replace(table, beliefs=beliefs, misses=table.misses + 1)
        self._keep(self._in_picture())
        return now_s

    def _in_picture(self) -> NDArray[np.bool_]:
        """Which tracks still touch the picture; all, when its size is not known."""
        if self._picture_px is None:
            return np.ones(len(self._table), np.bool_)
        centre = self._table.beliefs.place[:, :2]
        # Until the whole box is outside: at the edge only a part of a thing is seen, and it may come back.
        margin = self._table.beliefs.place[:, 2:] / 2
        inside: NDArray[np.bool_] = np.all(
            (centre >= -margin) & (centre <= np.array(self._picture_px) + margin), axis=1
        )
        return inside

    def _usable(self, detections: Detections) -> _Seen:
        """Detections that make sense, the best of them if they are too many, without duplicates, in fixed order."""
        boxes = detections.boxes.astype(np.float64)
        scores = detections.scores.astype(np.float64)
        measured = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
        good = np.isfinite(measured).all(axis=1) & (measured[:, 2:] > 0.0).all(axis=1)
        good &= scores >= self._options.low_score
        seen = _Seen(measured, scores, detections.classes).select(good.nonzero()[0])
        seen = seen.select(_best_first(seen)[: self._options.max_detections])
        better, worse = doubles(
            seen.measured, seen.classes, seen.measured, seen.classes, self._options.duplicate_overlap
        )
        kept = np.ones(len(seen), np.bool_)
        for one, other in zip(better.tolist(), worse.tolist(), strict=True):
            if one < other and kept[one]:
                kept[other] = False
        return seen if kept.all() else seen.select(kept.nonzero()[0])

    def _match_all(self, seen: _Seen, now_s: float) -> NDArray[np.bool_]:
        """Feed the tracks; return which detections fed one."""
        options, table = self._options, self._table
        high = seen.scores >= options.high_score
        confirmed = table.confirmed
        recent = now_s - table.seen_s <= options.fading_s
        fed = np.zeros(len(table), np.bool_)
        used = np.zeros(len(seen), np.bool_)
        self._match(confirmed.nonzero()[0], high.nonzero()[0], seen, now_s, fed, used)
        weak = (~high).nonzero()[0]
        weak = weak[~covered(weak, seen.measured, seen.classes, used, options.cover)]
        self._match((confirmed & recent & ~fed).nonzero()[0], weak, seen, now_s, fed, used)
        self._match((~confirmed).nonzero()[0], (~used & self._may_begin(seen)).nonzero()[0], seen, now_s, fed, used)
        return used

    def _may_begin(self, seen: _Seen) -> NDArray[np.bool_]:
        enough: NDArray[np.bool_] = seen.scores >= self._options.birth_score
        return enough

    def _births(self, seen: _Seen, used: NDArray[np.bool_]) -> Rows:
        """Detections that begin a track: unused, and if weak, not a part of something seen better."""
        free = ~used & self._may_begin(seen)
        weak = (free & (seen.scores < self._options.high_score)).nonzero()[0]
        free[weak[covered(weak, seen.measured, seen.classes, used, self._options.cover)]] = False
        return free.nonzero()[0]

    def _match(
        self, rows: Rows, columns: Rows, seen: _Seen, now_s: float, fed: NDArray[np.bool_], used: NDArray[np.bool_]
    ) -> None:
        """Match some tracks with some detections, and mark both."""
        if not len(rows) or not len(columns):
            return
        options, part = self._options, seen.select(columns)
        tracks = self._table.select(rows)
        pairs = candidate_pairs(tracks.beliefs, tracks.classes, part.measured, part.classes, options)
        matched, found = assign(pairs.tracks, pairs.detections, pairs.costs, options.new_object_cost)
        self._feed(rows[matched], part.select(found), now_s)
        fed[rows[matched]] = True
        used[columns[found]] = True

    def _feed(self, rows: Rows, seen: _Seen, now_s: float) -> None:
        """Correct tracks by their detections."""
        table, options = self._table, self._options
        beliefs = table.beliefs.select(rows)
        noise = measurement_noise(beliefs.sizes(), options)
        noise = np.where(seen.scores < options.high_score, options.low_noise * noise, noise)
        table.feed(rows, correct(beliefs, seen.measured, noise), seen.scores, seen.classes, now_s)

    def _forget_tentative(self, now_s: float) -> None:
        """Drop unconfirmed tracks that did not come again, and those that double a confirmed one."""
        table, options = self._table, self._options
        if table.confirmed.all():
            return
        kept = table.confirmed | (table.misses < 2) | (now_s - table.seen_s <= options.tentative_s)
        young, known = (~table.confirmed).nonzero()[0], (table.confirmed & table.observed).nonzero()[0]
        place, classes = table.beliefs.place, table.classes
        shadows, _ = doubles(place[young], classes[young], place[known], classes[known], options.shadow_overlap)
        kept[young[shadows]] = False
        self._keep(kept)

    def _confirm(self) -> None:
        """Give ids to the tracks that earned one, the longest held first."""
        table = self._table
        proven = (table.hits >= self._options.confirm_hits) & (
            table.votes.sum(axis=1) >= self._options.confirm_evidence
        )
        earned = (~table.confirmed & proven).nonzero()[0]
        table.ids[earned] = self._next_id + np.arange(len(earned))
        self._next_id += len(earned)

    def _add(self, births: _Seen, now_s: float) -> None:
        """Begin tracks, best scores first, as far as there is room."""
        self._make_room(len(births))
        room = self._options.max_tracks - len(self._table)
        births = births.select(np.arange(min(len(births), room)))
        if not len(births):
            return
        beliefs = begin(births.measured, self._options)
        young = TrackTable.unconfirmed(beliefs, births.scores, births.classes, now_s)
        self._table = self._table.joined(young)

    def _make_room(self, wanted: int) -> None:
        """End the tracks unseen for longest where new ones would not fit."""
        table = self._table
        short = len(table) + wanted - self._options.max_tracks
        if short <= 0:
            return
        unseen = (~table.observed).nonzero()[0]
        victims = unseen[np.argsort(table.seen_s[unseen], kind="stable")[:short]]
        kept = np.ones(len(table), np.bool_)
        kept[victims] = False
        self._keep(kept)

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        """Keep only these rows; the ids of the others have ended."""
        if kept.all():
            return
        table = self._table
        self._ended.append(table.ids[~kept & table.confirmed])
        self._table = table.select(kept.nonzero()[0])

    def _shown(self) -> Tracks:
        """What the scene may know: confirmed tracks by rising id, and what ended."""
        confirmed = self._table.confirmed.nonzero()[0]
        table = self._table.select(confirmed[np.argsort(self._table.ids[confirmed], kind="stable")])
        return Tracks(
            ids=table.ids,
            boxes=_corners(table.beliefs.place),
            scores=table.scores.astype(np.float32),
            classes=table.classes,
            velocities=table.beliefs.rate[:, :2].astype(np.float32),
            observed=table.observed,
            ended=np.sort(np.concatenate([*self._ended, np.zeros(0, np.int64)])),
            first_boxes=_corners(table.first),
            first_s=table.first_s,
        )


def _corners(place: Array) -> NDArray[np.float32]:
    """left, top, right, bottom of centre x, centre y, width, height, shape (n, 4)."""
    half = place[:, 2:] / 2
    return np.concatenate([place[:, :2] - half, place[:, :2] + half], axis=1).astype(np.float32)


def _best_first(seen: _Seen) -> Rows:
    """Rows by falling score; equal scores by place, so that the order of a model's output never matters."""
    order = np.argsort(-seen.scores, kind="stable")
    ranked = seen.scores[order]
    if (ranked[1:] == ranked[:-1]).any():
        order = np.lexsort((*seen.measured.T, seen.classes, -seen.scores))
    return order
