"""What a person looks at after a replay: a table of counts, an annotated video, a plot.

Draws with OpenCV and matplotlib (the `report` extra, for the plot only). Shows what the records say and computes
nothing of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import cv2
from rich.markup import escape
from rich.table import Table

from agent.config.schema import Camera
from agent.errors import KentonganError, OutputError
from agent.installation import how_to_add
from agent.ops.draw import draw_alarm, draw_geometry, draw_panel, draw_tracks
from agent.pipeline import Seen
from agent.records import CountBody, Direction, EventBody, Record
from agent.values import CLASS_NAMES, Frame, Image

_CODECS: Final = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
IN_PLACE: Final = frozenset(
    {"vandalism", "asset_changed", "loitering", "aggression", "camera_tampered", "camera_lost", "crowd", "surge"}
)
"""Events that are drawn in place for as long as they are open."""
_NO_MATPLOTLIB: Final = f"plots need matplotlib: {how_to_add('report')}"
_EVENTS_SHOWN: Final = 3
_EVENT_SHOWN_S: Final = 5.0
DIRECTIONS: Final[tuple[Direction, Direction]] = ("a_to_b", "b_to_a")


class Annotator:
    """Writes the video again with what the agent saw: boxes with ids, lines, counts, events.

    Args:
        path: The video to write: .mp4, .avi or .mkv.
        camera: Lines and zones to draw.
        fps: Frames per second of the video.

    Raises:
        OutputError: The name ends in none of these, or there is no such folder.
    """

    def __init__(self, path: Path, camera: Camera, fps: float) -> None:
        if path.suffix.lower() not in _CODECS:
            raise OutputError(f"{path} can't be written as a video; let its name end in {', '.join(_CODECS)}")
        if not path.parent.is_dir():
            raise OutputError(f"{path} can't be written: its folder does not exist; make it first")
        self._path = path
        self._camera = camera
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._events: list[tuple[float, str, str]] = []
        self._open_events: dict[str, EventBody] = {}
        self._marks: list[tuple[tuple[float, float], str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: Frame, seen: Seen, crossed: Mapping[tuple[str, Direction], int]) -> None:
        """Add one frame, with the cumulative counts by line and direction after it.

        Raises:
            OutputError: The video can't be written.
        """
        self._note(frame, seen)
        picture = frame.image.copy()
        draw_geometry(picture, seen.camera or self._camera)
        draw_tracks(picture, seen.tracks)
        for where in dict.fromkeys(event.where for event in self._open_events.values()):
            reasons = [reason_of(event) for event in self._open_events.values() if event.where == where]
            draw_alarm(picture, seen.camera or self._camera, where, reasons)
        for place, _ in self._marks:
            _draw_mark(picture, place)
        draw_panel(picture, [*self._counts(crossed), *self.said(frame.at.mono_s)[-_EVENTS_SHOWN:]])
        self._open(picture).write(picture)

    def said(self, now_s: float) -> list[str]:
        """What is to be read of events that were told a moment ago, oldest first."""
        return [text for at_s, _, text in self._events if now_s - at_s < _EVENT_SHOWN_S]

    @property
    def marked(self) -> int:
        """How many open events have a mark in the picture."""
        return len(self._marks)

    def _counts(self, crossed: Mapping[tuple[str, Direction], int]) -> list[str]:
        return [
            f"{line.name}: " + ", ".join(f"{way} {crossed.get((line.name, way), 0)}" for way in DIRECTIONS)
            for line in self._camera.lines
        ]

    def _note(self, frame: Frame, seen: Seen) -> None:
        for record in seen.records:
            if isinstance(record.body, EventBody):
                body = record.body
                if body.phase == "end":
                    self._open_events.pop(body.event, None)
                elif body.kind in IN_PLACE:
                    self._open_events[body.event] = body
                self._events = [said for said in self._events if said[1] != body.event]  # its newest word alone
                self._events += [(frame.at.mono_s, body.event, line) for line in event_lines(body)]
                self._marks = [mark for mark in self._marks if mark[1] != body.event]
                if body.phase != "end" and (place := _place(body)) is not None:
                    self._marks.append((place, body.event))

    def _open(self, picture: Image) -> cv2.VideoWriter:
        if self._writer is None:
            height, width = picture.shape[:2]
            code = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self._path), code, self._fps, (width, height))
        if not self._writer.isOpened():
            raise OutputError(f"{self._path} can't be written; check that its folder is yours and has room")
        return self._writer


def reason_of(event: EventBody) -> str:
    """One line that says why an event is open."""
    details = event.details
    if event.kind == "vandalism":
        return f"VANDALISM ({event.severity}): {' + '.join(str(kind) for kind in _listed(details.get('kinds')))}"
    if event.kind == "asset_changed":
        near = ", ".join(
            f"{who['class']} {who['track']}" for who in _listed(details.get("near")) if isinstance(who, dict)
        )
        return f"{details.get('what')} {details.get('change')}" + (f"; near before: {near}" if near else "")
    if event.kind == "loitering":
        return f"loitering: {details.get('persons')} for over {details.get('stayed_s')} s"
    if event.kind == "crowd":
        density = f", {details['per_m2']} on a square metre" if "per_m2" in details else ""
        return f"crowd ({event.severity}): {details.get('people')} people{density}"
    if event.kind == "surge":
        return f"surge: {details.get('people')} people, {details.get('usual')} are usual"
    return f"{event.kind} {details.get('cause', '')}".strip()


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def event_lines(body: EventBody) -> list[str]:
    """What a person reads of an event: its kind and phase, and where it gives them its reasons."""
    lines = [f"{body.kind} {body.phase} {body.where or ''}".strip()]
    if body.phase == "end" or "why" not in body.details:
        return lines
    known = {key: value for key, value in body.details.items() if isinstance(value, int | float | str) and key != "why"}
    lines[0] += "".join(f", {key} {value}" for key, value in known.items())
    if isinstance(tracks := body.details.get("tracks"), list) and tracks:
        lines[0] += ", tracks " + " ".join(str(track) for track in tracks)
    return [*lines, f"why: {body.details['why']}"]


def _place(body: EventBody) -> tuple[float, float] | None:
    """Where in the picture an event says it happens, relative to it."""
    place = body.details.get("place")
    if not isinstance(place, dict):
        return None
    x, y = place.get("x"), place.get("y")
    return (float(x), float(y)) if isinstance(x, int | float) and isinstance(y, int | float) else None


def _draw_mark(picture: Image, place: tuple[float, float]) -> None:
    height, width = picture.shape[:2]
    centre = (round(place[0] * width), round(place[1] * height))
    cv2.circle(picture, centre, max(12, height // 6), (0, 0, 255), max(1, height // 240), cv2.LINE_AA)


def count_table(camera: Camera, records: Sequence[Record], title: str) -> Table:
    """Crossings by line, direction and class over all intervals."""
    totals = {(line.name, way): _total(records, line.name, way) for line in camera.lines for way in DIRECTIONS}
    seen = {name for total in totals.values() for name, count in total.items() if count}
    classes = [name for name in CLASS_NAMES if name in seen]
    table = Table(title=f"Counts of {escape(title)}")
    for column in ("line", "direction", *classes, "volume"):
        table.add_column(column, justify="left" if column in {"line", "direction"} else "right")
    for line in camera.lines:
        for direction in DIRECTIONS:
            total = totals[line.name, direction]
            called = getattr(line, direction)
            label = f"{direction} ({called})" if called else direction
            cells = [str(total[name]) if total[name] else "" for name in classes]
            table.add_row(line.name, escape(label), *cells, str(total.total()))
    events = Counter(
        f"{record.body.kind}"
        for record in records
        if isinstance(record.body, EventBody) and record.body.phase == "start"
    )
    table.caption = "events: " + (", ".join(f"{kind} {n}" for kind, n in sorted(events.items())) or "none")
    if events["aggression"]:
        table.caption += (
            "\na box that knows its camera says aggression less often: docs/crowds-and-vandalism.md in the source"
        )
    return table


def _total(records: Sequence[Record], line: str, direction: Direction) -> Counter[str]:
    total: Counter[str] = Counter()
    for body in _counts(records):
        if (body.line, body.direction) == (line, direction):
            total.update(body.by_class or {})
    return total


def _counts(records: Sequence[Record]) -> list[CountBody]:
    return [record.body for record in records if isinstance(record.body, CountBody)]


def require_writable(path: Path) -> None:
    """Refuse a name that can't be written now, before hours of work.

    Raises:
        OutputError: Its folder does not exist, or it may not be written.
    """
    is_new = not path.exists() and not path.is_symlink()
    if not is_new and not path.is_file() and not path.is_dir():
        return  # a pipe or device, opened and closed, would be at its end for who reads it; a link may lead to no file
    try:
        with path.open("ab"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a file that the disk or its rights refuse."""
    return OutputError(f"{path} can't be written: {error.strerror}; choose a folder with room that is yours")


def require_plot(path: Path) -> None:
    """Refuse a plot that can't be drawn or written, before hours of work.

    Raises:
        KentonganError: matplotlib is not installed.
        OutputError: It can't be written there, or not as what its name ends in.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, needed only for plots
    except ImportError as error:
        raise KentonganError(_NO_MATPLOTLIB) from error
    if path.suffix.lower().lstrip(".") not in Figure().canvas.get_supported_filetypes():
        raise OutputError(f"{path} can't be written as a plot; choose a name that ends in .png")
    require_writable(path)


def plot_counts(path: Path, camera: Camera, records: Sequence[Record], picture: Image) -> None:
    """Draw counts over time beside the lines on a frame.

    Raises:
        KentonganError: matplotlib is not installed.
        OutputError: The picture can't be written.
    """
    try:
        from matplotlib.dates import ConciseDateFormatter  # noqa: PLC0415 - an extra, needed only here
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above
    except ImportError as error:
        raise KentonganError(_NO_MATPLOTLIB) from error
    shown = picture.copy()
    draw_geometry(shown, camera)
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    left.imshow(cv2.cvtColor(shown, cv2.COLOR_BGR2RGB))
    left.set_axis_off()
    left.set_title(f"Lines of camera {camera.name}")
    for line in camera.lines:
        for direction in DIRECTIONS:
            bodies = [b for b in _counts(records) if (b.line, b.direction) == (line.name, direction)]
            if not bodies:
                continue
            times = [_datetime(body.interval.start) for body in bodies] + [_datetime(bodies[-1].interval.end)]
            volumes = [body.volume if body.volume is not None else float("nan") for body in bodies]
            label = f"{line.name}, {getattr(line, direction) or direction}: {sum(b.volume or 0 for b in bodies)}"
            steps = right.stairs(volumes, times, label=label, lw=2)
            right.stairs(volumes, times, fill=True, alpha=0.12, color=steps.get_edgecolor())
    right.xaxis.set_major_formatter(ConciseDateFormatter(right.xaxis.get_major_locator()))
    right.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    right.set(xlabel="time, UTC", ylabel="crossings per interval", title="Counts over time")
    right.set_ylim(0, max(1.0, right.get_ylim()[1]))
    right.grid(alpha=0.3)
    right.legend(title="total", loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, fontsize="small", frameon=False)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:  # ValueError: a format that matplotlib doesn't know
        raise OutputError(f"{path} can't be written: {error}; choose a name that ends in .png") from error


def _datetime(utc_s: float) -> datetime:
    return datetime.fromtimestamp(utc_s, UTC)
