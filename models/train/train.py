"""Trains the street model from random weights and keeps a checkpoint it can go on from.

    python -m models.train.train --data DIR --run DIR (--hours H | --images N) [--processes 2] [--device cuda]

The same command starts a run and resumes it. Small pictures first, the deployed size last; one cosine schedule
over the whole run, by wall time trained (`--hours`) or by pictures seen (`--images`). Writes into the run's folder
`config.json` (plan, versions, hash of the data), `log.jsonl`, `last.pt` (everything a resume needs) and `ema-*.pt`
(snapshots of the averaged weights). Weights are random at first, or those of a file of this recipe (`--start-from`),
whose sha256 is recorded; they are read from nowhere else.
"""

from __future__ import annotations

import argparse
import math
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from models.train.dataset import BadDataError, folder_hash, read_split
from models.train.diary import Diary
from models.train.pictures import Pictures, batches, collate
from models.train.plan import Plan
from models.train.processes import agreed
from models.train.record import prepare_folder, record_of
from models.train.run import Run, reached
from models.train.start import origin_of, start_from

if TYPE_CHECKING:
    from models.train.dataset import Sample

HERE = Path(__file__).resolve().parent
STATISTICS_PICTURES = 64  # to measure the normalisations of a file on


def train(run: Run, samples: list[Sample], *, hours: float | None, images: int | None, workers: int) -> None:
    """Train through all stages that are still ahead; log a line a minute, save every five."""
    budget = hours * 3600 if hours is not None else float(images or 0)
    diary = Diary(run)

    def progress() -> float:
        return (run.trained_s if hours is not None else run.images) / budget

    for number, stage in enumerate(run.plan.stages):
        if progress() >= stage.until:
            continue
        mark = time.monotonic()
        for batch in batches(samples, run, stage, workers):
            loss = run.train_step(batch, progress())
            if not math.isfinite(loss):
                raise SystemExit(f"step {run.step}: the loss is {loss}; last.pt holds the weights before it")
            now = time.monotonic()
            run.trained_s = agreed(run.trained_s + now - mark)
            mark = now
            diary.after_step(loss, progress(), stage)
            if progress() >= stage.until:
                break
        diary.save(f"ema-stage{number}.pt")


def train_process(number: int, processes: int, port: int, samples: list[Sample], args: argparse.Namespace) -> None:
    """One process of the run; several share each batch."""
    torch.set_num_threads(args.threads)
    if processes > 1:
        address = f"tcp://127.0.0.1:{port}"
        torch.distributed.init_process_group("gloo", init_method=address, rank=number, world_size=processes)
    run = Run(args.run, plan_of(args), args.device)
    resumed = run.resume()
    if not resumed and args.start_from is not None:
        last = run.plan.stages[-1]
        seen = Pictures(samples, run.plan, last)
        batch = collate([seen[i] for i in range(STATISTICS_PICTURES)])
        run.begin_with(lambda model: start_from(model, args.start_from, batch["img"].float() / 255))
    if number == 0:
        print(f"{'resumes' if resumed else 'starts'} at {run.images} pictures, {len(samples)} stills", flush=True)
    train(run, samples, hours=args.hours, images=args.images, workers=args.workers)
    if number == 0:
        print(f"done: {run.folder / 'last.pt'}, {run.images} pictures", flush=True)


def plan_of(args: argparse.Namespace) -> Plan:
    """The plan with what the command line says of it."""
    return Plan(batch=args.batch, learning_rate=args.learning_rate)


def arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder unpack_street.py wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run: made, or resumed")
    parser.add_argument("--network", type=Path, default=HERE / "street.yaml")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="train this long, counting all resumed parts")
    length.add_argument("--images", type=int, help="train on this many pictures")
    parser.add_argument("--batch", type=int, default=Plan().batch, help="pictures in a step, over all processes")
    parser.add_argument(
        "--start-from", type=Path, metavar="ONNX", help="begin with a file of this recipe, not at random"
    )
    parser.add_argument("--learning-rate", type=float, default=Plan().learning_rate, help="the highest of the run")
    parser.add_argument("--data-changed", metavar="WHY", help="go on with other data than before; recorded")
    parser.add_argument("--plan-changed", metavar="WHY", help="go on by another plan than before; recorded")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="CPU only: processes that share each batch")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process")
    parser.add_argument("--workers", type=int, default=1, help="helpers of each process that make pictures")
    args = parser.parse_args()
    if args.batch % args.processes:
        parser.error(f"--batch {args.batch} can't be shared by {args.processes} processes evenly")
    return args


def main() -> None:
    """Check the data, write the record, train."""
    args = arguments()
    try:
        samples = read_split(args.data, "train")
    except BadDataError as error:
        raise SystemExit(str(error)) from None
    plan = plan_of(args)
    data_sha256 = folder_hash(args.data)
    origin = None if args.start_from is None else origin_of(args.start_from)
    record = record_of(plan, data_sha256=data_sha256, stills=len(samples), command=sys.argv[1:], origin=origin)
    prepare_folder(args.run, args.network, record, args.data_changed, args.plan_changed, reached(args.run))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Forked, so that the stills are in memory once.
    shared = (args.processes, port, samples, args)
    if args.processes == 1:
        train_process(0, *shared)
    else:
        torch.multiprocessing.start_processes(train_process, shared, args.processes, start_method="fork")


if __name__ == "__main__":
    main()
