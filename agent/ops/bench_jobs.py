"""The measurements of `kentongan bench`, each run in a process of its own: `python -m agent.ops.bench_jobs JOB`.

A job is a JSON object; its result is the last line of standard output. `pipeline` counts a file with everything but
the network, `bare` only decodes it and runs the model, `live` runs a whole box with several cameras and a broker.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from agent.app import App
from agent.assembly import open_configured
from agent.clock import SystemClock
from agent.config.schema import Camera, Config, Model, Secrets
from agent.host import look
from agent.ops.embedded_broker import EmbeddedBroker
from agent.ops.replay import Replay
from agent.outbox import Outbox
from agent.records import Record
from agent.stages import StageTimes
from agent.vision.describe import ForeignModel
from agent.vision.detector import Detector
from agent.vision.engine import EngineOptions, OnnxEngine
from agent.vision.model_file import read_model

_LINES: Final = [
    {"name": "across", "points": [[0.02, 0.5], [0.98, 0.5]], "interval_s": 10},
    {"name": "upright", "points": [[0.5, 0.98], [0.5, 0.02]], "interval_s": 10},
]
_ZONES: Final = [
    {"name": "picture", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]], "interval_s": 10},
]
_WARM_UP_S: Final = 3.0
_BOOT: Final = "00000000-0000-4000-8000-000000000000"


def _model(job: dict[str, Any]) -> Model:
    words = job["labels"]
    labels = tuple(words.split(",")) if words and "," in words else words
    return Model.model_validate({"file": job["model"], "labels": labels, "threads": job["threads"]})


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def _detector(job: dict[str, Any]) -> Detector:
    return open_configured(_model(job))


def pipeline(job: dict[str, Any]) -> dict[str, Any]:
    """A file through decoding, model, tracker, scene and outbox, one frame after the other."""
    camera = Camera.model_validate({"name": "camera", "source": job["video"], "lines": _LINES, "zones": _ZONES})
    times = StageTimes()
    replay = Replay(Path(job["video"]), camera, _detector(job), start_s=0.0, times=times)
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder) / "outbox.db", boot=_BOOT, clock=SystemClock())

        def keep(records: list[Record]) -> None:
            if records:
                with times.measure("outbox"):
                    outbox.append(records, {})

        frames = 0
        start_s = time.perf_counter()
        for _, seen in replay.run():
            frames += 1
            keep(seen.records)
        took_s = time.perf_counter() - start_s
        keep(replay.finish())
        outbox.close()
    wall = {name: spent.wall_s * 1000 / frames for name, spent in times.spent.items() if spent.times}
    own = took_s * 1000 / frames - wall["decode"] - wall["model"]
    return {
        "frames": frames,
        "frames_per_s": frames / took_s,
        "wall_ms_per_frame": wall,
        "cpu_ms_per_frame": {n: spent.cpu_s * 1000 / frames for n, spent in times.spent.items() if spent.times},
        "own_share_of_time": own * frames / (took_s * 1000),
        "peak_memory_mb": _peak_mb(),
    }


def bare(job: dict[str, Any]) -> dict[str, Any]:
    """The least that could be done: OpenCV decodes each frame and lays it into a tensor, the model runs.

    With ``ready`` in the job the model runs on one tensor that is there from the start, which no counter could do.
    """
    chosen = _model(job)
    foreign = ForeignModel(labels=chosen.labels)
    model = read_model(chosen.file, foreign)
    engine = OnnxEngine(model, EngineOptions(threads=chosen.threads))
    taken = model.description.input
    size = (taken.width_px, taken.height_px)
    tensor = np.zeros((1, 3, taken.height_px, taken.width_px), np.float32)
    capture = cv2.VideoCapture(job["video"])
    frames = 0
    engine.run(tensor)
    start_s = time.perf_counter()
    while True:
        there, frame = capture.read()
        if not there:
            break
        engine.run(tensor if job.get("ready") else cv2.dnn.blobFromImage(frame, size=size))
        frames += 1
    took_s = time.perf_counter() - start_s
    capture.release()
    return {"frames": frames, "frames_per_s": frames / took_s, "peak_memory_mb": _peak_mb()}


def live(job: dict[str, Any]) -> dict[str, Any]:
    """A whole box: so many cameras at real speed, an outbox, a link, a broker beside it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        broker = EmbeddedBroker()
        stack.callback(broker.close)
        app = App(_box(job, broker.port, Path(folder)), Secrets(), loop_files=True)
        stack.callback(app.stop)
        app.start()
        time.sleep(_WARM_UP_S)
        before = _thread_cpu_s()
        charged = _stages(app)
        seen = {lane.name: lane.detections for lane in app.lanes}
        start_s = time.perf_counter()
        time.sleep(job["seconds"])
        took_s = time.perf_counter() - start_s
        rates = {lane.name: round((lane.detections - seen[lane.name]) / took_s, 2) for lane in app.lanes}
        cpu = {name: spent - before.get(name, 0.0) for name, spent in _thread_cpu_s().items()}
        stages = {
            name: tuple(late - early for late, early in zip(spent, charged[name], strict=True))
            for name, spent in _stages(app).items()
        }
        memory = look(Path(folder)).memory_rss_mb
    total = sum(rates.values())
    detections = total * took_s
    return {
        "cameras": job["cameras"],
        "detections_per_s": rates,
        "cpu_share": {name: round(spent / took_s, 4) for name, spent in sorted(cpu.items()) if spent > 0.001},
        "cpu_ms_per_detection": round(sum(cpu.values()) * 1000 / detections, 2) if total else None,
        "stages_ms_per_detection": {
            name: {"wall": round(wall_s * 1000 / detections, 3), "cpu": round(cpu_s * 1000 / detections, 3)}
            for name, (wall_s, cpu_s) in stages.items()
            if total and wall_s
        },
        "resident_memory_mb": memory,
        "peak_memory_mb": _peak_mb(),
    }


def _box(job: dict[str, Any], port: int, folder: Path) -> Config:
    camera = {"source": job["video"], "lines": _LINES, "zones": _ZONES, "identical_s": 3600}
    return Config.model_validate(
        {
            "device": "bench-box",
            "state_dir": folder,
            "mqtt": {"host": "127.0.0.1", "port": port, "plaintext": True, "protocol": "3.1.1"},
            "models": {"street": _model(job).model_dump(exclude_none=True)},
            "cameras": [{**camera, "name": f"camera-{number}"} for number in range(1, job["cameras"] + 1)],
        }
    )


def _stages(app: App) -> dict[str, tuple[float, float]]:
    """Wall and CPU seconds that each stage took so far."""
    return {name: (spent.wall_s, spent.cpu_s) for name, spent in app.times.spent.items()}


def _thread_cpu_s() -> dict[str, float]:
    """CPU seconds of each thread of this process that has a name: `watching` holds model, tracker and scene."""
    return {
        thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None
    }


JOBS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {"pipeline": pipeline, "bare": bare, "live": live}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(JOBS[given["kind"]](given)) + "\n")
