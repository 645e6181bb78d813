"""kill -9 while a clip is gathered: after the next start its parts lie there, and the centre is told of them."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

from agent.evidence.avi import unpack
from agent.evidence.sealing import open_sealed
from tests.fakes.agent_process import AgentProcess, await_true, stored_records
from tests.fakes.bright_street import Square, write_bright_clip, write_bright_model
from tests.fakes.evidence import key_pair
from tests.fakes.ports import free_port

ONE_WAY = (
    "{polygon: [[0.05, 0.05], [0.95, 0.05], [0.95, 0.95]], name: lane, rules: {wrong_way: {along: [[0, 0], [1, 0]]}}}"
)


def has_told(state: Path) -> bool:
    """Whether a running box has told of a clip: its state says so, and is committed with the record."""
    with contextlib.closing(sqlite3.connect(state / "outbox.db", timeout=5)) as db:
        return bool(db.execute("SELECT count(*) FROM state WHERE instr(json, '.avi.age') > 0").fetchone()[0])


@pytest.mark.timeout(90)
def test_given_a_kill_while_a_clip_is_gathered_then_what_the_ring_held_is_kept_and_told(tmp_path: Path) -> None:
    clip = write_bright_clip(tmp_path / "gate.avi", 30.0, (Square(7.0, 64, rightwards=False),))
    model = write_bright_model(tmp_path / "bright.onnx")
    key, key_file = key_pair(tmp_path)
    config, state = tmp_path / "box.yaml", tmp_path / "state"
    config.write_text(
        f"device: pole-17\nstate_dir: {state}\nmqtt: {{host: 127.0.0.1, port: {free_port()}, plaintext: true}}\n"
        f"models: {{bright: {{file: {model}}}}}\n"
        f"evidence: {{keys: [{key}], on: [wrong_way], before_s: 8, after_s: 20, ring: {{minutes: 5}}}}\ncameras:\n"
        f"  - {{name: gate, source: '{clip}', model: bright, zones: [{ONE_WAY}]}}\n",
        encoding="utf-8",
    )
    clips = state / "evidence" / "clips"
    with AgentProcess(config) as agent:
        await_true(lambda: list(clips.glob(".*.pending")), 40, lambda: agent.log)
        agent.kill()
    assert not list(clips.glob("*.age"))
    with AgentProcess(config) as agent:
        agent.await_log("parts from the ring")
        await_true(lambda: list(clips.glob("*.json")), 20, lambda: agent.log)
        await_true(lambda: has_told(state), 20, lambda: agent.log)
        agent.stop()
    told = {
        part["clip"]: part["sha256"]
        for record in stored_records(state)
        for part in record.get("details", {}).get("evidence", ())
    }
    kept = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in clips.glob("*.age")}
    assert kept
    assert told == kept
    for name in kept:
        assert unpack(open_sealed((clips / name).read_bytes(), key_file))[1]
