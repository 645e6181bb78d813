"""The tracker's memory: one row a track, in columns. Promises that rows only ever leave or join as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent.values import RoadUser
from agent.vision.kalman import Beliefs, Rows

Floats: TypeAlias = NDArray[np.float64]

#: Id of a track that has none yet. It never leaves the tracker.
UNCONFIRMED: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class TrackTable:
    """All tracks of one camera, unconfirmed ones included, in columns of equal length n.

    Attributes:
        ids: int64, shape (n,): :data:`UNCONFIRMED` or a unique positive number.
        beliefs: Where each is and how it moves.
        scores: float64, shape (n,): of the last detection.
        votes: float64, shape (n, classes): sum of the scores that spoke for each class.
        hits: int64, shape (n,): detections so far.
        misses: int64, shape (n,): frames in a row without a detection.
        seen_s: float64, shape (n,): time of the last detection.
        first_s: float64, shape (n,): time of the first one.
        first: float64, shape (n, 4): centre x, centre y, width, height of the first one.
    """

    ids: NDArray[np.int64]
    beliefs: Beliefs
    scores: Floats
    votes: Floats
    hits: NDArray[np.int64]
    misses: NDArray[np.int64]
    seen_s: Floats
    first_s: Floats
    first: Floats

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The class with most votes, shape (n,)."""
        leading: NDArray[np.int64] = self.votes.argmax(axis=1)
        return leading

    @property
    def confirmed(self) -> NDArray[np.bool_]:
        """Which tracks have an id, shape (n,)."""
        known: NDArray[np.bool_] = self.ids != UNCONFIRMED
        return known

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Which tracks a detection fed in this frame, shape (n,)."""
        fresh: NDArray[np.bool_] = self.misses == 0
        return fresh

    @classmethod
    def empty(cls) -> TrackTable:
        """No tracks."""
        return cls.unconfirmed(Beliefs.none(), np.zeros(0), np.zeros(0, np.int64), 0.0)

    @classmethod
    def unconfirmed(cls, beliefs: Beliefs, scores: Floats, classes: NDArray[np.int64], now_s: float) -> TrackTable:
        """New tracks of one detection each."""
        count = len(beliefs)
        return cls(
            ids=np.full(count, UNCONFIRMED, np.int64),
            beliefs=beliefs,
            scores=scores,
            votes=scores[:, None] * np.eye(len(RoadUser))[classes],
            hits=np.ones(count, np.int64),
            misses=np.zeros(count, np.int64),
            seen_s=np.full(count, now_s),
            first_s=np.full(count, now_s),
            first=beliefs.place.copy(),
        )

    def feed(self, rows: Rows, beliefs: Beliefs, scores: Floats, classes: NDArray[np.int64], now_s: float) -> None:
        """Write what a detection changed into some rows, each named once. A table owns its columns."""
        self.beliefs.put(rows, beliefs)
        self.scores[rows] = scores
        self.votes[rows, classes] += scores
        self.hits[rows] += 1
        self.misses[rows] = 0
        self.seen_s[rows] = now_s

    def select(self, rows: Rows) -> TrackTable:
        """The rows that an index array names."""
        return TrackTable(
            self.ids.take(rows),
            self.beliefs.select(rows),
            self.scores.take(rows),
            self.votes.take(rows, axis=0),
            self.hits.take(rows),
            self.misses.take(rows),
            self.seen_s.take(rows),
            self.first_s.take(rows),
            self.first.take(rows, axis=0),
        )

    def joined(self, other: TrackTable) -> TrackTable:
        """These rows, then the other's."""
        return TrackTable(
            np.concatenate([self.ids, other.ids]),
            self.beliefs.joined(other.beliefs),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.votes, other.votes]),
            np.concatenate([self.hits, other.hits]),
            np.concatenate([self.misses, other.misses]),
            np.concatenate([self.seen_s, other.seen_s]),
            np.concatenate([self.first_s, other.first_s]),
            np.concatenate([self.first, other.first]),
        )
