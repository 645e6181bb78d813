"""What is different between how a region is remembered and how it looks: its structure and its colour, not its light.

Light is taken out first: the difference of logarithms, smoothed by a median that keeps steps, is what light and shadow
could have done, as long as it has no colour, is no darker than a shadow gets, and no island of its own. What is left is
a change of the thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import cv2
import numpy as np

from agent.values import Bools
from agent.vision.islands import Relit, things
from agent.vision.patch import OFFSET, WINDOW_PX, Map, Patch, energy, slopes, windowed

LIGHT_PX: Final = 9
"""Side of the median: a step between sun and shade keeps its place, a texture finer than half of this doesn't."""
DARKEST: Final = 0.95
"""A shadow lowers the logarithm of grey by no more (to 39 %), and its end raises it by no more."""
COLOURED: Final = 0.12
"""Colour ratios that changed by more are no shadow: some 13 %, with what the whole picture changed taken off …"""
SKY: Final = 0.3
"""… and up to so much of blue and against red in the shade, lit by the sky, or the other way in the sun …"""
TINT: Final = (0.1, 0.3)
"""… but no more than so much, and so much more for each unit of the logarithm that it is darker or brighter: what has
lost little of the sun can't have the colour of the sky alone."""
NOISE: Final = 4e-4
"""Structure weaker than this, squared gradient of the logarithm, is noise and compression."""
SHOWN: Final = 2.0
"""Structure that would be weaker than this in the present light, grey levels a pixel, may be lost by compression."""
SURE: Final = 4.0
"""Structure counts when it is this many times as strong as noise and what this place usually varies by."""
LOST: Final = 0.4
"""Structure is lost where less than this share of it is still there."""
NEW: Final = 0.55
"""Structure is new where the difference holds more than this share of all that is there."""
FEWEST_PX: Final = 30
"""Fewer pixels beside a region tell no light; then all of the patch does."""


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Where a patch differs from the memory; maps are of the patch's shape.

    Attributes:
        changed: bool: any change but of light, without specks.
        lost: bool: the structure that was there is gone, even where light could have made it.
        gone: bool: the structure that was there is gone, or was the edge of a shadow that is.
        known: bool: there was structure to lose.
        new: bool: there is structure that was not.
        coloured: bool: the colour is another, or no light is so dark, so bright or so shaped.
        structure: float32: how much structure differs, for learning what is usual.
        level: How much brighter or darker the light as a whole is, as a logarithm.
    """

    changed: Bools
    lost: Bools
    gone: Bools
    known: Bools
    new: Bools
    coloured: Bools
    structure: Map
    level: float


def differ(patch: Patch, grey: Map, colour: Map, usual: Map, level: Bools) -> Difference:
    """Compare a patch with a memory.

    Args:
        patch: As it looks now.
        grey: The remembered logarithm of grey.
        colour: The remembered blue, green and red.
        usual: How much the structure of each place differs on an ordinary day.
        level: What can be seen beside the region; its median change is that of the light as a whole.
    """
    step = patch.grey - grey
    whole = _whole(step, level)
    coarse, blue, red = _coloured(patch.colour, colour, level[::2, ::2])
    light = _light(step - whole)
    then, raw = slopes(grey), slopes(patch.grey)
    before, left = energy(then), windowed(then[0] * raw[0] + then[1] * raw[1])
    noise = NOISE + usual
    known = before > SURE * noise
    gone = known & (left < LOST * before)
    sharper = _strength(raw) - _strength(then)
    shows = known[::2, ::2] & (before[::2, ::2] * np.exp(2 * patch.grey[::2, ::2]) > SHOWN**2)
    coarse |= things(Relit(light[::2, ::2], blue, red, sharper, shows, gone[::2, ::2]))
    height, width = grey.shape
    coloured = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    far = np.abs(light) > DARKEST
    kept = np.where(coloured | far, 0, light).astype(np.float32) + whole
    relit = cast("Map", patch.grey - kept)
    now, apart = slopes(relit), slopes(relit - grey)
    after, between = energy(now), energy(apart)
    lost = known & (windowed(then[0] * now[0] + then[1] * now[1]) < LOST * before)
    new = (between > SURE * noise) & (between > NEW * (before + after))
    new &= after > before
    coloured |= far
    return Difference(_solid(lost | new | coloured), lost, gone, known, new, coloured, between, float(whole))


def _strength(lines: tuple[Map, Map]) -> Map:
    """Of structure at each second pixel each way."""
    return cast("Map", sum(each[::2, ::2] * each[::2, ::2] for each in lines))


def _light(step: Map) -> Map:
    """What of a change of the logarithm could be light: smooth but for steps."""
    scaled = np.clip(step * 64 + 128, 0, 255).astype(np.uint8)
    return cast("Map", (cv2.medianBlur(scaled, LIGHT_PX).astype(np.float32) - 128) / np.float32(64))


def _whole(values: Map, level: Bools) -> np.float32:
    """The median of what is beside a region, where enough of that is seen."""
    seen = values[level]
    seen = seen if len(seen) > FEWEST_PX else values.ravel()
    half = len(seen) // 2
    low, high = np.partition(seen, (half - 1, half))[half - 1 : half + 1]  # np.median asks three times as long
    return np.float32(high if len(seen) % 2 else (low + high) / 2)


def _coloured(now: Map, then: Map, level: Bools) -> tuple[Bools, Map, Map]:
    """Where the colour is another than the remembered one would be in this light, and how much bluer and redder it is.

    Maps are of the colours' shape.
    """
    planes, old = cv2.split(now), cv2.split(then)
    gain = np.clip((planes[0] + planes[1] + planes[2]) / (old[0] + old[1] + old[2] + 1), 0.2, 5.0)
    logs = [_log(plane) - _log(np.minimum(before * gain, 255)) for plane, before in zip(planes, old, strict=True)]
    blue, red = logs[0] - logs[1], logs[2] - logs[1]
    blue, red = blue - _whole(blue, level), red - _whole(red, level)
    # Bluer where darker, redder where brighter, is what lies between sun and shade.
    blueness = (blue - red) / 2
    deeper = cast("Map", cv2.log(_whole(gain, level) / gain))
    most = np.minimum(SKY, TINT[0] + TINT[1] * np.abs(deeper))
    sky = np.where(deeper > 0, np.clip(blueness, 0, most), np.clip(blueness, -most, 0))
    other = np.maximum(np.abs(blue - sky), np.abs(red + sky)) > COLOURED
    solid: Any = cv2.medianBlur(other.astype(np.uint8), 3)
    return cast("Bools", solid > 0), blue, red


def _log(colour: Any) -> Map:
    return cast("Map", cv2.log(colour + np.float32(OFFSET)))


def _solid(changed: Bools) -> Bools:
    """Without specks and thin lines, and without holes of that size."""
    plain = changed.astype(np.uint8)
    closed = cv2.morphologyEx(plain, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    opened: Any = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((WINDOW_PX - 2, WINDOW_PX - 2), np.uint8))
    return cast("Bools", opened > 0)
