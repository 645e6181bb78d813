"""Judges whether a camera still shows what it was set up to show: covered, sprayed, defocused, turned, blinded, dark.

It learns how the view looks and compares edges cell by cell: edges stay where they are through changes of light, at
night, in rain, and when a camera changes to infrared. What is in front of the view for a while, vehicles above all,
is excused. Something must go on for some seconds before it is said, and before it is taken back. Pure: the same looks
at the same times give the same judgements.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast

import cv2
import numpy as np

from agent.values import Bools, Floats
from agent.vision.displaced import aligned, displacement, moved_back
from agent.vision.look import COARSE_PX, Look, Map, by_cell, edges

Cause: TypeAlias = Literal["covered", "sprayed", "defocused", "turned", "blinded", "dark"]

EVERY_S: Final = 1.0
"""How often a look is needed; more are not better."""
ENTER_S: Final = 4.0
"""How long something must go on before it is said, and three quarters of this before it is taken back."""
PART_ENTER_S: Final = 45.0
"""The same where only a part of the view is lost: a lorry at a red light stands no longer than this."""
LEAST_LOOKS: Final = 5
"""How often a view must have been seen before another can be told from it."""
FIRST_LOOKS: Final = 12
"""So many first looks are remembered by their median, which passers-by leave no trace in."""
STEP: Final = 6.0
"""Later the memory follows a pixel by no more than this, grey levels, beyond what the whole picture changed."""
SLOW_S: Final = 120.0
"""The memory of the view follows what changes in it with this time constant."""
ACCEPT_S: Final = 12 * 3600.0
"""A view that stays changed for so long is the camera's new view; not one that was turned away: its lines lie
elsewhere, so somebody must say that they hold."""
TEXTURE: Final = 1.2
"""A cell can be recognised when its remembered edges are this strong, grey levels per pixel, root mean square."""
FEWEST_CELLS: Final = 10
"""With fewer recognisable cells nothing is said about edges."""
LOST: Final = 0.45
"""A cell is lost when its edges correlate less than this with those remembered."""
FADED: Final = 0.12
"""… or when this share or less of their strength is left beyond what the whole picture lost."""
MOST: Final = 0.8
"""Share of recognisable cells that must be lost for the view as a whole to be lost."""
PART: Final = 0.5
"""Share for a part of it."""
SOME: Final = 0.3
"""Share from which it is tried whether what is lost is seen elsewhere: turned along a straight road, little is lost."""
FOUND: Final = 0.6
"""Share of what should still be in the picture that must be found at its new place. …"""
LIKELY: Final = 0.8
"""… A cell whose edges correlate so well with those remembered is likely the same, …"""
GAINED: Final = 1.5
"""… and of such there must be so many times more than at their old place: before rows of like lines, a queue of
vehicles looks as if they had moved by a row."""
SURE: Final = 0.9
"""A cell whose edges correlate so well with those remembered has not moved."""
KEPT: Final = 0.02
"""With this share of cells that have not moved, no camera was turned, whatever else is lost: things stand before it."""
SOFT: Final = 0.4
"""Fine detail, relative to edges, fallen to this share is a lens out of focus."""
DARK: Final = 20.0
"""A picture darker than this, grey levels, …"""
FLAT: Final = 14.0
"""… with less contrast than this shows nothing."""
SUDDEN: Final = 0.5
"""Night falls slowly; a camera that loses this share of its brightness within :data:`SUDDEN_S` was darkened."""
SUDDEN_S: Final = 20.0
GLARE: Final = 0.45
"""Share of saturated pixels in a blinded picture."""
GREY: Final = 1.5
"""Colourfulness below which a picture is taken as infrared."""
COLOUR: Final = 4.0
"""Colourfulness above which it is surely not."""
SHAKE_PX: Final = 4.0
"""A view that moved by no more, at the coarse width, is the same view on a shaking pole."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a view: a cause and how sure, or neither.

    Attributes:
        cause: ``None`` when all is well.
        share: Share of the view that is affected, 0 to 1.
        night: It is too dark to see anything, and became so slowly: nobody's doing.
    """

    cause: Cause | None = None
    share: float = 0.0
    night: bool = False


CLEAR: Final = Judgement()


@dataclass(slots=True, eq=False)
class _Memory:
    """How the view looks: its grey picture, its fine detail, and the first looks it was learnt from."""

    grey: Map
    fine: Map
    colourfulness: float
    first: list[Look]
    lines: tuple[Map, Map] = field(init=False)
    strength: Map = field(init=False)

    def __post_init__(self) -> None:
        self._refresh()

    @classmethod
    def of(cls, look: Look) -> _Memory:
        """A memory that begins with one look."""
        return cls(look.grey.copy(), look.fine.copy(), look.colourfulness, [look])

    def learn(self, look: Look, share: float) -> None:
        """Become a little more like a look that shows the view."""
        if len(self.first) < FIRST_LOOKS:
            self.first.append(look)
            self.grey = cast("Map", np.median([each.grey for each in self.first], axis=0).astype(np.float32))
            self.fine = cast("Map", np.median([each.fine for each in self.first], axis=0).astype(np.float32))
        else:
            change = look.grey - self.grey
            whole = np.median(change[::3, ::3])
            self.grey += share * (whole + np.clip(change - whole, -STEP, STEP))
            self.fine += share * np.clip(look.fine - self.fine, -0.5 * self.fine, 0.5 * self.fine + 0.1)
        self.colourfulness += max(share, 1 / len(self.first)) * (look.colourfulness - self.colourfulness)
        self._refresh()

    def _refresh(self) -> None:
        """Work out the edges again after the grey picture changed."""
        self.lines = edges(self.grey)
        self.strength = by_cell(self.lines[0] ** 2 + self.lines[1] ** 2)


class TamperJudge:
    """Watches the view of one camera."""

    def __init__(self) -> None:
        self._memory: _Memory | None = None
        self._last_s: float | None = None
        self._score_s = 0.0
        self._whole_s = 0.0  # the part of it in which the view as a whole was lost
        self._said = CLEAR
        self._since_s = 0.0
        self._night_s = 0.0
        self._bright: list[tuple[float, float, float]] = []

    def recall(self, view: Look) -> None:
        """Go on from a view that was kept, as if it had been seen all the while."""
        memory = _Memory.of(view)
        memory.first = [view] * FIRST_LOOKS
        self._memory = memory

    def forget(self) -> None:
        """What is shown from now on is the view."""
        self._memory, self._said, self._score_s, self._whole_s = None, CLEAR, 0.0, 0.0

    def view(self) -> Look | None:
        """The view as it is remembered, for keeping; ``None`` before enough was seen of it."""
        memory = self._memory
        if memory is None or len(memory.first) < FIRST_LOOKS:
            return None
        return Look(memory.grey, memory.fine, memory.colourfulness, 0.0)

    def due(self, now_s: float) -> bool:
        """Whether it is time for another look."""
        return self._last_s is None or now_s - self._last_s >= EVERY_S * 0.9 or now_s < self._last_s

    def judge(self, look: Look, now_s: float, boxes: Floats | None = None) -> Judgement:
        """Take in one look.

        Args:
            look: At the picture of this moment.
            now_s: Monotonic seconds.
            boxes: float32, shape (n, 4): what stands in the picture, relative to it, 0 to 1; it is no tampering.
        """
        passed_s = EVERY_S if self._last_s is None else min(2.0, max(0.0, now_s - self._last_s))
        self._last_s = now_s
        memory = self._memory
        if memory is None or memory.grey.shape != look.grey.shape:
            self._memory = _Memory.of(look)
            return self._said
        self._note_brightness(look, now_s)
        found = self._compare(look, memory, boxes)
        if found.cause is None:
            memory.learn(look, passed_s / SLOW_S)
        elif self._is_new_mode(look, memory):
            self._memory, found = _Memory.of(look), CLEAR
        return self._persist(found, passed_s, now_s, look)

    def _compare(self, look: Look, memory: _Memory, boxes: Floats | None) -> Judgement:
        """What this look alone says."""
        if look.brightness < DARK and look.contrast < FLAT:
            fell = self._fell()
            return Judgement("dark" if fell else None, 1.0, night=not fell)
        if len(memory.first) < LEAST_LOOKS:
            return CLEAR
        usable = (memory.strength >= TEXTURE**2) & ~_covered_by(boxes, memory.strength.shape)
        if usable.sum() < FEWEST_CELLS:
            return self._without_edges(look, memory)
        return _by_cells(look, memory, usable)

    def _without_edges(self, look: Look, memory: _Memory) -> Judgement:
        """A view with next to no edges can only become evenly bright or lose all contrast at once."""
        before = float(np.ptp(np.percentile(memory.grey, (5, 95))))
        if look.saturated >= 2 * GLARE:
            return Judgement("blinded", 1.0)
        return Judgement("covered", 1.0) if look.contrast < FLAT / 2 and before > 3 * FLAT else CLEAR

    def _is_new_mode(self, look: Look, memory: _Memory) -> bool:
        """Whether a camera just changed between colour and infrared: the view is the same though its greys differ."""
        less, more = sorted((look.colourfulness, memory.colourfulness))
        if less > GREY or more < COLOUR or look.contrast < 2 * FLAT:
            return False
        now, then = edges(look.grey), memory.lines
        known = memory.strength >= TEXTURE**2
        alive = by_cell(now[0] ** 2 + now[1] ** 2)[known] > 0.05 * memory.strength[known]
        return bool(alive.mean() > MOST) and _likeness(np.hypot(*now), np.hypot(*then)) > 0.35

    def _persist(self, found: Judgement, passed_s: float, now_s: float, look: Look) -> Judgement:
        """Say what goes on for long enough; take it back when it is over for long enough."""
        whole = found.cause not in {None, "sprayed"}
        if found.cause is None:
            self._score_s = max(0.0, self._score_s - passed_s * (4 / 3 if self._said.cause else 2))
            self._whole_s = max(0.0, self._whole_s - passed_s * 2)
        else:
            limit_s = max(self._score_s, ENTER_S if self._said.cause else PART_ENTER_S)
            self._score_s = min(limit_s, self._score_s + passed_s)
            self._whole_s = min(ENTER_S, self._whole_s + passed_s * whole)
        enough = self._whole_s >= ENTER_S if whole else self._score_s >= PART_ENTER_S
        if self._said.cause is None and found.cause is not None and enough:
            self._said, self._score_s, self._since_s = found, ENTER_S, now_s
        elif self._said.cause is not None and self._score_s <= 0:
            self._said = CLEAR
        elif self._said.cause not in {None, "turned"} and now_s - self._since_s > ACCEPT_S and look.contrast > FLAT:
            self.forget()
        self._night_s = self._night_s + passed_s if found.night else 0.0
        night = self._night_s >= ENTER_S
        return Judgement(night=night) if self._said.cause is None else self._said

    def _note_brightness(self, look: Look, now_s: float) -> None:
        self._bright = [kept for kept in self._bright if 0 <= now_s - kept[0] <= SUDDEN_S]
        self._bright.append((now_s, look.brightness, look.contrast))

    def _fell(self) -> bool:
        """Whether a picture that showed something darkened suddenly, or it was said already that it did."""
        was_clear = any(contrast >= 2.5 * FLAT for _, _, contrast in self._bright)
        brightest = max(level for _, level, _ in self._bright)
        return self._said.cause == "dark" or (was_clear and self._bright[-1][1] < (1 - SUDDEN) * brightest)


def _covered_by(boxes: Floats | None, shape: tuple[int, ...]) -> Bools:
    """Cells whose centre lies in a box."""
    rows, columns = shape
    y = ((np.arange(rows) + 0.5) / rows)[:, np.newaxis, np.newaxis]
    x = ((np.arange(columns) + 0.5) / columns)[np.newaxis, :, np.newaxis]
    left, top, right, bottom = np.zeros((4, 0)) if boxes is None else boxes.T.astype(np.float64)
    inside: Bools = ((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).any(axis=2)
    return inside


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """How the remembered edges fare, cell by cell: correlation with those of now, -1 to 1, and how strong those are."""

    alike: Map
    strength: Map

    @property
    def lost(self) -> Bools:
        """Which no longer show their edges."""
        return self.alike < LOST

    @classmethod
    def of(cls, grey: Map, memory: _Memory) -> _Cells:
        """Of a picture."""
        now_x, now_y = edges(grey)
        then_x, then_y = memory.lines
        strength = by_cell(now_x**2 + now_y**2)
        both = by_cell(now_x * then_x + now_y * then_y)
        alike = both / np.sqrt(np.maximum(strength * memory.strength, 1e-6))
        alike[strength < FADED**2 * memory.strength] = 0.0
        return cls(alike, strength)


def _by_cells(look: Look, memory: _Memory, usable: Bools) -> Judgement:
    """What the cells that can be recognised say."""
    cells = _Cells.of(look.grey, memory)
    share = float(cells.lost[usable].mean())
    if share >= PART and (steadied := aligned(look.grey, memory.grey, SHAKE_PX)) is not None:
        cells = _Cells.of(steadied, memory)
        share = float(cells.lost[usable].mean())
    if share >= SOME and _is_elsewhere(look.grey, memory, usable):
        return Judgement("turned", share)
    if _is_soft(look, memory, cells.strength, usable, share):
        return Judgement("defocused", 1.0)
    if share < PART:
        return CLEAR
    return _hidden(look, memory, cells, usable)


def _hidden(look: Look, memory: _Memory, cells: _Cells, usable: Bools) -> Judgement:
    """What it means that half of the view or more is not to be seen."""
    share = float(cells.lost[usable].mean())
    if look.saturated >= GLARE:
        return Judgement("blinded", share)
    left = float(cells.strength[usable].sum() / memory.strength[usable].sum())
    if share >= MOST and left < 0.3:
        return Judgement("covered", share)
    if share >= MOST and float((cells.alike[usable] > SURE).mean()) < KEPT:
        return Judgement("turned", share)
    gone = usable & cells.lost
    plain = float(np.median(cells.strength[gone] / memory.strength[gone])) < 0.35
    return Judgement("sprayed", share) if plain else CLEAR


def _is_elsewhere(grey: Map, memory: _Memory, usable: Bools) -> bool:
    """Whether the remembered view is still seen, but not where it was."""
    right, down = displacement(memory.lines, edges(grey))
    if max(abs(right), abs(down)) <= SHAKE_PX:
        return False
    inside = by_cell(moved_back(np.ones_like(grey), right, down, cv2.BORDER_CONSTANT)) > 0.95
    still_seen = usable & inside
    if still_seen.sum() < FEWEST_CELLS:
        return False
    there = _Cells.of(moved_back(grey, right, down), memory)
    moved = int((there.alike[still_seen] > LIKELY).sum())
    stayed = int((_Cells.of(grey, memory).alike[usable] > LIKELY).sum())
    return float(there.lost[still_seen].mean()) <= 1 - FOUND and moved >= GAINED * max(1, stayed)


def _is_soft(look: Look, memory: _Memory, strength: Map, usable: Bools, lost_share: float) -> bool:
    """Whether the picture is the remembered one without its fine detail."""
    detailed = usable & (memory.fine > 1.0)
    if detailed.sum() < FEWEST_CELLS:
        return False
    fine_left = look.fine[detailed] / memory.fine[detailed]
    edges_left = strength[detailed] / memory.strength[detailed]
    middle, upper = np.percentile(fine_left, (50, 75))
    if middle > SOFT * min(1.0, float(np.median(edges_left)) + 0.05) or upper > 1.5 * SOFT:
        return False  # the second: a lens is out of focus everywhere, paint is not
    half = (COARSE_PX // 4, look.grey.shape[0] // 4)
    now, then = (cast("Map", cv2.resize(each, half, interpolation=cv2.INTER_AREA)) for each in (look.grey, memory.grey))
    return _likeness(now, then) > 0.7 or (lost_share < MOST and _likeness(*_undisturbed(now, then)) > 0.9)


def _undisturbed(now: Map, then: Map) -> tuple[Map, Map]:
    """Of two pictures, the three quarters of pixels that changed least: a few large vehicles are in the rest."""
    change = now - then
    change = np.abs(change - np.median(change))
    kept = change <= np.quantile(change, 0.75)
    return cast("Map", now[kept]), cast("Map", then[kept])


def _likeness(one: Map, other: Map) -> float:
    """Correlation of two pictures, -1 to 1."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(1e-6, float(np.sqrt((a * a).sum() * (b * b).sum()))))
