"""Tells a thing of one grey from a shadow on ground of one grey, by what lies all around it.

Looked at are islands in a change of light: places that stand out from every way between them and the border. A shadow
only takes light away, so a brighter island is a thing. A darker one is a thing when it hides the ground, which shows
through a shadow, or is no even shade: inside a shadow the light depends on nothing but how far in from its outline one
is, and its colour is that of the sky.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np

from agent.values import Bools
from agent.vision.patch import Map

HEIGHT: Final = 0.12
"""An island stands out by so much somewhere, as a logarithm: eight times what noise leaves after the median …"""
EXTENT: Final = 0.08
"""… and goes as far as it stands out by so much: less is enough beside a place that is sure."""
FEWEST_PX: Final = 9
"""Smaller islands, at half the patch's size, tell nothing: some 1 % of a region."""
DEEP_PX: Final = 3
"""The shading of a darker one that is nowhere so far from its outline tells nothing: all of it may be penumbra."""
SHADED: Final = (0.08, 0.19)
"""Shading of a thing, the standard deviation of light from its median at the same distance from the outline: so much at
least, and so much of the island's height. Drawn shadows, small enough to be islands, reached 0.06 and 0.14: softness
rounds their corners, and two kinds of ground do not darken quite alike (``OFFSET``, what is bleached by the sun)."""
TINTED: Final = 0.08
"""Colour of a thing, its median beside grey and beside the sky's: those shadows' reached 0.06. The median of a
whole island is surer than a pixel, so it is less than ``COLOURED``."""
TINT: Final = (0.05, 0.3)
"""How much bluer and less red the sky may make a shadow: so much, and so much more for each unit of its depth."""
HIDES: Final = 0.6
"""A darker island is a thing when so much of the structure that should show within it is gone, of at least …"""
FEWEST_SHOWN_PX: Final = 12
"""… so many places. Things drawn on paving had 0.85 in the median; three of four looks at small drawn shadows had
nothing, and none that stood kept more for long: noise in the dark, and who passes, hide the ground for seconds."""
_STEPS: Final = 128.0
"""Grey levels for a unit of the logarithm: noise is about one, and what is cut off is beyond any shadow."""


@dataclass(frozen=True, slots=True, eq=False)
class Relit:
    """A change that could be light; all maps are of one shape, half the patch's.

    Attributes:
        light: float32: what of the change of grey could be light, as a logarithm.
        blue: float32: how much bluer it is, as a logarithm of the ratio to green, but for the light as a whole.
        red: float32: the same of red.
        sharper: float32: how much more structure there is than there was.
        shows: bool: there was structure, and light as it is now would still show it.
        gone: bool: it is gone.
    """

    light: Map
    blue: Map
    red: Map
    sharper: Map
    shows: Bools
    gone: Bools


def things(relit: Relit) -> Bools:
    """Where what could be light is a thing; of the maps' shape."""
    found = np.zeros(relit.light.shape, np.bool_)
    if float(np.ptp(relit.light)) <= HEIGHT:
        return found
    level = np.clip(relit.light * _STEPS + 128, 0, 255).astype(np.uint8)
    for here, _ in _islands(level, relit):
        found |= here
    for here, height in _islands(255 - level, relit):
        if _is_thing(here, height, relit):
            found |= here
    return found


def _islands(level: Any, relit: Relit) -> list[tuple[Bools, float]]:
    """Each island of bright level, whose outline was not there before, and how high it is."""
    above = _above(level)
    if int(above.max()) <= HEIGHT * _STEPS:
        return []
    high = (above > EXTENT * _STEPS).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(high)
    found = []
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < FEWEST_PX:
            continue
        here = labels == label
        top = float(above[here].max()) / _STEPS
        if top <= HEIGHT:
            continue
        plain = here.astype(np.uint8)
        outline = cv2.morphologyEx(plain, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
        if float(relit.sharper[outline].mean()) > 0:  # what was taken away leaves an island too, and no outline
            found.append((here, top))
    return found


def _above(level: Any) -> Any:
    """By how much each place is higher than the lowest that must be passed on the best way to the border.

    Only where that is of use: with no place higher than an island must be, it is no more than an upper bound.
    """
    ways = (level, level[::-1], level.T, level.T[::-1])
    down, up, right, left = (np.minimum.accumulate(way) for way in ways)
    reached: Any = np.maximum(np.maximum(down, up[::-1]), np.maximum(right, left[::-1]).T)  # straight ways first
    kernel, grown = np.ones((3, 3), np.uint8), np.empty_like(level)
    while int((level - reached).max()) > HEIGHT * _STEPS:
        before = reached.copy()
        for _ in range(6):
            cv2.dilate(reached, kernel, grown)
            cv2.min(grown, level, reached)
        if np.array_equal(before, reached):
            break
    return level - reached


def _is_thing(here: Bools, height: float, relit: Relit) -> bool:
    """Whether a darker island hides what lay under it, or has another shading or another colour than a shadow."""
    inwards = cv2.distanceTransform(np.pad(here.astype(np.uint8), 1), cv2.DIST_C, 3)[1:-1, 1:-1]
    within = inwards > 1
    shown = int((within & relit.shows).sum())
    if shown >= FEWEST_SHOWN_PX and int((within & relit.shows & relit.gone).sum()) >= HIDES * shown:
        return True
    shading = 0.0
    if float(inwards.max()) >= DEEP_PX:
        inner = [relit.light[here & ring] for ring in ((inwards == 2), (inwards == 3), (inwards > 3))]
        apart = np.concatenate([values - np.median(values) for values in inner if len(values)])
        shading = float(apart.std()) / max(SHADED[0], SHADED[1] * height)
    blue, red = float(np.median(relit.blue[here])), float(np.median(relit.red[here]))
    sky = min(max(0.0, (blue - red) / 2), TINT[0] + TINT[1] * height)
    tint = max(abs(blue - sky), abs(red + sky)) / TINTED
    return bool(np.hypot(shading, tint) > 1)
