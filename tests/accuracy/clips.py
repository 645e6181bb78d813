"""Counts on real clips against what people counted there, line by line: ``python -m tests.accuracy.clips``.

Reads a truth file that describes its own clips and lines (``counts.json``), so clips are added by adding them there.
Plays each through the very pipeline of a box, with any model, and says of every line and direction whether it is
within one vehicle or 5 % of the truth, which crossings were missed, and what was counted that nobody saw.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from agent.assembly import detector_for, model_ref
from agent.clock import Instant
from agent.config.schema import Camera
from agent.errors import ConfigError, KentonganError, SourceError
from agent.ops.assets import cache_folder
from agent.pipeline import CameraPipeline
from agent.records import CountBody, Record
from agent.values import Tracks
from agent.video.address import parse_address
from agent.video.file import FileSource
from agent.vision.detector import Detector

TRUTH: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "video" / "counts.json"
ELSEWHERE: Final = Path("/usr/share/doc/opencv-doc/examples/data")
WAYS: Final = ("a_to_b", "b_to_a")
BOUND_SHARE: Final = 0.05
EARLIEST_S, LATEST_S = -0.5, 6.5
"""A crossing is counted when it is certain: at once, or when what vanished at a line is given up, twice 3 s later."""

Place = tuple[str, str]
"""A line's name and a direction."""


@dataclass(frozen=True, slots=True)
class TrueCrossing:
    """One crossing that people saw.

    ``sure`` is False where they could not tell whether it is one; it may then be counted or not.
    """

    place: Place
    frame: int
    kind: str
    note: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of a truth file: its lines as the agent is given them, and what crosses them between two frames."""

    name: str
    file: str
    lines: tuple[dict[str, Any], ...]
    first: int
    last: int
    crossings: tuple[TrueCrossing, ...]


@dataclass(slots=True)
class Counted:
    """What the agent made of a clip.

    Attributes:
        fps: Pictures per second of the file.
        moments: Where and in which frame each crossing was counted.
        by_class: Crossings by place and class.
        tracks: What was seen in each frame looked at, for pictures.
    """

    fps: float
    moments: list[tuple[Place, int]] = field(default_factory=list)
    by_class: dict[Place, Counter[str]] = field(default_factory=dict)
    tracks: dict[int, Tracks] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line and direction of one clip: how many, how many of them are surely true, and who was missed or made up."""

    clip: str
    place: Place
    least: int
    most: int
    counted: int
    true_class: Counter[str]
    counted_class: Counter[str]
    missed: tuple[TrueCrossing, ...]
    extra: tuple[int, ...]

    @property
    def error(self) -> int:
        """How many too many, or too few if negative; 0 anywhere between the sure and the possible crossings."""
        return self.counted - min(max(self.counted, self.least), self.most)

    @property
    def within(self) -> bool:
        """Whether the number is within one vehicle or 5 %, whichever is larger."""
        return abs(self.error) <= max(1.0, BOUND_SHARE * self.least)

    @property
    def wrong_class(self) -> int:
        """How many were counted under another class, at least."""
        return max(0, self.counted - sum((self.counted_class & self.true_class).values()) - max(0, self.error))


def read_truth(path: Path) -> list[Clip]:
    """The clips of a truth file.

    Raises:
        ConfigError: It can't be read, or lacks something.
    """
    try:
        return [_clip(video) for video in json.loads(path.read_text(encoding="utf-8"))["videos"]]
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}; name a truth file with --truth") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no truth file ({error!r}); compare it with counts.json") from error


def _clip(video: Mapping[str, Any]) -> Clip:
    names = {line["id"]: _name(line["id"]) for line in video["lines"]}
    lines = tuple(
        {"name": names[line["id"]], "points": [line["p1"], line["p2"]], "interval_s": 10} for line in video["lines"]
    )
    crossings = tuple(
        TrueCrossing(
            (names[one["line"]], one["direction"]),
            one["frame"],
            one["class"],
            one.get("note", ""),
            one.get("certain", True),
        )
        for one in video["crossings"]
    )
    first, last = video.get("frames_used", (0, sys.maxsize))
    return Clip(video["id"], video["file"], lines, first, last, crossings)


def _name(identity: str) -> str:
    """A line's id as the agent's configuration allows it."""
    return re.sub(r"[^a-z0-9_-]", "-", identity.lower())


def find(clip: Clip, folders: Sequence[Path]) -> Path | None:
    """The clip's file in one of some folders; ``None`` where none has it."""
    return next((path for folder in folders if (path := folder / Path(clip.file).name).is_file()), None)


def play(clip: Clip, path: Path, detector: Detector, every: int = 1) -> Counted:
    """Play a clip through the pipeline of a box, and note what is counted when.

    Args:
        clip: Its lines and the frames that matter.
        path: The file.
        detector: The model.
        every: Look at one frame in so many, as a slower box would.
    """
    camera = Camera.model_validate({"name": "clip", "source": str(path), "lines": clip.lines})
    source = FileSource(parse_address(str(path)), camera.name, Instant(mono_s=0.0, utc_s=0.0))
    pipeline = CameraPipeline(camera, device="clips", model=model_ref(detector.description))
    found = Counted(source.fps)
    before: Counter[Place] = Counter()
    records: list[Record] = []
    at, number = Instant(mono_s=0.0, utc_s=0.0), clip.first
    try:
        for number in itertools.count():
            frame = source.read() if number <= clip.last else None
            if frame is None:
                break
            if number < clip.first or (number - clip.first) % every:
                continue
            at = frame.at
            seen = pipeline.see(frame, detector.detect([frame.image])[0])
            records += seen.records
            found.tracks[number] = seen.tracks
            before = _note(found, before, pipeline, number)
    finally:
        source.close()
    period_s = 1 / source.fps
    records += pipeline.stop(Instant(at.mono_s + period_s, at.utc_s + period_s))
    _note(found, before, pipeline, number)
    for record in records:
        if isinstance(record.body, CountBody):
            place = (record.body.line, record.body.direction)
            found.by_class.setdefault(place, Counter()).update(record.body.by_class or {})
    return found


def _note(found: Counted, before: Counter[Place], pipeline: CameraPipeline, number: int) -> Counter[Place]:
    now: Counter[Place] = Counter(pipeline.crossed())
    found.moments += [(place, number) for place in (now - before).elements()]
    return now


def judge(clip: Clip, found: Counted) -> list[Verdict]:
    """Compare every line and direction in which something crossed or was counted."""
    return list(_verdicts(clip, found))


def _verdicts(clip: Clip, found: Counted) -> Iterator[Verdict]:
    for line, way in itertools.product(clip.lines, WAYS):
        place = (line["name"], way)
        true = sorted((one for one in clip.crossings if one.place == place), key=lambda one: one.frame)
        moments = [frame for where, frame in found.moments if where == place]
        if not true and not moments:
            continue
        missed, extra = _match(true, moments, found.fps)
        sure = [one for one in true if one.sure]
        yield Verdict(
            clip.name,
            place,
            len(sure),
            len(true),
            len(moments),
            Counter(one.kind for one in true),
            +found.by_class.get(place, Counter()),
            tuple(one for one in missed if one.sure),
            tuple(extra),
        )


def _match(true: Sequence[TrueCrossing], moments: Sequence[int], fps: float) -> tuple[list[TrueCrossing], list[int]]:
    """Who was missed, and what was counted beyond the truth: pairs near in time are taken out, the nearest first."""
    pairs = sorted(
        (abs(moment - one.frame), row, column)
        for row, one in enumerate(true)
        for column, moment in enumerate(moments)
        if EARLIEST_S * fps <= moment - one.frame <= LATEST_S * fps
    )
    rows, columns = set(range(len(true))), set(range(len(moments)))
    for _, row, column in pairs:
        if row in rows and column in columns:
            rows.remove(row)
            columns.remove(column)
    return [true[row] for row in sorted(rows)], [moments[column] for column in sorted(columns)]


def table(verdicts: Sequence[Verdict], title: str) -> Table:
    """One row per clip, line and direction."""
    shown = Table(title=title)
    for name in ("clip", "line", "direction", "true", "counted", "within", "classes counted", "missed", "extra"):
        shown.add_column(name, justify="right" if name in {"true", "counted"} else "left")
    for one in verdicts:
        shown.add_row(
            one.clip,
            *one.place,
            str(one.least) if one.least == one.most else f"{one.least}-{one.most}",
            str(one.counted),
            "yes" if one.within else f"no ({one.error:+d})",
            ", ".join(f"{kind} {count}" for kind, count in one.counted_class.most_common()),
            "; ".join(f"{true.frame} {true.note}".strip() for true in one.missed),
            ", ".join(map(str, one.extra)),
        )
    return shown


def summary(verdicts: Sequence[Verdict]) -> str:
    """The last line: what is within the bound, over all."""
    true, counted = sum(one.least for one in verdicts), sum(one.counted for one in verdicts)
    return (
        f"{sum(one.within for one in verdicts)} of {len(verdicts)} lines and directions within one vehicle or 5 %; "
        f"{counted} counted of {true}; {sum(one.wrong_class for one in verdicts)} under another class"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a line is beyond the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, default=TRUTH, help="the truth file (default: %(default)s)")
    parser.add_argument("--clips", type=Path, action="append", default=[], help="a folder with clips; may be repeated")
    parser.add_argument("--only", action="append", help="id of a clip to play; may be repeated (default: all)")
    parser.add_argument("--model", type=Path, help="another ONNX file than the default one")
    parser.add_argument("--labels", help="labels of a foreign model: coco, or names with commas between")
    parser.add_argument("--threads", type=int, default=0, help="threads for the model (default: the agent's choice)")
    parser.add_argument("--every", type=int, default=1, help="look at one frame in so many (default: every one)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw when each was counted, and what went wrong")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        verdicts, name = _run(options)
    except KentonganError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    console.print(table(verdicts, f"Counts of {name} against the truth"))
    console.print(summary(verdicts))
    return 0 if all(one.within for one in verdicts) else 1


def _run(options: argparse.Namespace) -> tuple[list[Verdict], str]:
    clips = [clip for clip in read_truth(options.truth) if options.only is None or clip.name in options.only]
    folders = [*options.clips, options.truth.parent, cache_folder(), ELSEWHERE]
    detector = detector_for("default", None, model=options.model, labels=options.labels, threads=options.threads)
    verdicts: list[Verdict] = []
    for clip in clips:
        path = find(clip, folders)
        if path is None:
            sys.stderr.write(
                f"{clip.name} is left out: {clip.file} is in none of the folders; name its one by --clips\n"
            )
            continue
        found = play(clip, path, detector, options.every)
        here = judge(clip, found)
        verdicts += here
        if options.pictures is not None:
            from tests.accuracy.clip_pictures import draw  # noqa: PLC0415 - matplotlib is slow to import

            options.pictures.mkdir(parents=True, exist_ok=True)
            draw(options.pictures, clip, path, found, here)
    if not verdicts:
        raise SourceError("no clip could be compared; name a truth file with --truth and its clips with --clips")
    return verdicts, detector.description.name


if __name__ == "__main__":
    sys.exit(main())
