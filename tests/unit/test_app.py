"""The box put together in this process: what it says of itself, what is stuck, how it ends, what it refuses."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.app import App, Liveness
from agent.config.schema import Config, Secrets
from agent.errors import KentonganError, ModelError, OutboxError, SourceError
from agent.health import birth_of, health_of
from agent.mqtt.coding import encode
from agent.ops.notify import Notifier
from agent.ops.run import STUCK, watch
from agent.video import LiveCamera
from tests.fakes.bright_street import TRAFFIC, write_bright_clip, write_bright_model
from tests.fakes.clock import ManualClock
from tests.fakes.command import assert_one_sentence, command
from tests.fakes.ports import free_port
from tests.fakes.records import count_record
from tests.fakes.schema import assert_valid

NOBODY = Notifier(None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_bright_model(folder / "bright.onnx")
    write_bright_clip(folder / "street.avi", 3.0, TRAFFIC)
    return folder


def config_of(files: Path, state: Path, **changes: Any) -> Config:
    line = {"name": "middle", "points": [[0.5, 0.98], [0.5, 0.02]], "interval_s": 10, "a_to_b": "to Solo"}
    lane = {"name": "lane", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]], "rules": {"queue": {}}}
    plain = {
        "device": "pole-17",
        "state_dir": state,
        "mqtt": {"host": "127.0.0.1", "port": free_port(), "plaintext": True},
        "models": {"bright": {"file": files / "bright.onnx"}},
        "cameras": [
            {
                "name": "gate",
                "source": str(files / "street.avi"),
                "model": "bright",
                "place": "mast",
                "lines": [line],
                "zones": [lane],
            }
        ],
    }
    return Config.model_validate({**plain, **changes})


@pytest.fixture
def config(files: Path, tmp_path: Path) -> Config:
    return config_of(files, tmp_path / "state")


@pytest.fixture
def app(config: Config) -> Iterator[App]:
    made = App(config, Secrets(), loop_files=True)
    made.start()
    yield made
    made.stop()


def test_a_box_that_watches_is_alive_and_says_what_it_is_and_how_it_fares(app: App) -> None:
    _await(lambda: app.lanes[0].detections >= 12)
    assert app.liveness() == Liveness(())
    assert app.liveness().ok
    health = app.publish_health()
    assert health.cameras["gate"].state == "live"
    assert health.outbox.ok
    assert health.link.connected is False
    assert any("127.0.0.1" in problem for problem in health.problems)
    assert health.own_memory_mb is not None
    assert health.own_memory_mb > 20
    assert_valid("kentongan/v1/pole-17/health", encode(health))
    birth = birth_of(app)
    assert birth.cameras[0].lines[0].a_to_b == "to Solo"
    assert birth.cameras[0].zones[0].rules == ("queue",)
    assert [(model.key, model.name, model.provider) for model in birth.models] == [("bright", "bright", "cpu")]
    assert_valid("kentongan/v1/pole-17/birth", encode(birth))


def test_what_is_stuck_is_named(app: App) -> None:
    app.loop.stop()
    app.loop.join(5)
    assert app.liveness().stuck == ("watching",)
    app.link.stop(2)
    assert app.liveness().stuck == ("watching", "mqtt")
    app.writer.stop(2)
    assert app.liveness().stuck == ("watching", "outbox", "mqtt")
    assert not app.liveness().ok


def test_a_stage_that_is_stuck_ends_the_daemon_with_a_code_of_its_own(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.loop.stop()
    app.loop.join(5)
    assert watch(app, NOBODY, threading.Event()) == STUCK == 70
    assert "stuck: watching" in caplog.text


class Speechless(App):
    """A box whose outbox can't take what is new in the updates."""

    def tell_updates(self) -> bool:
        raise OutboxError("the outbox is full")


def test_updates_that_can_not_be_told_now_do_not_end_the_daemon(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    app, stopping, codes = Speechless(config, Secrets(), loop_files=True), threading.Event(), list[int]()
    app.start()
    watching = threading.Thread(target=lambda: codes.append(watch(app, NOBODY, stopping)))
    watching.start()
    _await(lambda: "the outbox is full" in caplog.text)
    stopping.set()
    watching.join(5)
    app.stop()
    assert codes == [0]


def test_the_daemon_tells_systemd_how_it_fares_until_it_is_told_to_stop(app: App, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        stopping = threading.Event()
        codes: list[int] = []
        watching = threading.Thread(
            target=lambda: codes.append(watch(app, Notifier(str(tmp_path / "notify")), stopping))
        )
        watching.start()
        told = {manager.recv(4096).decode().split("=")[0]: True for _ in range(2)}
        stopping.set()
        watching.join(5)
    assert codes == [0]
    assert told.keys() == {"WATCHDOG", "STATUS"}


def test_stopped_in_the_middle_the_open_interval_is_in_the_outbox_and_the_next_start_goes_on(config: Config) -> None:
    first = App(config, Secrets(), loop_files=True)
    first.start()
    _await(lambda: first.lanes[0].detections >= 12)
    assert first.stop()
    second = App(config, Secrets(), loop_files=True)
    assert [row.kind for row in second.outbox.pending()][:2] == ["count", "count"]
    assert second.outbox.load_state().keys() == {"gate"}
    assert second.boot != first.boot
    second.start()
    assert second.stop()


def test_a_full_outbox_drops_counts_tells_so_and_counting_goes_on(files: Path, tmp_path: Path) -> None:
    app = App(config_of(files, tmp_path / "state", outbox={"max_mb": 1}), Secrets(), loop_files=True)
    app.start()
    try:
        for start in range(0, 12_000, 1000):
            app.writer.put([count_record(number) for number in range(start, start + 1000)])
            assert app.writer.flush(20)
        before = app.lanes[0].detections
        _await(lambda: app.lanes[0].detections >= before + 5)
        health = health_of(app)
        kinds = {row.kind for row in app.outbox.pending(limit=10)} | {
            row.kind for row in app.outbox.pending(after=app.outbox.last - 5)
        }
    finally:
        assert app.stop()
    assert "gap" in kinds
    room = health.outbox.room
    assert room is not None
    assert room.used_mb <= room.total_mb <= 1.0
    assert app.liveness().stuck, "stopped"


def test_parts_already_made_are_closed_when_a_later_one_is_refused(files: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    cameras = [
        {"name": "one", "source": str(files / "street.avi"), "model": "bright"},
        {"name": "two", "source": str(tmp_path / "missing.avi"), "model": "bright"},
    ]
    with pytest.raises(SourceError, match=r"missing\.avi"):
        App(config_of(files, state, cameras=cameras), Secrets())
    again = App(config_of(files, state), Secrets())  # the folder is free again
    again.start()
    assert again.stop()


def test_a_live_camera_is_read_as_its_configuration_says_and_no_picture_is_converted_in_vain(
    files: Path, tmp_path: Path
) -> None:
    camera = {"name": "live", "source": f"rtsp://127.0.0.1:{free_port()}/s", "model": "bright", "transport": "udp"}
    app = App(config_of(files, tmp_path / "state", cameras=[{**camera, "detect_fps": 4, "identical_s": 7}]), Secrets())
    try:
        source = app.lanes[0].source
        assert isinstance(source, LiveCamera)
        options = source._options
        assert (options.max_fps, options.identical_s, options.capture.transport) == (4, 7, "udp")
    finally:
        app.start()
        assert app.stop()


def test_a_manual_clock_has_no_problem_to_tell_and_the_machines_own_may(config: Config) -> None:
    app = App(config, Secrets(), clock=ManualClock())
    assert app.clock_problems() == ()
    assert app.uptime_s() == 0
    app.start()
    assert app.stop()


def _await(condition: Any, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.02)


def write(path: Path, files: Path, **changes: str) -> Path:
    parts = {
        "state": str(path.parent / "state"),
        "model": str(files / "bright.onnx"),
        "source": str(files / "street.avi"),
        "more": "",
        **changes,
    }
    path.write_text(
        "device: pole-17\nstate_dir: {state}\nmqtt: {{host: 127.0.0.1, port: 1, plaintext: true}}\n"
        "models: {{bright: {{file: {model}}}}}\n"
        "cameras: [{{name: gate, source: '{source}', model: bright}}]\n{more}".format(**parts),
        encoding="utf-8",
    )
    return path


def test_the_daemon_refuses_what_it_cannot_use_with_one_sentence_and_the_right_code(
    files: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("a note", encoding="utf-8")
    box = tmp_path / "box.yaml"
    assert_one_sentence(command("run", write(box, files, more="colour: red\n")), 78, "box.yaml:6", "colour")
    assert_one_sentence(command("run", tmp_path / "nothing.yaml"), 78, "nothing.yaml")
    assert_one_sentence(command("run", write(box, files, model=str(note))), 65, "note.txt")
    assert_one_sentence(command("run", write(box, files, state=str(note / "state"))), 74, "note.txt")
    assert_one_sentence(command("run", write(box, files, source=str(note))), 66, "note.txt")
    assert_one_sentence(command("run", write(box, files, source="rtsp://u:sesame@")), 66)
    assert "sesame" not in command("run", write(box, files, source="rtsp://u:sesame@")).said


def test_the_daemon_ends_cleanly_when_told_in_this_process(files: Path, tmp_path: Path) -> None:
    teller = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
    old = signal.getsignal(signal.SIGTERM)
    teller.start()
    done = command("run", write(tmp_path / "box.yaml", files))
    teller.join()
    assert done.code == 0, done.err
    assert "watching 1 cameras as pole-17" in done.err
    assert signal.getsignal(signal.SIGTERM) is old


def test_errors_are_of_one_tree_with_codes_that_mean_something() -> None:
    assert {error.exit_code for error in (ModelError, OutboxError, SourceError)} == {65, 74, 66}
    assert all(issubclass(error, KentonganError) for error in (ModelError, OutboxError, SourceError))
