"""People too small for one look: mosaics of vtest.avi's moments, counted by tracks and by the second look in tiles."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.clock import Instant
from agent.scene import geometry
from agent.values import Floats, Frame, Image, RoadUser
from agent.vision.farsight import FarSight
from agent.vision.tracker import Tracker
from tests.security import charts
from tests.security.bench import VIDEO, VTEST, Bench
from tests.security.section import Figure, Picture, Section

WIDTH_PX: Final = 1920
HEIGHT_PX: Final = 1080
SIDES: Final = (2, 3, 4)
"""Mosaics of two by two, three by three … moments; the more, the smaller the people."""
STEPS: Final = 24
"""Frames before a moment, a tenth of a second apart: enough for tracks and for three second looks."""
Moments = list[tuple[int, int]]
Counted = dict[str, dict[int, float]]


def measure(bench: Bench) -> Section:
    """Mean absolute error of people in one cell's zone, by mosaic and by way of counting."""
    truth = next(
        video
        for video in json.loads((VIDEO / "counts.json").read_text())["videos"]
        if video["file"].endswith("vtest.avi")
    )
    moments = [(int(each["frame"]), int(each["count"])) for each in truth["zone_counts"]]
    if bench.quick:
        moments = moments[::4]
    errors: Counted = {"tracks": {}, "tiles": {}}
    rows, tiles = [("mosaic", "median height in the model's input, px", "tiles", "by tracks", "by tiles")], {}
    work = {f"{side} {len(moments)}": functools.partial(_mosaic, bench, truth, moments, side) for side in SIDES}
    told = bench.pieces("far_crowd").each("far_crowd", work)
    for side in SIDES:
        said, px, tiles[side] = told[f"{side} {len(moments)}"]
        for way, off in said.items():
            errors[way][side] = float(np.mean(np.abs(off)))
        by = (f"{errors[way][side]:.2f}" for way in errors)
        rows.append((f"{side} x {side}", f"{px:.0f}", f"{tiles[side]:.1f}", *by))
    what = "people 57 px high in 1920 x 1080 px, by tiles, mean absolute error"
    charts.curves(
        bench.out / "far_crowd.png",
        "People who are far away",
        ("moments in a row of the mosaic", "mean absolute error"),
        {way: (list(SIDES), [errors[way][side] for side in SIDES]) for way in errors},
    )
    return Section(
        "People far away",
        (Figure(what, errors["tiles"][3], 1.5, 0.8, small_is_good=True),),
        text=f"vtest.avi shrunk into mosaics of {WIDTH_PX} x {HEIGHT_PX} px; {len(moments)} moments counted by eye, "
        "at another time in each cell. The agent chose by itself whether and how to look again.",
        details=tuple(rows),
        pictures=(Picture("far_crowd.png", "Error against distance"),),
        data={"errors": errors, "tiles": tiles},
    )


def _mosaic(
    bench: Bench, truth: Mapping[str, Any], moments: Moments, side: int
) -> tuple[dict[str, list[float]], float, float]:
    """Errors of one cell's count at each moment, both ways; how high people are; how many tiles a look took."""
    shrink = min(WIDTH_PX / side / truth["size"][0], HEIGHT_PX / side / truth["size"][1])
    cell = (round(truth["size"][0] * shrink), round(truth["size"][1] * shrink))
    zones = {
        f"{row}-{column}": (np.array(truth["zone"]) * cell + (column * cell[0], row * cell[1])) / (WIDTH_PX, HEIGHT_PX)
        for row in range(side)
        for column in range(side)
    }
    taken = bench.detector.description.input
    off: dict[str, list[float]] = {"tracks": [], "tiles": []}
    heights, looked = [], []
    far = FarSight(zones)  # what it learns of people's heights lasts, as on a box
    for start, pictures in _films(moments, cell, side):
        tracker, by_tracks, by_tiles = Tracker(), [], []
        tracker.fit((WIDTH_PX, HEIGHT_PX))
        for step, picture in enumerate(pictures):
            at_s = 60.0 * start + step / 10
            tracks = tracker.update(bench.detector.detect([picture])[0], at_s)
            people = tracks.boxes[tracks.classes == RoadUser.PERSON]
            heights += (people[:, 3] - people[:, 1]).tolist()
            feet = np.stack([(people[:, 0] + people[:, 2]) / 2, people[:, 3]], axis=1) / (WIDTH_PX, HEIGHT_PX)
            by_tracks.append(_by_zone(feet.astype(np.float32), zones))
            far.note(Frame("mosaic", step, picture, Instant(at_s, 1e9 + at_s)), tracks)
            handed = 0
            while images := far.tiles((taken.width_px, taken.height_px), 100):
                far.take(bench.detector.detect(images))
                handed += len(images)
            if (glance := far.glance()) is not None:
                looked.append(handed)
                by_tiles.append(_by_zone(glance.feet, zones))
        true = _true(moments, start, side)
        off["tracks"] += (np.median(by_tracks[-5:], axis=0) - true).tolist()
        off["tiles"] += ((np.median(by_tiles, axis=0) if by_tiles else np.zeros(side**2)) - true).tolist()
    scale = min(taken.width_px / WIDTH_PX, taken.height_px / HEIGHT_PX)
    return off, float(np.median(heights) if heights else 0) * scale, float(np.mean(looked) if looked else 0)


def _true(moments: Moments, start: int, side: int) -> NDArray[np.float64]:
    """How many people are in each cell's zone at the end of the film that starts with a moment."""
    return np.array([moments[(start + cell) % len(moments)][1] for cell in range(side**2)], np.float64)


def _by_zone(feet: Floats, zones: Mapping[str, NDArray[np.float64]]) -> list[int]:
    return [int(geometry.inside(feet.astype(np.float64), outline).sum()) for outline in zones.values()]


def _films(moments: Moments, cell: tuple[int, int], side: int) -> Iterator[tuple[int, list[Image]]]:
    """For each moment a short film that ends with it: in its first cell; the next moments in the others."""
    shrunk = {frame: _before(frame, cell) for frame, _ in moments}
    for start in range(0, len(moments), 3):
        film = []
        for step in range(STEPS):
            picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
            for number in range(side**2):
                left, top = number % side * cell[0], number // side * cell[1]
                frame = moments[(start + number) % len(moments)][0]
                picture[top : top + cell[1], left : left + cell[0]] = shrunk[frame][step]
            film.append(picture)
        yield start, film


def _before(frame: int, cell: tuple[int, int]) -> list[Image]:
    """The frames of vtest.avi that end with one, shrunk; earlier than the first there is only the first."""
    video = cv2.VideoCapture(str(VTEST))
    found: list[Image] = []
    for number in range(frame + 1):
        if not video.grab():
            break
        if number > frame - STEPS:
            found.append(cv2.resize(video.retrieve()[1], cell, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
    return [found[0]] * (STEPS - len(found)) + found
