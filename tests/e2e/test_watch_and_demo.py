"""`kentongan watch` at a real broker, and `kentongan demo` as a person starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import KernelClocks
from agent.mqtt.coding import encode
from agent.mqtt.messages import Status
from agent.ops.embedded_broker import EmbeddedBroker
from tests.fakes.box import Box
from tests.fakes.bright_street import write_bright_clip
from tests.fakes.command import assert_one_sentence, command
from tests.fakes.messages import BOOT
from tests.fakes.mosquitto import Mosquitto, add_user
from tests.fakes.ports import free_port
from tests.fakes.records import count_record, event_record

REPOSITORY = Path(__file__).resolve().parents[2]


def test_watching_shows_every_message_as_a_line_and_makes_no_box_forget(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Box(tmp_path, broker.port, delivery="application") as box:
        box.await_connected()
        later = threading.Timer(1.0, lambda: box.put(count_record(1), event_record(2)))
        later.start()
        done = command("watch", "127.0.0.1", "--port", broker.port, "--plaintext", "--seconds", 4)
        later.join()
        assert done.code == 0, done.err
        assert "pole-17 is online" in done.out
        assert "#1 pole-17/junction-3 count north a_to_b" in done.out
        assert "#2 pole-17/junction-3 event wrong_way start north" in done.out
        assert box.outbox.depth().records == 2
        only = command("watch", "127.0.0.1", "--port", broker.port, "--plaintext", "--seconds", 1, "--device", "other")
        assert only.out == ""


def test_watching_with_a_user_and_a_password_file(tmp_path: Path) -> None:
    add_user(tmp_path / "users", "viewer", "sesame-street")
    lines = ("listener {port} 127.0.0.1", f"password_file {tmp_path}/users")
    secret, wrong = tmp_path / "secret", tmp_path / "wrong"
    for path, text in ((secret, "sesame-street"), (wrong, "open-barley")):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    with Mosquitto(tmp_path / "broker", lines) as broker:
        words = ("watch", "127.0.0.1", "--port", broker.port, "--plaintext", "--seconds", 0.5, "--user", "viewer")
        assert command(*words, "--password-file", secret).code == 0
        refused = command(*words, "--password-file", wrong)
    assert_one_sentence(refused, 69, "refuses the connection", "check user and password")
    assert "open-barley" not in refused.said


def test_a_broker_that_is_not_there_and_words_that_do_not_fit_get_one_sentence(tmp_path: Path) -> None:
    port = free_port()
    assert_one_sentence(command("watch", "127.0.0.1", "--port", port, "--plaintext"), 69, f"127.0.0.1:{port}")
    assert_one_sentence(command("watch", "127.0.0.1", "--port", 99999), 78, "port")
    assert_one_sentence(command("watch", "127.0.0.1", "--cert-file", tmp_path / "a.pem"), 78, "needs both")


def test_the_embedded_broker_passes_messages_on_and_is_gone_afterwards() -> None:
    broker = EmbeddedBroker()
    speaker = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    status = encode(Status(device="pole-17", boot=BOOT, state="online"))
    try:
        speaker.connect("127.0.0.1", broker.port)
        speaker.loop_start()
        speaker.publish("kentongan/v1/pole-17/status", status, 1, retain=True).wait_for_publish(5)
        done = command("watch", "127.0.0.1", "--port", broker.port, "--plaintext", "--seconds", 1)
    finally:
        speaker.disconnect()
        speaker.loop_stop()
        broker.close()
    assert "pole-17 is online" in done.out
    assert_one_sentence(command("watch", "127.0.0.1", "--port", broker.port, "--plaintext"), 69)


@pytest.mark.slow
def test_the_demo_shows_counts_as_a_subscriber_received_them_and_ends_well(tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/nonexistent"}
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "agent", "demo", "--seconds", "12"],
        cwd=REPOSITORY,
        env=environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Kentongan demo: playing" in done.stderr
    assert "demo-box is online" in done.stdout
    counts = [line for line in done.stdout.splitlines() if " count " in line]
    assert counts
    assert any("car " in line or "person " in line for line in counts), done.stdout
    assert "cut short" in counts[-1], "the interval that the end cut is told from a whole one"
    assert ("so every interval says clock_unset" in " ".join(done.stderr.split())) is not KernelClocks().read().synced
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began_s > 12


def test_the_demo_plays_a_file_of_ones_own_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    clip = write_bright_clip(tmp_path / "own.avi", 3)
    with subprocess.Popen(
        [sys.executable, "-m", "agent", "demo", "--source", str(clip)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread holds a lock here
    ) as demo:
        assert demo.stdout is not None
        first = demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        out, err = demo.communicate(timeout=30)
    assert demo.returncode == 0, (out, err)
    assert "own.avi,looping" in "".join(err.split()), "wherever the terminal breaks the line"
    assert "demo-box" in first
    assert "Traceback" not in err


def test_the_demo_refuses_a_source_that_is_no_video(tmp_path: Path) -> None:
    assert_one_sentence(command("demo", "--source", tmp_path / "nothing.avi", "--seconds", 1), 66, "nothing.avi")
