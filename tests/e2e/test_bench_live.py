"""The benchmark's live box tells what each stage costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.ops.bench_jobs import live
from tests.fakes.bright_street import TRAFFIC, write_bright_clip, write_bright_model


@pytest.mark.slow
def test_given_a_live_box_then_every_stage_up_to_sending_has_its_cost_per_detection(tmp_path: Path) -> None:
    clip = write_bright_clip(tmp_path / "street.avi", 3.0, TRAFFIC)
    model = write_bright_model(tmp_path / "bright.onnx")
    job = {"video": str(clip), "model": str(model), "labels": None, "threads": 1, "cameras": 1, "seconds": 11}
    result = live(job)
    stages = result["stages_ms_per_detection"]
    assert {"preprocess", "model", "postprocess", "track", "scene", "outbox", "send"} <= set(stages)
    assert all(cost["wall"] >= 0 and cost["cpu"] >= 0 for cost in stages.values())
    assert stages["model"]["wall"] > stages["send"]["wall"], "a detection costs more than its share of a message"
    assert sum(cost["cpu"] for cost in stages.values()) < 2 * result["cpu_ms_per_detection"]
