"""`kentongan check`: what a machine lacks, what can't count, and a picture of what was understood."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from typing import Any

import cv2
import pytest

from agent.config.fault import FaultyConfigError
from agent.config.load import parse_config
from agent.config.schema import Config, Secrets
from agent.errors import KentonganError
from agent.ops.check import check, configure, draw_config, execute, run_check
from agent.ops.check_live import grab, is_remote, judge_probe, recording
from agent.ops.check_site import check_site
from agent.ops.findings import Finding, Level
from agent.video.probe import Probe
from tests.fakes.clips import render_clip
from tests.fakes.ports import free_port

LINE = "lines: [{name: utara, points: [[0.1, 0.6], [0.9, 0.6]]}]"


def text_of(
    folder: Path, *, mqtt: str = "", camera: str = LINE, source: str = "rtsp://127.0.0.1/x", top: str = ""
) -> str:
    return (
        f"device: box-1\nstate_dir: {folder}\n{top}"
        f"mqtt: {{host: broker.example.org{mqtt}}}\n"
        f"cameras:\n- name: simpang\n  source: {source}\n  {camera}\n"
    )


def findings_of(folder: Path, **parts: str) -> list[Finding]:
    return check(parse_config(text_of(folder, **parts), "f"))


def the_finding(folder: Path, **parts: str) -> Finding:
    (finding,) = findings_of(folder, **parts)
    return finding


def test_given_a_good_configuration_then_nothing_is_found(tmp_path: Path) -> None:
    assert findings_of(tmp_path) == []


@pytest.mark.parametrize(
    ("parts", "level", "sign", "place"),
    [
        ({"mqtt": ", plaintext: true, port: 1883"}, "warning", "without TLS", ("mqtt", "plaintext")),
        ({"mqtt": ", port: 1883"}, "warning", "port 1883 speaks no TLS", ("mqtt", "port")),
        ({"mqtt": ", tls: {ca_file: /nope.pem}"}, "error", "holds no certificates", ("mqtt", "tls")),
        (
            {"mqtt": ", login: {password_file: /nope}"},
            "error",
            "mqtt.login: the file that password_file",
            ("mqtt", "login"),
        ),
        ({"camera": f"login: {{password_file: /nope}}\n  {LINE}"}, "error", "can't be read", ("cameras", 0, "login")),
        ({"mqtt": ", login: {password_env: NOPE_KENTONGAN}"}, "warning", "is not set", ("mqtt", "login")),
        ({"source": "ftp://h/x"}, "error", "no source can be opened with ftp://", ("cameras", 0, "source")),
        ({"source": "/nope.mp4"}, "error", "the video /nope.mp4 does not exist", ("cameras", 0, "source")),
        ({"source": "/dev/video97"}, "warning", "is not plugged in", ("cameras", 0, "source")),
        ({"camera": "place: x"}, "warning", "counts nothing", ("cameras", 0)),
        ({"camera": f"detect_fps: 4\n  {LINE}"}, "warning", "tracking needs 8", ("cameras", 0, "detect_fps")),
        ({"camera": "lines: [{name: l, points: [[0.1, 0.6], [0.11, 0.6]]}]"}, "error", "shorter than an object", None),
        ({"top": "models: {big: {file: /nope.onnx}}\n"}, "warning", "big is used by no camera", ("models", "big")),
        (
            {"top": "models: {big: {file: /nope.onnx}}\n", "camera": f"model: big\n  {LINE}"},
            "error",
            "/nope.onnx can't be read",
            ("models", "big"),
        ),
        (
            {"camera": "lines: [{name: l, road: moon, points: [[0.1, 0.6], [0.9, 0.6]]}]"},
            "error",
            "moon",
            ("cameras", 0),
        ),
    ],
)
def test_given_one_thing_wrong_then_it_is_found(
    tmp_path: Path, parts: dict[str, str], level: str, sign: str, place: Any
) -> None:
    finding = the_finding(tmp_path, **parts)
    assert finding.level == level
    assert sign in finding.wrong
    assert finding.hint
    assert place is None or finding.path == place


def test_given_a_tls_port_without_tls_then_it_is_warned_of_beside_the_plaintext(tmp_path: Path) -> None:
    wrongs = [finding.wrong for finding in findings_of(tmp_path, mqtt=", plaintext: true")]
    assert any("port 8883 wants TLS" in wrong for wrong in wrongs)
    assert len(wrongs) == 2


def test_given_a_broker_on_this_box_then_plaintext_is_fine(tmp_path: Path) -> None:
    text = text_of(tmp_path, mqtt=", plaintext: true, port: 1883").replace("broker.example.org", "localhost")
    assert check(parse_config(text, "f")) == []


def test_given_classes_the_model_never_says_then_a_line_of_only_those_is_an_error(tmp_path: Path) -> None:
    line = "lines: [{{name: l, points: [[0.1, 0.6], [0.9, 0.6]], classes: [{}]}}]"
    only = the_finding(tmp_path, camera=line.format("other"))
    assert only.level is Level.ERROR
    assert "watches other, which model" in only.wrong
    some = the_finding(tmp_path, camera=line.format("car, other"))
    assert some.level is Level.WARNING
    assert findings_of(tmp_path, camera=line.format("car, motorcycle")) == []


def test_given_a_state_folder_that_is_a_file_then_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    finding = the_finding(tmp_path / "state" / "deeper")
    assert finding.level is Level.ERROR
    assert "is a file" in finding.wrong


def test_given_a_disk_smaller_than_the_outbox_then_it_is_warned_of(tmp_path: Path) -> None:
    text = text_of(tmp_path, top="outbox: {max_mb: 100000}\n")
    room = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    if room > 100_000 * 1_000_000:
        pytest.skip("this disk has more than 100 GB free")
    assert "less room than outbox.max_mb" in check(parse_config(text, "f"))[0].wrong


@pytest.mark.parametrize(("folder", "level"), [("/usr/kentongan", Level.ERROR), ("/var/lib/kentongan", Level.WARNING)])
def test_given_a_state_folder_this_user_may_not_write_then_only_that_of_the_service_is_no_error(
    folder: str, level: Level
) -> None:
    config = parse_config(text_of(Path(folder)), "f")
    (finding,) = check_site(config, writable=lambda _: False)
    assert finding.level is level
    assert f"{folder} can't be written by this user" in finding.wrong


def test_given_passwords_in_a_file_others_may_read_then_it_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(text_of(tmp_path, source="rtsp://admin:hunter2@127.0.0.1/x"))
    file.chmod(0o644)
    (finding,) = check_site(parse_config(file.read_text(), "f"), file)
    assert "stands in a file that others may read" in finding.wrong
    assert "hunter2" not in finding.text()
    file.chmod(0o600)
    assert check_site(parse_config(file.read_text(), "f"), file) == []


def run(path: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    configure(parser)
    return execute(parser.parse_args([str(path), *words]))


def written(folder: Path, **parts: str) -> Path:
    file = folder / "box.yaml"
    file.write_text(text_of(folder, **parts))
    file.chmod(0o600)
    return file


def test_given_a_good_file_when_checked_then_the_exit_code_is_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(written(tmp_path)) == 0
    assert capsys.readouterr().out == "1 camera, 1 line, 0 zones: nothing is wrong\n"


def test_given_errors_then_each_is_printed_with_its_line_and_the_exit_code_is_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = "zones:\n  - name: z\n    polygon: [[0.2, 0.4], [0.8, 0.9], [0.8, 0.4], [0.2, 0.9]]\n  detect_fps: 5"
    file = written(tmp_path, camera=zone)
    assert run_check(file) == 78
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{file}:9: error: zone z: the edge from corner 1 crosses")
    assert lines[1].startswith(f"{file}:10: warning: camera simpang is looked at 5 times")
    assert lines[2] == "1 camera, 0 lines, 1 zone: 1 error, 1 warning"


def test_given_a_file_the_loader_refuses_then_its_faults_are_raised(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text("device: 1\n")
    with pytest.raises(FaultyConfigError, match="device"):
        run_check(file)


def test_given_a_recording_then_its_shape_is_compared_and_its_frame_is_drawn_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = render_clip(tmp_path / "clip.avi")  # 160x96, that is 5:3
    camera = "frame_size: [640, 360]\n  lines: [{name: l, points: [[50, 200], [600, 200]]}]"
    file = written(tmp_path, source=clip.name, camera=camera)
    plot = tmp_path / "seen.png"

    assert run(file, "--plot", str(plot)) == 78

    out = capsys.readouterr().out
    assert "has another shape than the source's 160x96 (5:3)" in out
    assert f"drawn: {plot}" in out
    assert cv2.imread(str(plot)).shape == (96, 160, 3)


def test_given_several_cameras_then_each_gets_its_picture(tmp_path: Path) -> None:
    text = text_of(tmp_path) + "- {name: selatan, source: 'rtsp://127.0.0.1/y', frame_size: [1920, 1080]}\n"
    paths = draw_config(parse_config(text, "f"), [], tmp_path / "seen.png")
    assert [path.name for path in paths] == ["seen-simpang.png", "seen-selatan.png"]
    assert [cv2.imread(str(path)).shape for path in paths] == [(720, 1280, 3), (1080, 1920, 3)]


@pytest.mark.parametrize("name", ["no-folder/x.png", "x.nothing", "x"])
def test_given_a_picture_that_cannot_be_written_then_it_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(KentonganError, match="can't be written as a picture"):
        draw_config(parse_config(text_of(tmp_path), "f"), [], tmp_path / name)


def config_of(folder: Path, source: str) -> Config:
    return parse_config(text_of(folder, source=source), "f")


def test_given_sources_then_recordings_and_remote_ones_are_told_apart(tmp_path: Path) -> None:
    clip = render_clip(tmp_path / "clip.avi", frames=3)
    for source, is_recording, remote in (
        (str(clip), True, False),
        (f"file://{clip}", True, False),
        ("/nope.mp4", False, False),
        ("rtsp://127.0.0.1/x", False, True),
        ("ftp://127.0.0.1/x", False, False),
    ):
        camera = config_of(tmp_path, source).cameras[0]
        assert (recording(camera) is not None) is is_recording
        assert is_remote(camera) is remote


def test_given_a_camera_that_is_away_then_no_picture_comes(tmp_path: Path) -> None:
    camera = config_of(tmp_path, f"rtsp://127.0.0.1:{free_port()}/x").cameras[0]
    assert grab(camera, Secrets()) is None


def test_given_a_camera_slower_than_tracking_needs_then_it_is_warned_of(tmp_path: Path) -> None:
    camera = config_of(tmp_path, "rtsp://127.0.0.1/x").cameras[0]
    (finding,) = judge_probe(camera, 0, Probe("x", 640, 360, 5.0))
    assert "sends 5.0 pictures a second" in finding.wrong
    assert judge_probe(camera, 0, Probe("x", 640, 360, 25.0)) == []
    assert judge_probe(camera, 0, Probe("x", 640, 360, None)) == []


def test_given_live_and_nobody_there_then_camera_and_broker_are_errors(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = closed.getsockname()[1]
        text = text_of(tmp_path, source=f"rtsp://127.0.0.1:{port}/x", mqtt=f", port: {port}")
        found = check(parse_config(text.replace("broker.example.org", "localhost"), "f"), live=True)
    assert [finding.level for finding in found] == [Level.ERROR, Level.ERROR]
    assert found[0].path == ("cameras", 0, "source")
    assert found[1].path == ("mqtt",)
    assert "nothing listens there" in found[1].wrong
