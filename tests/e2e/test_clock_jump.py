"""A real agent whose wall clock starts four years behind and is set right by NTP: what it told before is corrected."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.agent_process import AgentProcess, await_true, stored_kinds
from tests.fakes.bright_street import TRAFFIC, write_bright_clip, write_bright_model
from tests.fakes.faketime import WallClock, why_unavailable
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.ports import free_port
from tests.fakes.schema import assert_all_valid
from tests.fakes.subscriber import Subscriber

FOUR_YEARS_S = 4 * 365 * 86_400
SLACK_S = 120


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


@pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable() or "available")
@pytest.mark.timeout(120)
def test_given_a_clock_that_ntp_sets_while_the_agent_runs_then_earlier_records_are_corrected_on_sending(
    tmp_path: Path,
) -> None:
    clock = WallClock(tmp_path, "4y")
    state, config = tmp_path / "state", tmp_path / "box.yaml"
    clip = write_bright_clip(tmp_path / "gate.avi", 3.0, TRAFFIC)
    model = write_bright_model(tmp_path / "bright.onnx", fails_on_black=True)
    broker = Mosquitto(tmp_path / "broker", port=free_port())
    config.write_text(
        f"device: pole-17\nstate_dir: {state}\nhealth_s: 5\n"
        f"mqtt: {{host: 127.0.0.1, port: {broker.port}, plaintext: true}}\n"
        f"models: {{bright: {{file: {model}}}}}\ncameras:\n"
        f"  - {{name: gate, source: '{clip}', model: bright,"
        " lines: [{name: middle, points: [[0.5, 0.98], [0.5, 0.02]], interval_s: 10}]}\n",
        encoding="utf-8",
    )
    with AgentProcess(config, clock.environ) as agent:
        agent.await_log("watching 1 cameras", 60)
        # Without a broker the clip ends, and that is an event.
        await_true(lambda: "event" in stored_kinds(state), 60, lambda: agent.log)
        made_before = len(stored_kinds(state))
        clock.set_right()
        with broker, Subscriber(broker.port) as tmc:
            tmc.wait_for(lambda heard: sum("seq" in one.plain for one in heard) > made_before, 40)
            assert agent.stop()[0] == 0
            heard = [one for one in tmc.wait_quiet() if "seq" in one.plain]
    assert_all_valid(heard)
    assert [one.plain["seq"] for one in heard] == list(range(1, len(heard) + 1)), "sequence decides order"
    early, late = heard[:made_before], heard[made_before:]
    assert late
    for one in early:
        assert one.plain["clock"]["synced"]
        assert abs(one.plain["clock"]["corrected_s"] - FOUR_YEARS_S) < 2 * 86_400, "leap days"
    for one in heard:
        assert one.plain["clock"]["synced"], one.plain
        assert abs(seconds_of(one.plain["time"]) - time.time()) < SLACK_S
    assert "corrected_s" not in late[-1].plain["clock"], "made after the clock was right"
