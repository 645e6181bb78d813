"""`kentongan models`: list what is there, inspect one, measure one, describe a foreign one, make one smaller.

Everything is judged by the same reader that the agent runs models with; what it refuses here it refuses there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from agent.assembly import labels_of
from agent.errors import ModelError, OutputError
from agent.evaluate.dataset import Dataset, open_dataset
from agent.evaluate.evaluation import Verdict, judge, look_at
from agent.evaluate.latency import RUNS, measure
from agent.evaluate.pictures import draw_curves, draw_misses
from agent.ops.assets import default_model, model_folders
from agent.ops.model_facts import facts_of, json_of, lines_of, printable
from agent.ops.model_writing import write_described
from agent.ops.quantize import quantize
from agent.vision.describe import ForeignModel
from agent.vision.model_file import read_model

_OUT: Final = Console()
_LEAST_WIDTH: Final = 80  # letters; a table squeezed into fewer says nothing


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of all its subcommands."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models that ship and those in a folder")
    listing.add_argument("folder", type=Path, nargs="*", help="folders to look in as well")
    listing.set_defaults(action=_list)
    inspect = actions.add_parser("inspect", help="what a file says about itself, or why it is refused")
    inspect.add_argument("model", type=Path)
    inspect.add_argument("--json", action="store_true", help="print JSON")
    _foreign_arguments(inspect)
    inspect.set_defaults(action=_inspect)
    evaluate = actions.add_parser("eval", help="average precision, latency and memory on labelled pictures")
    evaluate.add_argument("model", type=Path)
    evaluate.add_argument("data", type=Path, help="images/ and labels/, a folder with labels.jsonl, or a .jsonl file")
    evaluate.add_argument("--split", default="val", help="which part of the data (default: val)")
    evaluate.add_argument("--video", type=Path, help="the video a .jsonl file without video names belongs to")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    evaluate.add_argument("--plots", type=Path, metavar="FOLDER", help="write curves.png and misses.png there")
    evaluate.add_argument("--runs", type=int, default=RUNS, help=f"pictures timed per measurement (default: {RUNS})")
    evaluate.add_argument("--versus", type=Path, nargs="*", default=[], help="other models, in the same run")
    _foreign_arguments(evaluate)
    evaluate.set_defaults(action=_evaluate)
    describe = actions.add_parser("describe", help="check a foreign file and write its description into it")
    describe.add_argument("model", type=Path)
    describe.add_argument("output", type=Path)
    describe.add_argument("--name", help="what records will call it")
    describe.add_argument("--model-version", help="its maker's version")
    describe.add_argument("--licence", help="the licence of its weights")
    _foreign_arguments(describe)
    describe.set_defaults(action=_describe)
    smaller = actions.add_parser("quantize", help="static int8, calibrated on frames of yours")
    smaller.add_argument("model", type=Path)
    smaller.add_argument("output", type=Path)
    smaller.add_argument("frames", help="a folder of pictures, a video, or a camera's address")
    smaller.add_argument("--count", type=int, default=128, help="frames to calibrate on (default: 128)")
    _foreign_arguments(smaller)
    smaller.set_defaults(action=_quantize)


def execute(args: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    code: int = args.action(args)
    return code


def _foreign_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for a file without a description of its own")
    group.add_argument("--family", help="yolo, yolo-end2end, yolox or detr")
    group.add_argument("--labels", help="coco, or the names of the outputs in order, with commas between")
    group.add_argument("--color", help="RGB or BGR")
    group.add_argument("--scale", help="0..1, 0..255 or imagenet")


def _foreign(args: argparse.Namespace) -> ForeignModel:
    labels = None if args.labels is None else labels_of(args.labels)
    return ForeignModel(family=args.family, labels=labels, color=args.color, scale=args.scale)


def _foreign_if_needed(path: Path, args: argparse.Namespace) -> ForeignModel:
    """What the arguments say, for a file that does not say it itself: candidates of both kinds share one run."""
    try:
        read_model(path)
    except ModelError:
        return _foreign(args)
    return ForeignModel()


def _list(args: argparse.Namespace) -> int:
    rest = (Column(name, overflow="fold") for name in ("name", "version", "family", "input", "MB"))
    table = Table(Column("file", no_wrap=True), *rest)
    default, refused, hashes = default_model(), [], []
    for folder in args.folder:
        if not folder.is_dir():
            raise ModelError(f"there is no folder {folder}; name one that holds .onnx files")
    for folder in (*model_folders(), *args.folder):
        for path in sorted(folder.glob("*.onnx")):
            try:
                facts = facts_of(path, ForeignModel())
            except ModelError as error:
                refused.append(f"{path.name} is refused: {error}")
                continue
            mark = " (default)" if path == default else ""
            texts = [str(facts[key]) for key in ("name", "version", "family")]
            cells = (path.name + mark, *texts, _input_words(facts), f"{facts['megabytes']:.1f}")
            table.add_row(*(escape(printable(cell)) for cell in cells))
            hashes.append(printable(f"{facts['sha256']}  {path}"))
    Console(width=max(_OUT.width, _LEAST_WIDTH)).print(table)
    for line in hashes:  # lines of a terminal's own, in the form of sha256sum: a table would break them
        print(line)
    for sentence in refused:
        _OUT.print(escape(printable(sentence)), style="red")
    return 0


def _input_words(facts: Mapping[str, object]) -> str:
    size = facts.get("input")
    return f"{size['width']}x{size['height']}" if isinstance(size, Mapping) else str(facts["task"])


def _inspect(args: argparse.Namespace) -> int:
    facts = facts_of(args.model, _foreign(args))
    if args.json:
        print(json_of(facts))
        return 0
    for line in lines_of({"file": str(args.model), **facts}):
        print(line)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    dataset = open_dataset(args.data, split=args.split, video=args.video)
    verdicts = []
    for path in (args.model, *args.versus):
        foreign = _foreign_if_needed(path, args)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"{path.name} on {dataset.name}", total=len(dataset))
            description, pictures = look_at(path, foreign, dataset, lambda task=task: progress.advance(task))  # type: ignore[misc]
        latencies = tuple(measure(path, foreign, threads, args.runs) for threads in (1, 2)) if args.runs else ()
        verdicts.append(judge(description, dataset.name, pictures, latencies))
        _OUT.print(_table(verdicts[-1]))
    try:
        _write_verdicts(args, verdicts, dataset)
    except OSError as error:
        raise OutputError(
            f"{error.filename or args.plots} can't be written: {error.strerror}; choose another"
        ) from error
    return 0


def _write_verdicts(args: argparse.Namespace, verdicts: list[Verdict], dataset: Dataset) -> None:
    if args.json:
        args.json.write_text(json.dumps([verdict.to_json() for verdict in verdicts], indent=2) + "\n", encoding="utf-8")
    if args.plots:
        args.plots.mkdir(parents=True, exist_ok=True)
        draw_curves(verdicts[0], args.plots / "curves.png")
        draw_misses(verdicts[0], dataset, args.plots / "misses.png")


def _table(verdict: Verdict) -> Table:
    table = Table(title=escape(f"{verdict.model.name} on {verdict.data}, {len(verdict.pictures)} pictures"))
    for column in ("class", "objects", "AP50", "AP50-95", "small", "medium", "large"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, curve in verdict.curves.items():
        bands = [_cell(inner.ap50) for inner in verdict.sizes[name].values()]
        table.add_row(name, str(curve.objects), _cell(curve.ap50), _cell(curve.ap50_95), *bands)
    lines = [
        f"{latency.threads} thread{'s' if latency.threads > 1 else ''}: median {latency.median_ms:.1f} ms, "
        f"95th percentile {latency.p95_ms:.1f} ms, peak memory {latency.peak_memory_mb:.0f} MB"
        for latency in verdict.latencies
    ]
    table.caption = "AP50 by height: small 12-24 px, medium 24-64, large from 64, at 640 px long side\n" + "\n".join(
        lines
    )
    return table


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _describe(args: argparse.Namespace) -> int:
    model = read_model(args.model, _foreign(args))
    given = {"name": args.name, "version": args.model_version, "licence": args.licence}
    named = dataclasses.replace(model.description, **{key: value for key, value in given.items() if value})
    written = write_described(model.data, named, args.output)
    said = f"{args.output} describes itself now: {written.name} {written.version}, sha256 {written.sha256}"
    _OUT.print(escape(said), soft_wrap=True)
    return 0


def _quantize(args: argparse.Namespace) -> int:
    made = quantize(args.model, args.output, args.frames, foreign=_foreign(args), count=args.count)
    before, after = args.model.stat().st_size, args.output.stat().st_size
    said = (
        f"{args.output}: {made.name} {made.version}, {before / 1e6:.1f} MB became {after / 1e6:.1f} MB; "
        f"measure it: kentongan models eval {args.output} DATA --versus {args.model}"
    )
    _OUT.print(escape(said), soft_wrap=True)
    return 0
