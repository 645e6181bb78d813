"""What a running box says when its doors stand open, and that no password ever shows in anything it says or sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.agent_process import AgentProcess
from tests.fakes.bright_street import write_bright_model
from tests.fakes.command import command
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.ports import free_port
from tests.fakes.subscriber import Subscriber

CAMERA_SECRET, BROKER_SECRET = "kata-kamera-7", "kata-broker-9"


@pytest.mark.timeout(60)
def test_given_open_files_and_secrets_then_the_agent_warns_at_its_start_and_tells_no_secret(tmp_path: Path) -> None:
    model = write_bright_model(tmp_path / "bright.onnx", fails_on_black=True)
    config, password, state = tmp_path / "box.yaml", tmp_path / "password", tmp_path / "state"
    password.write_text(BROKER_SECRET, encoding="utf-8")
    password.chmod(0o600)
    state.mkdir()
    state.chmod(0o777)
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port) as tmc:
        config.write_text(
            f"device: pole-17\nstate_dir: {state}\nhealth_s: 5\n"
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}, plaintext: true,"
            f" login: {{user: pole-17, password_file: {password}}}}}\n"
            f"models: {{bright: {{file: {model}}}}}\ncameras:\n"
            f"  - {{name: gate, source: 'rtsp://admin:{CAMERA_SECRET}@127.0.0.1:{free_port()}/x', model: bright}}\n",
            encoding="utf-8",
        )
        config.chmod(0o646)
        with AgentProcess(config) as agent:
            agent.await_log("nothing listens at 127.0.0.1")
            tmc.wait_for(lambda heard: sum(one.leaf == "health" for one in heard) >= 2, 40)
            assert agent.stop()[0] == 0
        heard = tmc.wait_quiet()
    for sentence in (
        f"the password of camera gate stands in a file that others may read; chmod 600 {config}",
        f"may change {config} (mode 0646), and with it where records go; chmod o-w {config}",
        f"may delete what waits in {state} (mode 0777); chmod 700 {state}",
    ):
        assert sentence in agent.log
    assert {"birth", "health", "status"} <= {one.leaf for one in heard}
    told = agent.log.encode() + b"".join(one.payload for one in heard)
    assert not [path for path in state.rglob("*") if path.stat().st_mode & 0o077], "what it makes is its user's alone"
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    for secret in (CAMERA_SECRET, BROKER_SECRET):
        assert secret.encode() not in told
        assert secret.encode() not in kept, "nor is it kept with the records"


def test_given_plaintext_to_another_machine_then_every_command_that_takes_it_says_what_that_means(
    tmp_path: Path,
) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        # 0.0.0.0 leads to this machine and is none of its loopback names: what is sent stays here all the same.
        words = ("--port", broker.port, "--plaintext", "--seconds", 0.2)
        for name, rest in (("watch", ()), ("receive", (tmp_path / "received.sqlite",))):
            done = command(name, "0.0.0.0", *rest, *words)
            assert done.code == 0, done.err
            assert "--plaintext: records and the password travel to 0.0.0.0 without TLS" in done.said
            quiet = command(name, "127.0.0.1", *rest, *words)
            assert (quiet.code, quiet.err) == (0, ""), quiet.err
