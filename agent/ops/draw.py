"""Draws on pictures what the agent understood: lines and their directions, zones, the road's grid, boxes, counts.

Sizes follow the picture, so that it reads at 640x360 as at 1920x1080. Draws in place on the array it is handed, and
decides nothing: what is drawn comes from the configuration and the tracks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np

from agent.config.schema import Camera
from agent.errors import ConfigError
from agent.scene.geometry import Array
from agent.scene.ground import Ground, fit_ground
from agent.scene.rule import Setting
from agent.values import Image, RoadUser, Tracks

Colour: TypeAlias = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

LINE: Final[Colour] = (0, 220, 255)
ZONE: Final[Colour] = (255, 160, 40)
PROTECTED: Final[Colour] = (210, 60, 230)
ALARM: Final[Colour] = (40, 40, 255)
GROUND: Final[Colour] = (200, 200, 200)
WRONG: Final[Colour] = (60, 60, 255)
PAPER: Final[Colour] = (64, 64, 64)
_WHITE: Final[Colour] = (255, 255, 255)
_CLASS_COLOURS: Final[dict[RoadUser, Colour]] = {
    RoadUser.PERSON: (80, 80, 255),
    RoadUser.BICYCLE: (255, 120, 255),
    RoadUser.MOTORCYCLE: (0, 165, 255),
    RoadUser.CAR: (90, 220, 90),
    RoadUser.BUS: (255, 200, 0),
    RoadUser.TRUCK: (255, 90, 90),
    RoadUser.OTHER: (190, 190, 190),
}
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_ARROW: Final = 0.06
"""Half the length of a direction's arrow, as a share of the picture's shorter side."""
_FAR_PX: Final = 20_000.0
"""Points are moved to within this; OpenCV can't draw to coordinates beyond 16 bits."""
_GRID_STEPS_M: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_GRID_LINES: Final = 16
_SMOOTH: Final = 24


def blank(width_px: int, height_px: int) -> Image:
    """A grey picture to draw on where there is no frame."""
    return np.full((height_px, width_px, 3), PAPER, np.uint8)


def draw_geometry(picture: Image, camera: Camera) -> None:
    """Draw a camera's calibration grid, zones, protected regions and lines, each with its name.

    Args:
        picture: uint8, shape (height, width, 3), BGR; drawn on in place.
        camera: Its points may lie anywhere; what is outside the picture is cut off.
    """
    pen = _Pen(picture)
    setting = Setting("", camera)
    if camera.ground is not None:
        _draw_ground(pen, setting)
    for zone in camera.zones:
        outline = setting.pixels(zone.polygon, pen.size)
        pen.area(outline, ZONE)
        pen.text(zone.name, _within(outline.mean(axis=0), pen.size), ZONE)
    for region in camera.protected:
        outline = setting.pixels(region.polygon, pen.size)
        pen.area(outline, PROTECTED)
        pen.text(f"{region.name} ({region.what})", _within(outline[outline[:, 1].argmin()], pen.size), PROTECTED)
    for line in camera.lines:
        start, end = setting.pixels(line.points, pen.size)
        _draw_line(pen, start, end, (line.name, line.a_to_b or "", line.b_to_a or ""))


def draw_alarm(picture: Image, camera: Camera, where: str | None, reasons: Sequence[str]) -> None:
    """Draw an open alarm and why: around the zone or region that it is about, else around the whole picture."""
    pen = _Pen(picture)
    places = {zone.name: zone.polygon for zone in camera.zones} | {each.name: each.polygon for each in camera.protected}
    whole = np.array([(0, 0), (pen.size[0], 0), pen.size, (0, pen.size[1])], np.float64)
    outline = Setting("", camera).pixels(places[where], pen.size) if where in places else whole
    pen.outline(outline, ALARM, pen.thick + 2)
    corner = _within(np.array([outline[:, 0].min(), outline[:, 1].max()]), pen.size)
    for number, reason in enumerate(reasons):
        pen.text(reason, corner + np.array([0, (number + 1) * 24 * pen.font]), ALARM, small=True)


def draw_tracks(picture: Image, tracks: Tracks) -> None:
    """Draw every track's box with its id and class; the box of one that coasts unseen is thin."""
    pen = _Pen(picture)
    columns = zip(tracks.ids, tracks.boxes, tracks.classes, tracks.observed, strict=True)
    for track, (left, top, right, bottom), category, observed in columns:
        user = RoadUser(int(category))
        colour = _CLASS_COLOURS[user]
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)
        pen.outline(corners, colour, pen.thick if observed else 1)
        pen.text(f"{track} {user.label}", np.array([left, top - 2 * pen.thick]), colour, small=True)


def draw_panel(picture: Image, rows: Sequence[str]) -> None:
    """Draw lines of text, such as counts, on a dark panel in the upper left corner."""
    if not rows:
        return
    pen = _Pen(picture)
    texts = [_ascii(row) for row in rows]
    sizes = [cv2.getTextSize(text, _FONT, pen.font, 1)[0] for text in texts]
    step = round(max(height for _, height in sizes) * 1.8)
    right = min(pen.size[0], max(width for width, _ in sizes) + step)
    lower = min(pen.size[1], step * len(texts) + step // 2)
    picture[:lower, :right] = picture[:lower, :right] // 4
    for number, text in enumerate(texts, 1):
        cv2.putText(picture, text, (step // 2, step * number), _FONT, pen.font, _WHITE, pen.stroke, cv2.LINE_AA)


class _Pen:
    """Draws on one picture, with sizes that suit it."""

    def __init__(self, picture: Image) -> None:
        height, width = picture.shape[:2]
        self.picture = picture
        self.size = (width, height)
        scale = min(width / 1280, height / 720)
        self.thick = max(1, round(2.5 * scale))
        self.stroke = max(1, round(1.6 * scale))
        self.font = max(0.42, 0.62 * scale)

    def line(self, start: Array, end: Array, colour: Colour, thick: int) -> None:
        cv2.line(self.picture, _pixel(start), _pixel(end), colour, thick, cv2.LINE_AA)

    def arrow(self, start: Array, end: Array, colour: Colour) -> None:
        # A dark arrow below the bright one stands out on any road.
        for shade, thick in (((0, 0, 0), self.thick + 2), (colour, self.thick)):
            cv2.arrowedLine(self.picture, _pixel(start), _pixel(end), shade, thick, cv2.LINE_AA, tipLength=0.3)

    def outline(self, corners: Array, colour: Colour, thick: int, *, closed: bool = True) -> None:
        points = np.array([_pixel(corner) for corner in corners], np.int32)
        cv2.polylines(self.picture, [points], closed, colour, thick, cv2.LINE_AA)

    def area(self, corners: Array, colour: Colour) -> None:
        points = np.array([_pixel(corner) for corner in corners], np.int32)
        tinted = self.picture.copy()
        cv2.fillPoly(tinted, [points], colour)
        cv2.addWeighted(tinted, 0.25, self.picture, 0.75, 0, dst=self.picture)
        self.outline(corners, colour, self.thick)

    def dot(self, where: Array, colour: Colour) -> None:
        cv2.circle(self.picture, _pixel(where), 2 * self.thick, colour, -1, cv2.LINE_AA)

    def text(self, text: str, where: Array, colour: Colour, *, small: bool = False) -> None:
        """Text on a dark box whose lower left corner is near a point, moved to lie within the picture."""
        text = _ascii(text)
        font = self.font * (0.8 if small else 1.0)
        (width, height), below = cv2.getTextSize(text, _FONT, font, self.stroke)
        x = int(np.clip(where[0], 0, max(0, self.size[0] - width - 2)))
        y = int(np.clip(where[1], height + 2, max(height + 2, self.size[1] - below - 1)))
        box = self.picture[max(0, y - height - 2) : y + below, x : x + width + 2]
        box[:] = box // 4
        cv2.putText(self.picture, text, (x + 1, y), _FONT, font, colour, self.stroke, cv2.LINE_AA)


def _pixel(point: Array) -> tuple[int, int]:
    x, y = np.clip(np.nan_to_num(point), -_FAR_PX, _FAR_PX)
    return round(float(x)), round(float(y))


def _within(point: Array, size: tuple[int, int]) -> Array:
    inside: Array = np.clip(point, 0, np.asarray(size, np.float64))
    return inside


def _ascii(text: str) -> str:
    """OpenCV's fonts know ASCII only: accents are dropped, the rest becomes a question mark."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).encode("ascii", "replace").decode()


def _draw_line(pen: _Pen, start: Array, end: Array, names: tuple[str, str, str]) -> None:
    """A counting line, and across its middle the arrow of a_to_b, from the left of its walk to the right."""
    name, a_to_b, b_to_a = names
    pen.line(start, end, LINE, pen.thick + 1)
    pen.dot(start, LINE)
    along = end - start
    length = float(np.hypot(*along))
    if length == 0:
        pen.text(name, start, LINE)
        return
    to_b = np.array([-along[1], along[0]]) / length * _ARROW * min(pen.size)
    middle = (start + end) / 2
    pen.arrow(middle - to_b, middle + to_b, LINE)
    pen.text("a" if not b_to_a else f"a: {b_to_a}", middle - 1.3 * to_b, LINE, small=True)
    pen.text("b" if not a_to_b else f"b: {a_to_b}", middle + 1.5 * to_b, LINE, small=True)
    pen.text(name, end, LINE)


def _draw_ground(pen: _Pen, setting: Setting) -> None:
    """The calibration points with their metres, and the grid of the road they span where it can be worked out."""
    points = setting.camera.ground.points if setting.camera.ground is not None else ()
    image = np.array([point.image for point in points], np.float64)
    metres = np.array([point.metres for point in points], np.float64)
    size = np.asarray(pen.size, np.float64)
    places = setting.pixels(image, pen.size)
    try:
        ground = fit_ground(places / size, metres)
    except (ConfigError, np.linalg.LinAlgError):
        ground = None
    if ground is None:  # in the order they are listed: a slip of two, or a line, is seen at once
        pen.outline(places, WRONG, pen.thick, closed=True)
    else:
        for path in _grid(ground, metres):
            pen.outline(path * size, GROUND, 1, closed=False)
        _draw_horizon(pen, ground.horizon() * size)
    colour = WRONG if ground is None else GROUND
    for number, (where, (x_m, y_m)) in enumerate(zip(places, metres, strict=True), 1):
        pen.dot(where, colour)
        pen.text(f"{number}: {x_m:g}, {y_m:g} m", where + np.array([2.0, -2.0]) * pen.thick, colour, small=True)


def _draw_horizon(pen: _Pen, ends: Array) -> None:
    """Where the calibrated road ends, if that is in the picture."""
    if np.isfinite(ends).all() and ends[:, 1].max() >= 0 and ends[:, 1].min() <= pen.size[1]:
        pen.line(ends[0], ends[1], WRONG, 1)
        pen.text("horizon: no road above", ends[0], WRONG, small=True)


def _grid(ground: Ground, metres: Array) -> Iterable[Array]:
    """Lines of equal spacing over the calibrated part of the road, as paths relative to the picture."""
    low, high = metres.min(axis=0), metres.max(axis=0)
    extent = float((high - low).max())
    step = next((step for step in _GRID_STEPS_M if extent / step <= _MOST_GRID_LINES), extent / _MOST_GRID_LINES)
    for axis in (0, 1):
        other = 1 - axis
        sweep = np.linspace(low[other], high[other], _SMOOTH)
        for at in np.arange(np.ceil(low[axis] / step) * step, high[axis] + step * 1e-6, step):
            path = np.empty((_SMOOTH, 2))
            path[:, axis], path[:, other] = at, sweep
            yield ground.picture(path)
