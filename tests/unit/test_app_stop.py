"""A box stops in time whatever its disk does."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from agent.app import App
from agent.config.schema import Config, Secrets
from tests.fakes.bright_street import TRAFFIC, write_bright_clip, write_bright_model
from tests.fakes.ports import free_port


def test_given_a_commit_that_hangs_then_the_box_stops_within_five_seconds(tmp_path: Path) -> None:
    clip, model = tmp_path / "street.avi", tmp_path / "bright.onnx"
    write_bright_clip(clip, 3.0, TRAFFIC)
    write_bright_model(model)
    config = Config.model_validate(
        {
            "device": "pole-17",
            "state_dir": tmp_path / "state",
            "mqtt": {"host": "127.0.0.1", "port": free_port(), "plaintext": True},
            "models": {"bright": {"file": model}},
            "cameras": [{"name": "east", "source": str(clip), "model": "bright"}],
        }
    )
    app = App(config, Secrets(), loop_files=True)
    app.start()
    held, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        held.set()
        assert let_go.wait(60)

    hanging = threading.Thread(target=lambda: app.outbox._guarded(hang))
    hanging.start()
    assert held.wait(10)
    assert app.publish_health().outbox is not None, "health is told while the disk hangs"
    began_s = time.monotonic()
    assert not app.stop()
    assert time.monotonic() - began_s < 5
    let_go.set()
    hanging.join(10)
    app.writer._thread.join(10)
    assert app.outbox.close()
