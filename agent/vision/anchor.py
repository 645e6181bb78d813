"""Where a camera looks now, beside the view on which its lines were drawn: the measured shift, or that there is none.

It remembers corners of the installer's view, as places and codes of 32 bytes: no picture, and of passers-by nothing,
for the corners are those of a median over the first looks. Every measurement is against that one view, so errors never
add up. A shift is told only when many corners all over the picture agree on it several times running, and only a small
one. Pure: the same pictures at the same times give the same shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.values import Image

Codes: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float64]
Doubt: TypeAlias = Literal["", "turned", "covered", "hidden"]

WIDTH_PX: Final = 640
"""Width at which corners are looked for."""
FIRST_LOOKS: Final = 9
"""The installer's view is the median of so many looks: whoever passes leaves no trace in it."""
GRID: Final = (8, 5)
"""Corners are taken evenly from so many cells, columns and rows: trees have more of them than roads."""
PER_CELL: Final = 16
FEWEST: Final = 80
"""A view with fewer corners can't be found again."""
FARTHEST: Final = 0.3
"""No corner moves by more of the picture's width in a move that is followed."""
RATIO: Final = 0.8
"""A corner is recognised when its best match is this much better than the second (Lowe's test)."""
OFF_PX: Final = 3.0
"""Corners this near to where a shift puts them agree with it."""
LEAST_AGREE: Final = 30
"""So many corners must agree …"""
LEAST_SHARE: Final = 0.4
"""… and this share of those recognised …"""
LEAST_CELLS: Final = 10
"""… in so many cells of the picture."""
UNCOVERED: Final = 0.6
"""A view that seems covered is not when corners agree in this share of the cells that had any."""
MOST_SHIFT: Final = 0.2
"""The middle of the picture may move by so much of its size, …"""
MOST_CORNER: Final = 0.3
"""… its corners by so much."""
MOST_ZOOM: Final = 1.25
MOST_TURN_DEG: Final = 15.0
AGREE: Final = 0.01
"""Measurements within this, of the picture's width, are the same …"""
RUNNING: Final = 3
"""… and so many running are certain."""
NOTICED: Final = 0.025
"""A shift that differs from the one in force by less is left alone: a pole sways, and cameras creep."""
NOTHING: Final = 0.005
"""A shift smaller than this is none."""
OFTEN_S: Final = 1.0
SELDOM_S: Final = 30.0
"""How often is measured while the view is in doubt, and while it is not."""

Numbers: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
STAYED: Final[Numbers] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_PROBES: Final = np.array([(0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)])


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """What a view is recognised by.

    Attributes:
        where: float32, shape (n, 2): relative to the picture, 0 to 1.
        codes: uint8, shape (n, 32).
        aspect: The picture's width by its height.
    """

    where: Places
    codes: Codes
    aspect: float

    def __len__(self) -> int:
        return len(self.where)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of where the camera looks.

    Attributes:
        shift: In force: a homography, row by row, from the installer's view to what is seen, both relative (0 to 1).
        news: A shift came into force just now, or the one in force was found to hold still.
        stopped: The camera looks elsewhere, and no shift is certain.
    """

    shift: Numbers = STAYED
    news: bool = False
    stopped: bool = False


def small_grey(image: Image) -> Image:
    """A picture, uint8, shape (height, width, 3), as one of 640 grey pixels width."""
    height, width = image.shape[:2]
    factor = max(1, width // WIDTH_PX)
    if factor > 1:  # by a whole factor first: ten times faster
        image = cast("Image", cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA))
    size = (WIDTH_PX, max(1, round(WIDTH_PX * height / width)))
    return cast("Image", cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY))


def find_corners(grey: Image) -> Corners:
    """The corners of a grey picture, evenly from all over it."""
    height, width = grey.shape[:2]
    finder: Any = cast("Any", cv2).ORB_create(nfeatures=3000, fastThreshold=8)
    points, codes = finder.detectAndCompute(grey, None)
    if codes is None:
        return Corners(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8), width / height)
    where: Places = np.array([point.pt for point in points], np.float32)
    where /= np.array([width, height], np.float32)
    order = np.argsort([-point.response for point in points], kind="stable")
    cells = _cells(where)
    rank = np.zeros(len(where), np.int64)
    seen = np.zeros(GRID[0] * GRID[1], np.int64)
    for index in order.tolist():
        rank[index] = seen[cells[index]]
        seen[cells[index]] += 1
    kept = order[rank[order] < PER_CELL]
    return Corners(where[kept], codes[kept], width / height)


def measure(original: Corners, now: Corners, least_share: float = 0.0) -> Numbers | None:
    """How the view of now lies beside the original one; ``None`` where that is not certain, or too far.

    Args:
        original: Of the view that was drawn on.
        now: Of the view of now.
        least_share: Corners must agree in this share of the original's cells, beside :data:`LEAST_CELLS`.
    """
    if min(len(original), len(now)) < FEWEST or abs(original.aspect / now.aspect - 1) > 0.02:
        return None
    unit = np.array([WIDTH_PX, WIDTH_PX / original.aspect])
    pairs = _recognised(original, now, unit)
    if len(pairs) < LEAST_AGREE:
        return None
    then_px = original.where[pairs[:, 0]] * unit
    now_px = now.where[pairs[:, 1]] * unit
    found, agree = cv2.findHomography(then_px, now_px, cv2.RANSAC, OFF_PX, maxIters=2000, confidence=0.999)
    if found is None:
        return None
    agreeing = agree.ravel().astype(bool)
    cells = np.unique(_cells(original.where[pairs[agreeing, 0]]))
    least_cells = max(LEAST_CELLS, least_share * len(np.unique(_cells(original.where))))
    if agreeing.sum() < max(LEAST_AGREE, LEAST_SHARE * len(pairs)) or len(cells) < least_cells:
        return None
    to_unit = np.diag([*(1 / unit), 1.0])
    matrix = to_unit @ found @ np.linalg.inv(to_unit)
    return _numbers(matrix) if _is_small(matrix, original.aspect) else None


def apart(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two shifts put the same things from each other at most, relative to the picture's size."""
    return float(np.hypot(*(_moved(_matrix(one), _PROBES) - _moved(_matrix(other), _PROBES)).T).max())


class Anchor:
    """Follows the view of one camera.

    Args:
        original: Corners of the installer's view, where an earlier :attr:`original` was kept.
        standing: What was known then.
    """

    def __init__(self, original: Corners | None = None, standing: Standing | None = None) -> None:
        self.original = original
        self.standing = standing or Standing()
        self._first: list[Image] = []
        self._running: list[Numbers] = []
        self._last_s: float | None = None

    def forget(self) -> None:
        """What the camera shows from now on is the view that its lines are drawn on."""
        self.original, self.standing = None, Standing()
        self._first, self._running, self._last_s = [], [], None

    def look(self, image: Image, now_s: float, doubt: Doubt) -> Standing:
        """Take in one picture; about once a second.

        Args:
            image: What is seen.
            now_s: Monotonic seconds.
            doubt: What is thought of the view otherwise: ``turned`` to look elsewhere; ``covered``, which a view with
                new things in it may seem to be and corners may disprove; ``hidden`` for whatever else.
        """
        known = self.standing
        turned = doubt == "turned" and self.original is not None
        self.standing = Standing(known.shift, stopped=known.stopped or turned)
        if doubt == "hidden":
            self._running = []
        elif self.original is None:
            self._learn(image, clear=not doubt)
        elif self._is_due(now_s, often=self.standing.stopped or doubt == "covered" or bool(self._running)):
            now = find_corners(small_grey(image))
            found = measure(self.original, now, UNCOVERED if doubt == "covered" else 0.0)
            self._follow(found, doubtful=self.standing.stopped or doubt == "covered")
        return self.standing

    def _is_due(self, now_s: float, *, often: bool) -> bool:
        wait_s = OFTEN_S if often else SELDOM_S
        if self._last_s is not None and 0 <= now_s - self._last_s < wait_s * 0.9:
            return False
        self._last_s = now_s
        return True

    def _learn(self, image: Image, *, clear: bool) -> None:
        self._first = [*self._first, small_grey(image)] if clear else []
        if len({each.shape for each in self._first}) > 1:
            self._first = self._first[-1:]
        if len(self._first) == FIRST_LOOKS:
            found = find_corners(np.median(self._first, axis=0).astype(np.uint8))
            self._first = []
            if _can_be_found(found):  # else nothing could ever say that it is back
                self.original = found

    def _follow(self, found: Numbers | None, *, doubtful: bool) -> None:
        if found is None:  # somebody stood before it, perhaps: what was measured stays measured
            return
        if not doubtful and apart(found, self.standing.shift) <= NOTICED:
            self._running = []
            return
        if self._running and apart(found, self._running[-1]) > AGREE:
            self._running = []
        self._running.append(found)
        if len(self._running) == RUNNING:
            shift = cast("Numbers", tuple(np.median(self._running, axis=0).tolist()))
            shift = STAYED if apart(shift, STAYED) < NOTHING else shift
            if apart(shift, self.standing.shift) <= NOTICED:  # the same view is back: nothing is to be laid anew
                shift = self.standing.shift
            self.standing = Standing(shift, news=True)
            self._running = []


def _can_be_found(corners: Corners) -> bool:
    return len(corners) >= FEWEST and len(np.unique(_cells(corners.where))) >= LEAST_CELLS


def _cells(where: Places) -> NDArray[np.int64]:
    column, row = (np.clip(where * GRID, 0, np.array(GRID) - 1)).astype(np.int64).T
    cells: NDArray[np.int64] = row * GRID[0] + column
    return cells


def _recognised(original: Corners, now: Corners, unit: Matrix) -> NDArray[np.int64]:
    """Pairs of a corner then and now, each of either at most once, shape (n, 2); none that moved too far."""
    matcher: Any = cv2.BFMatcher(cv2.NORM_HAMMING)
    pairs: dict[int, tuple[float, int]] = {}
    for best, second in (two for two in matcher.knnMatch(original.codes, now.codes, k=2) if len(two) == 2):
        if best.distance >= RATIO * second.distance:
            continue
        way = (now.where[best.trainIdx] - original.where[best.queryIdx]) * unit
        held = pairs.get(best.trainIdx)
        if np.hypot(*way) <= FARTHEST * WIDTH_PX and (held is None or best.distance < held[0]):
            pairs[best.trainIdx] = (best.distance, best.queryIdx)
    return np.array([(then, at) for at, (_, then) in sorted(pairs.items())], np.int64).reshape(-1, 2)


def _is_small(matrix: Matrix, aspect: float) -> bool:
    """Whether a shift is one of a camera that was knocked, not one that looks elsewhere."""
    moved = _moved(matrix, _PROBES)
    off = np.abs(moved - _PROBES)
    step = 0.05 * np.array([[0, 0], [1, 0], [0, 1]])
    middle, right, down = _moved(matrix, 0.5 + step) * (aspect, 1.0)
    across, along = (right - middle) / aspect / 0.05, (down - middle) / 0.05
    zoom = float(np.sqrt(abs(across[0] * along[1] - across[1] * along[0])))
    turn_deg = float(np.degrees(np.arctan2(across[1], across[0])))
    return (
        bool(np.isfinite(moved).all())
        and off[0].max() <= MOST_SHIFT
        and off.max() <= MOST_CORNER
        and 1 / MOST_ZOOM <= zoom <= MOST_ZOOM
        and abs(turn_deg) <= MOST_TURN_DEG
    )


def _moved(matrix: Matrix, where: Matrix) -> Matrix:
    across = where @ matrix[:, :2].T + matrix[:, 2]
    moved: Matrix = across[:, :2] / across[:, 2:]
    return moved


def _matrix(numbers: Sequence[float]) -> Matrix:
    return np.array(numbers, np.float64).reshape(3, 3)


def _numbers(matrix: Matrix) -> Numbers:
    return cast("Numbers", tuple(round(float(each), 6) for each in (matrix / matrix[2, 2]).ravel()))
