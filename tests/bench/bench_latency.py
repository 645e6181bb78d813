"""How long from a frame of a live camera to the broker's acknowledgement: ``python tests/bench/bench_latency.py [s]``.

A real RTSP server, a whole box with the default model, a real Mosquitto; sixteen lines with intervals of ten
seconds, so that each interval's end sends thirty-two records. Prints JSON; nothing is judged here.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app import App
from agent.config.schema import Config, Secrets
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.rtsp_server import RtspServer, why_unavailable

LINES = [
    {"name": f"line-{number}", "points": [[0.05, 0.1 + 0.05 * number], [0.95, 0.1 + 0.05 * number]], "interval_s": 10}
    for number in range(16)
]


def measure(seconds: float) -> dict[str, object]:
    """Run a box for so long and say how late acknowledgements were, milliseconds."""
    late_ms: list[float] = []
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name) / "broker") as broker, RtspServer() as server:
        config = Config.model_validate(
            {
                "device": "bench-box",
                "state_dir": Path(name) / "state",
                "mqtt": {"host": "127.0.0.1", "port": broker.port, "plaintext": True},
                "cameras": [{"name": "camera", "source": server.url, "lines": LINES}],
            }
        )
        app = App(config, Secrets())
        settle = app.writer.done

        def done(seq: int) -> None:
            row = app.outbox.row(seq)
            if row is not None and row.mono_s is not None:
                late_ms.append((app.clock.now().mono_s - row.mono_s) * 1000)
            settle(seq)

        app.writer.done = done  # type: ignore[method-assign] - looks on, changes nothing
        app.start()
        time.sleep(seconds)
        model_ms = app.times.spent["model"].wall_s * 1000 / max(1, app.times.spent["model"].times)
        app.stop()
    return {
        "records": len(late_ms),
        "median_ms": round(float(np.median(late_ms)), 1),
        "p95_ms": round(float(np.percentile(late_ms, 95)), 1),
        "model_ms": round(model_ms, 1),
    }


if __name__ == "__main__":
    if why_unavailable():
        sys.exit(why_unavailable())
    print(json.dumps(measure(float(sys.argv[1]) if len(sys.argv) > 1 else 45.0), indent=2))
