"""Whether a protected region shows enough, in pictures of a size, for a change of it to be told."""

from __future__ import annotations

from typing import Final

import numpy as np

from agent.scene import geometry
from agent.scene.geometry import Array

LEAST_SIDE_PX: Final = 24.0
"""Square root of a region's area in the picture: below this it shows too little to tell a change from noise."""
LEAST_WIDTH_PX: Final = 8.0
"""A lamp post may be thin, but not thinner."""
LARGER: Final = "draw it larger, use a larger stream of the camera, or one that stands nearer"
"""What to do about it."""


def is_too_small(outline: Array) -> bool:
    """Whether a region, by its outline in pixels, shows too little."""
    return float(np.sqrt(geometry.area(outline))) < LEAST_SIDE_PX or width_px(outline) < LEAST_WIDTH_PX


def width_px(outline: Array) -> float:
    """How wide it is across its longest extent, on average."""
    return geometry.area(outline) / max(geometry.extent(outline), 1.0)
