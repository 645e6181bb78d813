"""The service: hardened as promised, and a drop-in with exactly the configuration's addresses."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config.load import parse_config
from agent.errors import ConfigError, KentonganError
from agent.ops.unit import addresses_of, configure, drop_in, execute

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
UNIT = SYSTEMD / "kentongan.service"
DROP_INS = sorted((SYSTEMD / "drop-ins").glob("*.conf"))
HIGHEST_EXPOSURE = 1.5

NAMES = {
    "broker.example.org": ["198.51.100.7", "2001:db8::7"],
    "kamera.lan": ["192.168.1.21"],
    "localhost": ["127.0.0.1"],
}

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def resolve(host: str) -> list[str]:
    if host not in NAMES:
        raise OSError(host)
    return NAMES[host]


def made(
    tmp_path: Path, *sources: str, host: str = "broker.example.org", top: str = "", also: tuple[str, ...] = ()
) -> str:
    cameras = "".join(f"- {{name: c{number}, source: '{source}'}}\n" for number, source in enumerate(sources))
    config = parse_config(f"device: box-1\n{top}mqtt: {{host: '{host}'}}\ncameras:\n{cameras}", "f")
    servers = tmp_path / "resolv.conf"
    servers.write_text(
        "# made by hand\nsearch lan\nnameserver 192.168.1.1\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n"
    )
    return drop_in(config, also=also, resolve=resolve, resolv_conf=servers)


def allowed(text: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith("IPAddressAllow=")]


def exposure(*files: Path) -> float:
    """What systemd says of a unit made of these files, drop-ins after it."""
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", *map(str, files)]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    assert found is not None, said.stdout + said.stderr
    return float(found[1])


@needs_systemd
def test_the_unit_exposes_no_more_than_promised() -> None:
    assert exposure(UNIT) <= HIGHEST_EXPOSURE


@needs_systemd
def test_the_unit_is_free_of_words_systemd_does_not_know(tmp_path: Path) -> None:
    # Only the program is not here; point to one that is.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    said = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    own = [line for line in said.stderr.splitlines() if UNIT.name in line]
    assert own == []


@needs_systemd
@pytest.mark.parametrize("path", DROP_INS, ids=lambda path: path.stem)
def test_the_drop_ins_hold_only_words_systemd_knows(path: Path, tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text())
    unit.write_text(text.replace("[Install]", path.read_text().replace("[Service]", "") + "\n[Install]"))
    said = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in said.stderr.splitlines() if UNIT.name in line] == []


@needs_systemd
@pytest.mark.parametrize(
    ("source", "highest"),
    # A camera on this box costs the private /dev, and no more than that.
    [("rtsp://kamera.lan/x", HIGHEST_EXPOSURE), ("/dev/video0", HIGHEST_EXPOSURE + 0.3)],
)
def test_given_the_generated_drop_in_then_the_unit_stays_as_closed_as_promised(
    tmp_path: Path, source: str, highest: float
) -> None:
    unit = tmp_path / UNIT.name
    own = made(tmp_path, source).replace("[Service]", "")
    unit.write_text(UNIT.read_text().replace("[Install]", own + "\n[Install]"))
    assert exposure(unit) <= highest


def test_the_watchdog_waits_longer_than_a_stage_may_be_silent() -> None:
    text = UNIT.read_text()
    assert "Type=notify\n" in text
    assert "WatchdogSec=30\n" in text
    assert "RestartPreventExitStatus=78 65\n" in text
    assert "OOMPolicy=continue\n" in text, "a candidate that the kernel ends does not take the agent along"
    assert re.search(r"(?m)^IPAddressDeny=any$", text)


def test_given_names_and_addresses_then_exactly_those_are_allowed(tmp_path: Path) -> None:
    text = made(tmp_path, "rtsp://admin:hunter2@192.168.1.20:554/x", "rtsp://kamera.lan/x", "rtsp://[fd00::5]/x")
    assert allowed(text) == [
        "",
        "localhost",
        "198.51.100.7",
        "2001:db8::7",
        "192.168.1.20",
        "192.168.1.21",
        "fd00::5",
        "192.168.1.1",
        "fe80::1",
    ]
    assert "IPAddressDeny=any" in text
    assert "# camera c1, kamera.lan." in text
    assert "hunter2" not in text


def test_given_only_addresses_then_no_name_server_is_allowed(tmp_path: Path) -> None:
    assert allowed(made(tmp_path, "rtsp://192.168.1.20/x", host="10.0.0.9")) == [
        "",
        "localhost",
        "10.0.0.9",
        "192.168.1.20",
    ]


def test_given_a_broker_on_this_box_then_nothing_beyond_localhost_is_added_for_it(tmp_path: Path) -> None:
    assert allowed(made(tmp_path, "/video.mp4", host="127.0.0.1")) == ["", "localhost"]
    assert "fe80::1" in allowed(made(tmp_path, "/video.mp4", host="localhost"))


def test_given_pipelines_then_the_hosts_inside_them_are_allowed(tmp_path: Path) -> None:
    pipeline = "gst: rtspsrc location=rtsp://10.0.0.21/a user-pw=x ! fake ! udpsink host=1.2.3.4"
    text = made(
        tmp_path, pipeline, "ffmpeg: -i rtsp://u:p@kamera.lan:554/x", "gst: libcamerasrc ! fake", host="10.0.0.9"
    )
    assert allowed(text)[2:5] == ["10.0.0.9", "10.0.0.21", "192.168.1.21"]
    assert "raspberry-pi-camera.conf" in text


def test_given_a_listener_then_its_sender_is_asked_for(tmp_path: Path) -> None:
    text = made(tmp_path, "udp://0.0.0.0:5000", host="10.0.0.9", also=("10.9.0.3/24",))
    assert "camera c0 listens for any sender" in text
    assert allowed(text) == ["", "localhost", "10.0.0.9", "10.9.0.0/24"]


def test_given_devices_then_only_those_are_opened(tmp_path: Path) -> None:
    text = made(tmp_path, "/dev/video0", "2", "/dev/video0", host="10.0.0.9")
    devices = [line for line in text.splitlines() if line.startswith("DeviceAllow=")]
    assert devices == ["DeviceAllow=/dev/video0 rw", "DeviceAllow=/dev/video2 rw"]
    assert "PrivateDevices=no" in text
    assert "SupplementaryGroups=video" in text


def test_given_a_gpu_and_a_state_folder_elsewhere_then_both_are_told(tmp_path: Path) -> None:
    top = "state_dir: /data/100% full\nmodels: {fast: {file: /f.onnx, providers: [cuda, cpu]}}\n"
    text = made(tmp_path, "rtsp://10.0.0.1/x", host="10.0.0.9", top=top)
    assert "gpu.conf" in text
    assert 'ReadWritePaths="/data/100%% full"' in text


def test_given_a_state_folder_with_a_quote_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KentonganError, match="can't stand in a unit file"):
        made(tmp_path, "rtsp://10.0.0.1/x", host="10.0.0.9", top="state_dir: '/data/a\"b'\n")


@pytest.mark.parametrize("host", ["nowhere.example.org", "x" * 70])
def test_given_a_name_without_an_address_then_it_is_said(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"the broker: the name .* has no address now"):
        made(tmp_path, "/video.mp4", host=host)


def test_given_a_name_no_resolver_can_take_then_it_is_said_too() -> None:
    config = parse_config(f"device: d\nmqtt: {{host: {'x' * 70}.org}}\ncameras: [{{name: a, source: /v.mp4}}]\n", "f")
    with pytest.raises(ConfigError, match="has no address now"):
        drop_in(config)


def test_given_something_else_than_a_network_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--also lan: this is no address or network"):
        made(tmp_path, "/video.mp4", host="10.0.0.9", also=("lan",))


def test_given_no_list_of_name_servers_then_none_is_allowed(tmp_path: Path) -> None:
    config = parse_config("device: d\nmqtt: {host: broker.example.org}\ncameras: [{name: a, source: /v.mp4}]\n", "f")
    text = drop_in(config, resolve=resolve, resolv_conf=tmp_path / "none")
    assert allowed(text) == ["", "localhost", "198.51.100.7", "2001:db8::7"]


def test_the_machine_knows_its_own_name() -> None:
    assert set(addresses_of("localhost")) & {"127.0.0.1", "::1"}


def test_the_command_prints_the_drop_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "box.yaml"
    file.write_text("device: d\nmqtt: {host: 10.0.0.9}\ncameras: [{name: a, source: /v.mp4}]\n")
    parser = argparse.ArgumentParser()
    configure(parser)
    assert execute(parser.parse_args([str(file), "--also", "10.1.0.0/16"])) == 0
    assert allowed(capsys.readouterr().out) == ["", "localhost", "10.0.0.9", "10.1.0.0/16"]
