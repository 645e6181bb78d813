"""`kentongan replay`: count a recorded video with the very pipeline that runs on a box.

As fast as the machine can, every frame counts, capture times from the file: the same file, configuration and model
give the same records, byte for byte. Needs no broker, no camera and no state on disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args
from uuid import UUID, uuid5

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agent.assembly import detector_for, model_ref
from agent.clock import Instant
from agent.config.load import load_config
from agent.config.schema import Camera, IntervalSeconds
from agent.errors import ConfigError, KentonganError
from agent.mqtt.rows import record_message
from agent.ops.bystanders import Bystanders
from agent.ops.replay_outputs import (
    Annotator,
    count_table,
    plot_counts,
    require_plot,
    require_writable,
    unwritable,
)
from agent.outbox import record_id
from agent.pipeline import CameraPipeline, Seen
from agent.records import Direction, Record, utc_seconds
from agent.stages import StageTimes
from agent.values import Detections, Frame, Image
from agent.video.address import parse_address
from agent.video.file import FileSource
from agent.vision.detector import Detector

START: Final = "2026-01-01T00:00:00Z"
"""When a replayed file begins unless told otherwise: fixed, so that records do not depend on today."""
_NAMESPACE: Final = UUID("5b9d0c5e-6f0e-4f0a-9a8e-3f1f7f0c8a11")
_OUT: Final = Console()
_LINE_FORM: Final = "NAME=X1,Y1,X2,Y2"
UNKNOWN_LIKENESS: Final = 0.9
"""What an aggression alarm must beat in a recording without a configuration, which is seldom long enough to get to know
a camera: between the level of one that is known and that of one that is not."""
_DEFAULT_LINES: Final = ("across=0.02,0.5,0.98,0.5", "upright=0.5,0.98,0.5,0.02")


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("video", type=_file, help="the video file")
    parser.add_argument("-c", "--config", type=Path, help="take lines, zones and the model from this configuration")
    parser.add_argument("--camera", help="which of its cameras (default: the first)")
    parser.add_argument(
        "--line",
        action="append",
        default=[],
        metavar=_LINE_FORM,
        help="a counting line, relative to the picture; may be given again (default: two through its middle)",
    )
    parser.add_argument(
        "--interval",
        type=int,
        default=10,
        metavar="S",
        choices=get_args(IntervalSeconds),
        help="length of the intervals of lines given here: %(choices)s (default: %(default)s)",
    )
    parser.add_argument("--model", type=Path, help="another ONNX file than the configured or default one")
    parser.add_argument("--labels", help="labels of a foreign model: coco, or names with commas between")
    parser.add_argument("--threads", type=int, default=0, help="threads for the model (default: the agent's choice)")
    parser.add_argument("--start", default=START, help=f"when the file begins, RFC 3339 (default: {START})")
    parser.add_argument("-o", "--records", type=Path, metavar="FILE", help="write the records there as JSON lines")
    parser.add_argument("--video", dest="annotated", type=Path, metavar="FILE", help="write an annotated video there")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw counts over time, and the lines on a frame")


def _file(text: str) -> Path:
    if "://" in text:
        raise argparse.ArgumentTypeError("a replay needs a file; for a live camera use kentongan run or demo --source")
    return Path(text)


def execute(args: argparse.Namespace) -> int:
    """Replay, and write what was asked for. What was counted before damage in a file is still written."""
    if args.records:
        require_writable(args.records)
    if args.plot:
        require_plot(args.plot)
    camera = camera_of(args)
    detector = detector_for(camera.model, args.config, model=args.model, labels=args.labels, threads=args.threads)
    replay = Replay(args.video, camera, detector, start_s=_start(args.start))
    records: list[Record] = []
    damage: KentonganError | None = None
    picture = None
    bystanders = Bystanders(camera)
    with ExitStack() as stack:
        annotator = stack.enter_context(Annotator(args.annotated, camera, replay.fps)) if args.annotated else None
        progress = stack.enter_context(_progress())
        task = progress.add_task(args.video.name, total=replay.announced_frames or None)
        try:
            for frame, seen in replay.run():
                records += seen.records
                picture = frame.image
                bystanders.see(seen.tracks, (picture.shape[1], picture.shape[0]))
                progress.advance(task)
                if annotator:
                    annotator.write(frame, seen, replay.crossed())
        except KentonganError as error:
            damage = error
        records += replay.finish()
    messages = list(replay.messages(records))
    _OUT.print(count_table(camera, records, args.video.name))
    for sentence in bystanders.sentences(replay.crossed()):
        _OUT.print(sentence, markup=False, highlight=False)
    if args.records:
        _write(args.records, "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages))
    if args.plot and picture is not None:
        plot_counts(args.plot, camera, records, picture)
    if damage is not None:
        raise damage
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(path, error) from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _start(text: str) -> float:
    try:
        return utc_seconds(text)
    except ValueError as error:
        raise ConfigError(f"--start {text!r} is no time: {error}; write it like {START}") from error


def camera_of(args: argparse.Namespace) -> Camera:
    """The camera whose lines and zones are used: a configured one, or one made of the arguments.

    The latter is watched for everything that needs no drawing, aggression too.

    Raises:
        ConfigError: There is no such camera, or a line can't be read.
    """
    lines = [_line(text, args.interval) for text in args.line]
    if args.config is None:
        chosen = lines or [_line(text, args.interval) for text in _DEFAULT_LINES]
        aggression = {"first_likeness": UNKNOWN_LIKENESS}
        return _camera({"name": "replay", "source": str(args.video), "lines": chosen, "aggression": aggression})
    cameras = {camera.name: camera for camera in load_config(args.config).cameras}
    name = args.camera or next(iter(cameras))
    if name not in cameras:
        raise ConfigError(f"{args.config} has no camera {name!r}; it has {', '.join(cameras)}")
    camera = cameras[name]
    return _camera({**camera.model_dump(), "lines": lines}) if lines else camera


def _camera(plain: dict[str, Any]) -> Camera:
    try:
        return Camera.model_validate(plain)
    except ValidationError as error:
        said = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in said["loc"])
        raise ConfigError(f"a line can't be used: {place}: {said['msg']}; write --line {_LINE_FORM}") from error


def _line(text: str, interval_s: int) -> dict[str, Any]:
    name, _, numbers = text.partition("=")
    try:
        x1, y1, x2, y2 = (float(number) for number in numbers.split(","))
    except ValueError:
        raise ConfigError(f"--line {text!r} can't be read; write {_LINE_FORM} with numbers from 0 to 1") from None
    if not all(0 <= value <= 1 for value in (x1, y1, x2, y2)) or (x1, y1) == (x2, y2):
        raise ConfigError(f"--line {text!r} can never count; write {_LINE_FORM}: two points, each number from 0 to 1")
    return {"name": name, "points": [[x1, y1], [x2, y2]], "interval_s": interval_s}


@dataclass(frozen=True, slots=True)
class _Identity:
    """Who the records say they come from: the same for the same file, camera and model."""

    device: str
    boot: str


class Replay:
    """One file through one camera's pipeline.

    Args:
        video: The file.
        camera: Lines and zones.
        detector: The model.
        start_s: UTC seconds at which the file begins.
        times: Charged with what each stage takes.

    Raises:
        SourceError: The file can't be read.
    """

    def __init__(
        self, video: Path, camera: Camera, detector: Detector, *, start_s: float, times: StageTimes | None = None
    ) -> None:
        self.times = times or StageTimes()
        self._start = Instant(mono_s=0.0, utc_s=start_s)
        self._last = self._start
        self._source = FileSource(parse_address(str(video)), camera.name, self._start)
        self._detector = detector
        looked_for = camera.model_dump_json(exclude={"source", "login"})  # where a file lies changes nothing in it
        seed = f"{looked_for} {detector.description.sha256} {_sha256(video)} {start_s}"
        self._identity = _Identity("replay", str(uuid5(_NAMESPACE, seed)))
        self._pipeline = CameraPipeline(
            camera, device=self._identity.device, model=model_ref(detector.description), times=self.times
        )

    @property
    def announced_frames(self) -> int:
        """Frames the file says it has; 0 when it doesn't say."""
        return self._source.announced_frames

    @property
    def fps(self) -> float:
        """Frames per second of the file."""
        return self._source.fps

    def run(self) -> Iterator[tuple[Frame, Seen]]:
        """Every frame, and what it came to.

        Raises:
            SourceError: The file breaks off before its announced end.
            ModelError: The model's output makes no sense.
        """
        while True:
            with self.times.measure("decode"):
                frame = self._source.read()
            if frame is None:
                return
            self._last = frame.at
            found = self._detect([frame.image])[0]
            yield frame, self._pipeline.see(frame, found)
            taken = self._detector.description.input
            while tiles := self._pipeline.tiles((taken.width_px, taken.height_px), self._detector.batch_limit):
                self._pipeline.take_tiles(self._detect(tiles))

    def _detect(self, images: list[Image]) -> list[Detections]:
        found = self._detector.detect(images)
        for stage in ("preprocess", "model", "postprocess"):
            cost = getattr(self._detector.cost, stage)
            self.times.add(stage, cost.wall_s, cost.cpu_s)
        return found

    def crossed(self) -> dict[tuple[str, Direction], int]:
        """Counts so far, by line and direction."""
        return self._pipeline.crossed()

    def finish(self) -> list[Record]:
        """End what is open where the file ended."""
        self._source.close()
        period_s = 1 / self._source.fps
        return self._pipeline.stop(Instant(self._last.mono_s + period_s, self._last.utc_s + period_s))

    def messages(self, records: list[Record]) -> Iterator[dict[str, Any]]:
        """The records as a subscriber would receive them, numbered from 1."""
        for seq, record in enumerate(records, 1):
            who = self._identity
            yield record_message(record, device=who.device, boot=who.boot, seq=seq, record_id=record_id(who.boot, seq))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
