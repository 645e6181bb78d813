"""`kentongan bench`: how fast this box is, where the time goes, and what it costs in memory.

Everything is measured on the real pipeline and printed as JSON. Each measurement runs in a process of its own, so
that memory is its own; what is compared is measured in turn within one run, because machines drift.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import onnxruntime
from rich.console import Console
from rich.progress import Progress

from agent.errors import KentonganError
from agent.ops.assets import default_model, demo_clip
from agent.version import VERSION

CAMERAS: Final = (1, 2, 4, 8)
_TIMEOUT_S: Final = 600
_PAIRS: Final = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("--video", type=Path, help="the video to measure on (default: the demo's)")
    parser.add_argument("--model", type=Path, help="the model (default: the one that ships)")
    parser.add_argument("--labels", help="labels of a foreign model: coco, or names with commas between")
    parser.add_argument("--threads", type=int, default=1, help="threads for the model (default: 1)")
    parser.add_argument("--pairs", type=int, default=_PAIRS, help="how often pipeline and bare loop are compared")
    parser.add_argument("--cameras", type=int, nargs="*", default=CAMERAS, help="numbers of live cameras to try")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each number of cameras runs")
    parser.add_argument("-o", "--output", type=Path, help="write the JSON there as well")


def execute(args: argparse.Namespace) -> int:
    """Measure and print."""
    video = args.video or Path(demo_clip().source)
    model = args.model or default_model()
    job = {"video": str(video), "model": str(model), "labels": args.labels, "threads": args.threads}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=3 * args.pairs + len(args.cameras))

        def measure(kind: str, **more: object) -> dict[str, Any]:
            progress.update(task, description=f"{kind} {more or ''}")
            result = _in_process({**job, "kind": kind, **more})
            progress.advance(task)
            return result

        runs = [(measure("pipeline"), measure("bare"), measure("bare", ready=True)) for _ in range(args.pairs)]
        live = [measure("live", cameras=count, seconds=args.seconds) for count in args.cameras]
    report = {
        "kentongan": VERSION,
        "machine": {
            "processor": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "onnxruntime": onnxruntime.__version__,
        },
        "video": video.name,
        "model": model.name,
        "threads": args.threads,
        "file": _compared(runs),
        "live": live,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    return 0


def _compared(runs: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the runs, and the ratios run by run: the three of a run met the same machine."""
    first = [pipeline for pipeline, _, _ in runs]

    def stages(which: str) -> dict[str, float]:
        names = first[0][which]
        return {name: round(statistics.median(run[which][name] for run in first), 3) for name in names}

    return {
        "frames": first[0]["frames"],
        "frames_per_s": _median(run["frames_per_s"] for run in first),
        "bare_frames_per_s": _median(bare["frames_per_s"] for _, bare, _ in runs),
        "pipeline_to_bare": _median(a["frames_per_s"] / b["frames_per_s"] for a, b, _ in runs),
        "pipeline_to_ready_tensor": _median(a["frames_per_s"] / c["frames_per_s"] for a, _, c in runs),
        "wall_ms_per_frame": stages("wall_ms_per_frame"),
        "cpu_ms_per_frame": stages("cpu_ms_per_frame"),
        "own_share_of_time": _median(run["own_share_of_time"] for run in first),
        "peak_memory_mb": _median(run["peak_memory_mb"] for run in first),
    }


def _median(values: Any) -> float:
    return float(round(statistics.median(values), 4))


def _in_process(job: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "agent.ops.bench_jobs", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise KentonganError(f"measuring failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
