"""Who crosses a line: certain, once, and timed at the moment of the crossing.

A road user crosses a line when its ground point was settled on one side and is settled on the other, having passed
between the two ends of the line, not beyond them. Settled means further from the line than a band in proportion to
its box, in two sightings; so neither a flickering box nor one that waits on the line counts. Predicted positions
count only for what vanished in steady motion right at a line. All lines of a camera are looked at together.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.scene.geometry import Array, Mask, cross
from agent.scene.hidden import hidden_heirs
from agent.scene.roster import Columns, Sight, cut_by_edge
from agent.values import Ints

BAND: Final = 0.08
"""Half the width of the band around a line, in box sizes: a box's lower edge trembles by a few hundredths of it."""
LEAST_BAND_PX: Final = 2.0
SWING_BANDS: Final = 4.0
"""From as deep as it was at home to where it is beyond the line it must go so many bands: what waits on a line sways
with the picture and trembles, and would cross it again and again by less …"""
DEPTH_BANDS: Final = 3.0
"""… but who came from further away needs no more beyond the line than any other."""
SIGHTINGS: Final = 2
"""So many sightings beyond the band settle a side: one alone may be a false one."""
MOVED_SHARE: Final = 0.2
"""An edge, or the middle, of a box has moved when it did so by this share of its foot's way."""
NEAR_BANDS: Final = 6.0
"""Further from every line than so many bands, nothing is decided about a track."""
STEADY_S: Final = 1.2
"""A track that ended was in steady motion when its path of so long before predicts its last place …"""
STEADY_SIGHTINGS: Final = 4
"""… from so many sightings, the last one included …"""
STEADY_BANDS: Final = 2.0
"""… to within so many bands."""
GOES_ON_S: Final = 0.6
"""Something in steady motion that vanished so shortly before a line went over it: it was hidden, not gone."""
SAME_S: Final = 0.7
"""Two crossings in one direction, so near in time and within a box of each other, may be one under two numbers …"""
TOGETHER_S: Final = 0.5
"""… unless both tracks were there at once for longer than this: then two cross side by side."""
REACH_S: Final = 2 * GOES_ON_S
"""A track further from every line than it could have come in this time did not vanish at one."""
CREEP: Final = 0.25
"""Below so many box sizes per second across a line, the way something is going is not told by its speed."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One road user crossed one line.

    Attributes:
        line: Index of the line.
        toward: +1 from the left-hand side to the right-hand side (``a_to_b``), -1 the other way.
        slot: Whose; see :class:`agent.scene.roster.Roster`.
        mono_s: When its ground point was on the line, interpolated between two sightings.
        along: Where on the line, 0 at its start, 1 at its end.
    """

    line: int
    toward: int
    slot: int
    mono_s: float
    along: float


@dataclass(frozen=True, slots=True, eq=False)
class _Motion:
    """A track's straight motion with respect to every line: places across in pixels, along in shares of the line.

    ``last_s`` and ``last`` are of the last sighting, ``speed``, ``along`` (then) and ``along_speed`` fitted; ``box`` is
    the size of its box in pixels.
    """

    last_s: float
    last: Array
    speed: Array
    along: Array
    along_speed: Array
    steady: Mask
    box: float


class CrossingWatch:
    """Watches lines given in pixels.

    Args:
        lines: float64, shape (m, 2, 2): start and end of each, pixels.
    """

    def __init__(self, lines: Array) -> None:
        self._start = lines[:, 0]
        self._way = lines[:, 1] - lines[:, 0]
        self._square = np.maximum((self._way**2).sum(axis=1), 1e-9)
        self._size = np.sqrt(self._square)
        self._lately: deque[Crossing] = deque(maxlen=256)
        count = len(lines)
        self._columns = Columns(
            home=(0, np.int8, (count,)),  # the side it belongs to; 0 before the first sighting
            seen=(0, np.int8, (count,)),  # sightings there, as far as they matter
            depth=(0.0, np.float64, (count,)),  # how far from the line it was settled there, in bands
            anchor=(0.0, np.float64, (count, 4)),  # its box then
            side=(0, np.int8, (count,)),  # of the last sighting not exactly on the line
            across=(0.0, np.float64, (count,)),
            along=(0.0, np.float64, (count,)),
            net=(0, np.int8, (count,)),  # passes between the line's ends since it was settled, signed
            passed_s=(np.nan, np.float64, (count,)),
            passed_at=(np.nan, np.float64, (count,)),
            beyond=(0, np.int8, (count,)),  # sightings settled on the other side
            step=(0.0, np.float64, (count,)),  # pixels per second of the last step
            went=(0, np.int8, (count,)),  # the way of its last crossing
            inherited=(False, np.bool_, ()),  # another track goes on for it
            first_s=(np.nan, np.float64, ()),  # of its first detection
            seen_s=(np.nan, np.float64, ()),
        )

    def see(self, sight: Sight) -> list[Crossing]:
        """The crossings that one sight makes certain, in the order of lines and then of tracks."""
        columns = self._columns
        columns.fit(sight.capacity)
        ended = self._end(sight)
        self._meet(sight)
        self._hand_over(sight)
        rows = sight.observed.nonzero()[0]
        if not len(rows):
            return ended
        slots = sight.slots[rows]
        across, along = self._project(sight.feet[rows])
        side = np.where(across == 0, columns["side"][slots], np.sign(across)).astype(np.int8)
        ratio = np.abs(across) / np.maximum(LEAST_BAND_PX, BAND * sight.scale[rows])[:, np.newaxis]
        home, net = columns["home"][slots], columns["net"][slots]
        near = (((side != home) | (ratio < NEAR_BANDS) | (net != 0)).any(axis=1)).nonzero()[0]
        crossed = None
        if len(near):  # in most frames nobody is at a line
            self._pass(slots[near], side[near], across[near], along[near], sight.at.mono_s)
            crossed = self._settle(slots[near], side[near], ratio[near], sight.boxes[rows[near]])
        columns["side"][slots] = side
        columns["across"][slots] = across
        columns["along"][slots] = along
        columns["seen_s"][slots] = sight.at.mono_s
        columns["first_s"][slots[np.isnan(columns["first_s"][slots])]] = sight.at.mono_s
        columns["inherited"][slots] = False
        columns["seen"][slots] = np.minimum(columns["seen"][slots] + (side == home), SIGHTINGS)
        made = [] if crossed is None else self._crossings(slots[near], crossed)
        return ended + made

    def toward(self, sight: Sight) -> NDArray[np.int8]:
        """Which way each track of a sight just seen crosses each line: +1, -1, or 0 when unknown; shape (n, m)."""
        columns = self._columns
        home, went = columns["home"][sight.slots], columns["went"][sight.slots]
        speed = columns["step"][sight.slots]
        moving = np.abs(speed) > CREEP * sight.scale[:, np.newaxis]
        slow = np.where((went != 0) & (went == home), went, -home)
        way: NDArray[np.int8] = np.where(moving, np.sign(speed), slow).astype(np.int8)
        return way

    def _end(self, sight: Sight) -> list[Crossing]:
        """Those who vanished at a line in steady motion crossed it."""
        columns, gone = self._columns, sight.gone
        if not len(gone):
            return []
        reach_px = np.hypot(*sight.roster.velocity(gone).T) * REACH_S + sight.roster.last_size(gone)
        near = (np.abs(columns["across"][gone]) <= reach_px[:, np.newaxis]).any(axis=1)
        found = []
        for slot in gone[near & ~columns["inherited"][gone]].tolist():
            found.extend(self._vanished(slot, sight))
        columns.reset(gone)
        self._lately.extend(found)
        return found

    def _vanished(self, slot: int, sight: Sight) -> list[Crossing]:
        columns, motion = self._columns, self._motion(slot, sight)
        home = columns["home"][slot]
        going = motion.steady & (motion.speed * -home > 0) & (columns["depth"][slot] >= 1)
        left_s = np.where(going, -motion.last / np.where(going, motion.speed, 1.0), np.inf)
        hidden = sight.at.mono_s - motion.last_s > GOES_ON_S  # else it is still there: only the agent stops
        found = []
        for line in (left_s <= (GOES_ON_S if hidden else 0.0)).nonzero()[0].tolist():
            if left_s[line] > 0 and cut_by_edge(sight.roster.last_box(np.array([slot]))[0], sight.size):
                continue  # it left the picture before the line
            found.extend(self._once(line, -int(home[line]), slot, float(motion.last_s + left_s[line]), motion))
        return found

    def _motion(self, slot: int, sight: Sight) -> _Motion:
        """The straight motion of a track over its last sightings, the last one left out of the fit."""
        times, feet = sight.roster.recent(np.array([slot]))
        order = np.argsort(times[0])[: int(np.isfinite(times[0]).sum())]
        times, feet = times[0][order], feet[0][order]
        last_s = float(times[-1])
        lately = times >= last_s - STEADY_S
        times, feet = times[lately], feet[lately]
        across, along = self._project(feet)
        nothing = np.zeros(len(self._size))
        box = float(sight.roster.last_size(np.array([slot]))[0])
        if len(times) < STEADY_SIGHTINGS:
            return _Motion(last_s, across[-1], nothing, along[-1], nothing, nothing > 0, box)
        past_s = times - last_s
        design = np.stack([np.ones(len(past_s) - 1), past_s[:-1]], axis=1)
        fit = np.linalg.lstsq(design, np.concatenate([across[:-1], along[:-1]], axis=1), rcond=None)[0]
        count = len(self._size)
        speed, band = fit[1, :count], max(LEAST_BAND_PX, BAND * box)
        steady = (np.abs(across[-1] - fit[0, :count]) <= STEADY_BANDS * band) & (np.abs(speed) > band / GOES_ON_S)
        return _Motion(last_s, across[-1], speed, fit[0, count:], fit[1, count:], steady, box)

    def _once(self, line: int, toward: int, slot: int, at_s: float, motion: _Motion) -> list[Crossing]:
        """A crossing inferred from motion, unless it lies beside the line or was counted under another number."""
        along = float(motion.along[line] + motion.along_speed[line] * (at_s - motion.last_s))
        if not 0 <= along <= 1:
            return []
        reach = motion.box / self._size[line]
        for other in self._lately:
            same = other.line == line and other.toward == toward and other.slot != slot
            near = same and abs(other.mono_s - at_s) <= SAME_S and abs(other.along - along) <= reach
            if near and not self._together(slot, other.slot):
                return []
        return [Crossing(line, toward, slot, at_s, along)]

    def _lost(self, sight: Sight) -> Ints:
        """Slots of the tracks that are still remembered but not seen now, and that nobody goes on for."""
        known = np.isfinite(self._columns["seen_s"]) & ~self._columns["inherited"]
        known[sight.slots[sight.observed]] = False
        known[sight.gone] = False
        lost: Ints = known.nonzero()[0]
        return lost

    def _together(self, slot: int, other: int) -> bool:
        """Whether two tracks were seen side by side for so long that they can't be one thing under two numbers."""
        first_s, seen_s = self._columns["first_s"], self._columns["seen_s"]
        both_s = min(seen_s[slot], seen_s[other]) - max(first_s[slot], first_s[other])
        return bool(both_s > TOGETHER_S)

    def _meet(self, sight: Sight) -> None:
        """Begin with where a new track was detected first: what it crossed until it was confirmed counts too."""
        rows = (sight.fresh & (sight.first_s < sight.at.mono_s)).nonzero()[0]
        if not len(rows):
            return
        columns, slots, boxes = self._columns, sight.slots[rows], sight.first_boxes[rows]
        across, along = self._project(np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1))
        side = np.sign(across).astype(np.int8)
        columns["home"][slots] = columns["side"][slots] = side
        columns["seen"][slots] = side != 0
        columns["depth"][slots] = (
            np.abs(across) / np.maximum(LEAST_BAND_PX, BAND * np.sqrt(_areas(boxes)))[:, np.newaxis]
        )
        columns["anchor"][slots] = boxes[:, np.newaxis]
        columns["across"][slots], columns["along"][slots] = across, along
        columns["first_s"][slots] = columns["seen_s"][slots] = sight.first_s[rows]

    def _hand_over(self, sight: Sight) -> None:
        """Let a new track that appears beyond a line go on for the lost one that was about to cross it."""
        columns = self._columns
        for row, slot in (*sight.heirs, *hidden_heirs(sight, self._lost(sight))):
            across, _ = self._project(sight.feet[row : row + 1])
            home = columns["home"][slot]
            speed = cross(self._way, sight.roster.velocity(np.array([slot])))
            slow = np.abs(speed) / self._size <= CREEP * sight.scale[row]  # it waits: what trembles heads nowhere
            heading = (speed * -home > 0) | slow
            columns["inherited"][slot] = True
            if np.any((home != 0) & (np.sign(across[0]) != home) & heading):
                columns.move(np.array([slot]), sight.slots[row : row + 1])

    def _crossings(self, slots: Ints, crossed: Mask) -> list[Crossing]:
        columns = self._columns
        found = []
        for line, row in np.argwhere(crossed.T).tolist():
            slot = int(slots[row])
            toward = int(columns["side"][slot, line])
            columns["went"][slot, line] = toward
            passed_s, along = columns["passed_s"][slot, line], columns["passed_at"][slot, line]
            found.append(Crossing(line, toward, slot, float(passed_s), float(along)))
        self._lately.extend(found)
        return found

    def _project(self, feet: Array) -> tuple[Array, Array]:
        offset = feet[:, np.newaxis] - self._start
        along = (offset * self._way).sum(axis=2) / self._square
        across = (self._way[:, 0] * offset[..., 1] - self._way[:, 1] * offset[..., 0]) / self._size
        return across, along

    def _pass(self, slots: Ints, side: NDArray[np.int8], across: Array, along: Array, now_s: float) -> None:
        """Note who went through between the line's ends, and how fast everyone moves across it."""
        columns = self._columns
        old, old_along = columns["across"][slots], columns["along"][slots]
        then_s = columns["seen_s"][slots][:, np.newaxis]
        changed = columns["side"][slots] * side < 0
        span = np.where(changed, old - across, 1.0)
        part = np.where(changed, old / np.where(span == 0, 1.0, span), 0.0)
        where = old_along + part * (along - old_along)
        passed = changed & (where >= 0) & (where <= 1)
        columns["net"][slots] += np.where(passed, side, 0).astype(np.int8)
        columns["passed_s"][slots] = np.where(passed, then_s + part * (now_s - then_s), columns["passed_s"][slots])
        columns["passed_at"][slots] = np.where(passed, where, columns["passed_at"][slots])
        passed_s = now_s - then_s
        step = np.where(passed_s > 0, (across - old) / np.where(passed_s > 0, passed_s, 1.0), 0.0)
        columns["step"][slots] = step

    def _settle(self, slots: Ints, side: NDArray[np.int8], ratio: Array, boxes: Array) -> Mask:
        """Move the home of those who are settled on a new side; returns which of these crossed, shape (n, m)."""
        columns = self._columns
        home, depth, net = columns["home"][slots], columns["depth"][slots], columns["net"][slots]
        new = (home == 0) & (side != 0)
        at_home = side == home
        deep = at_home & (ratio >= 1)
        away = (side == -home) & (home != 0) & (ratio >= 1) & (ratio + np.minimum(depth, DEPTH_BANDS) >= SWING_BANDS)
        away &= self._really_moved(columns["anchor"][slots], boxes)
        beyond = np.where(away, columns["beyond"][slots] + 1, 0).astype(np.int8)
        moved = beyond >= SIGHTINGS
        # One sighting at home may be a false one, unless it goes on the way it came.
        goes_on = columns["step"][slots] * side > CREEP * np.sqrt(_areas(boxes))[:, np.newaxis]
        crossed: Mask = moved & (net * side > 0) & ((columns["seen"][slots] >= SIGHTINGS) | goes_on)
        settled = new | deep | moved
        columns["home"][slots] = np.where(new | moved, side, home)
        columns["depth"][slots] = np.where(new | moved, ratio, np.where(at_home, np.maximum(depth, ratio), depth))
        columns["net"][slots] = np.where(settled, 0, net)
        columns["beyond"][slots] = np.where(moved, 0, beyond)
        columns["seen"][slots] = np.where(moved, SIGHTINGS, np.where(new, 1, columns["seen"][slots]))
        columns["anchor"][slots] = np.where(settled[..., np.newaxis], boxes[:, np.newaxis], columns["anchor"][slots])
        return crossed

    @staticmethod
    def _really_moved(anchor: Array, boxes: Array) -> Mask:
        """Whether the box moved since it was last settled, rather than being covered or stretched.

        Something half hidden moves one edge; something stretched by a neighbour moves two apart and its middle not
        at all. What drives moves its middle and two edges, or, coming straight at the camera, three.
        """
        shift = boxes[:, np.newaxis] - anchor
        x, y = (shift[..., 0] + shift[..., 2]) / 2, (shift[..., 1] + shift[..., 3]) / 2
        least = MOVED_SHARE * np.maximum(np.abs(x), np.abs(shift[..., 3]))
        edges = np.count_nonzero(np.abs(shift) >= least[..., np.newaxis], axis=2)
        middle = np.maximum(np.abs(x), np.abs(y)) >= least
        moved: Mask = (edges >= 3) | ((edges == 2) & middle)
        return moved


def _areas(boxes: Array) -> Array:
    """The areas of boxes, shape (..., 4), at least one square pixel."""
    area: Array = np.maximum((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]), 1.0)
    return area
