"""Protected regions that can't be judged: too small, outside the picture, or of a shape that is none.

Works on the configuration alone, and better where the size of the source's pictures is known. Opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.fault import Path
from agent.config.schema import Camera, ProtectedRegion
from agent.ops.findings import Finding, Level
from agent.scene import geometry
from agent.scene.carry import MOST_HIDDEN, hidden_share
from agent.scene.geometry import Array
from agent.scene.judgeable import LARGER, LEAST_SIDE_PX, LEAST_WIDTH_PX, is_too_small, width_px
from agent.scene.rule import Setting


def check_protected(camera: Camera, where: Path, size: tuple[int, int]) -> Iterator[Finding]:
    """Everything wrong with a camera's protected regions, in pictures of a size (width, height)."""
    setting = Setting("", camera)
    for number, region in enumerate(camera.protected):
        path = (*where, "protected", number, "polygon")
        yield from _check_region(region, setting.pixels(region.polygon, size), path, size)


def _check_region(region: ProtectedRegion, outline: Array, path: Path, size: tuple[int, int]) -> Iterator[Finding]:
    name = f"protected region {region.name}"
    crossing = geometry.crossing_edges(outline / size)
    if crossing is not None and crossing[0] == crossing[1]:
        wrong = f"{name} names the same corner twice (corner {crossing[0] + 1})"
        yield Finding(Level.ERROR, path, wrong, "delete one of them")
        return
    if crossing is not None:
        wrong = f"{name}: the edge from corner {crossing[0] + 1} meets the edge from corner {crossing[1] + 1}"
        yield Finding(Level.ERROR, path, wrong, "list the corners in order around it, each once")
        return
    hidden = hidden_share(outline / size)
    if hidden > MOST_HIDDEN:
        wrong = f"{hidden:.0%} of {name} lies outside the picture"
        yield Finding(Level.ERROR, path, wrong, "draw it around what the camera sees")
        return
    if is_too_small(outline):
        wrong = (
            f"{name} is too small to be judged: some {width_px(outline):.0f} x {geometry.extent(outline):.0f} px "
            f"of a picture of {size[0]}x{size[1]}"
        )
        hint = f"it needs an area of {LEAST_SIDE_PX:.0f} x {LEAST_SIDE_PX:.0f} px and {LEAST_WIDTH_PX:.0f} px each way"
        yield Finding(Level.ERROR, path, wrong, f"{hint}; {LARGER}")
