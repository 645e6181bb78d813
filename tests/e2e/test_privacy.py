"""The promise to camera owners, proven on the running agent: pictures stay on the box, and it speaks to one address."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import psutil
import pytest

from agent.evidence.sealing import open_sealed
from agent.mqtt.coding import MAX_PAYLOAD_BYTES
from tests.fakes.agent_process import AgentProcess
from tests.fakes.bright_street import Square, write_bright_clip, write_bright_model
from tests.fakes.evidence import key_pair
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.schema import assert_all_valid
from tests.fakes.subscriber import Heard, Subscriber
from tests.fakes.tcp_proxy import TcpProxy

BUDGET_BYTES_A_DAY = 10_000_000  # one camera, one line, counted every minute, health every minute
MAGIC = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG",
    "GIF": b"GIF8",
    "WEBP or AVI": b"RIFF",
    "MP4": b"ftyp",
    "Matroska": b"\x1a\x45\xdf\xa3",
    "H.264": b"\x00\x00\x00\x01\x67",
    "Ogg": b"OggS",
}
ONE_WAY = (
    "{name: lane, polygon: [[0.05, 0.05], [0.95, 0.05], [0.95, 0.95], [0.05, 0.95]],"
    " rules: {wrong_way: {along: [[0.1, 0.5], [0.9, 0.5]], for_s: 0.3}}}"
)
LONG_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{200,}={0,2}")
# Loaded by Python itself before the agent: writes down every address any Python code asks for.
WITNESS = """
import os, sys
_out = open(os.environ["WITNESS"], "a", buffering=1)
def _hook(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        place = args[1] if event != "socket.getaddrinfo" else args[:2]
        _out.write(f"{event} {place!r}\\n")
sys.addaudithook(_hook)
"""


class Onlooker:
    """Notes every remote address that the agent's process, native code included, has a socket to."""

    def __init__(self, pid: int) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.listening: set[tuple[str, int]] = set()
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def _look(self) -> None:
        while not self._ended.wait(0.02):
            try:
                connections = self._process.net_connections(kind="inet")
            except psutil.Error:
                return
            self.seen |= {(one.raddr.ip, one.raddr.port) for one in connections if one.raddr}
            self.listening |= {
                (one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN
            }


@pytest.mark.timeout(120)
def test_given_a_running_agent_then_only_numbers_leave_and_only_to_the_configured_broker(tmp_path: Path) -> None:
    witness, code = tmp_path / "witness.txt", tmp_path / "witness"
    code.mkdir()
    (code / "sitecustomize.py").write_text(WITNESS, encoding="utf-8")
    traffic = tuple(Square(at_s, top_px, rightwards=top_px < 100) for at_s in range(1, 40, 2) for top_px in (16, 136))
    clip = write_bright_clip(tmp_path / "gate.avi", 12.0, traffic)
    model = write_bright_model(tmp_path / "bright.onnx", fails_on_black=True)
    key, key_file = key_pair(tmp_path)
    with Mosquitto(tmp_path / "broker") as broker, TcpProxy(broker.port) as proxy, Subscriber(broker.port) as tmc:
        config = tmp_path / "box.yaml"
        config.write_text(
            f"device: pole-17\nstate_dir: {tmp_path / 'state'}\nhealth_s: 5\noutbox: {{commit_ms: 50}}\n"
            f"mqtt: {{host: 127.0.0.1, port: {proxy.port}, plaintext: true}}\n"
            f"models: {{bright: {{file: {model}}}}}\n"
            f"evidence: {{keys: [{key}], on: [wrong_way], before_s: 1, after_s: 1, ring: {{minutes: 1}}}}\ncameras:\n"
            f"  - {{name: gate, source: '{clip}', model: bright,"
            " lines: [{name: middle, points: [[0.5, 0.98], [0.5, 0.02]], interval_s: 10}],"
            f" zones: [{ONE_WAY}]}}\n",
            encoding="utf-8",
        )
        environ = {"WITNESS": str(witness), "PYTHONPATH": str(code)}
        with AgentProcess(config, environ) as agent, Onlooker(agent._process.pid) as onlooker:
            tmc.wait_for(lambda heard: [one.leaf for one in heard].count("count") >= 4, 60)
            tmc.wait_for(
                lambda heard: any(one.leaf == "health" and one.plain["evidence"]["clips"] for one in heard), 60
            )
            tmc.wait_for(lambda heard: any("evidence" in one.plain.get("details", {}) for one in heard), 60)
            agent.stop()
        time.sleep(0.2)
        heard = tmc.wait_quiet()
        streams = [bytes(seen.up) for seen in proxy.seen]
    assert_all_valid(heard)
    assert sum(one.plain.get("volume", 0) for one in heard) > 0, "there was traffic to tell of"
    # To whom
    assert onlooker.seen == {("127.0.0.1", proxy.port)}
    assert onlooker.listening == set(), "nobody can come in: it has no page and no port of its own"
    asked = witness.read_text(encoding="utf-8").splitlines()
    assert asked
    assert all(f"'127.0.0.1', {proxy.port}" in line for line in asked), asked
    # What
    for stream in streams:
        assert not [name for name, magic in MAGIC.items() if magic in stream]
        assert not LONG_BASE64.search(stream)
    assert max(len(one.payload) for one in heard) <= MAX_PAYLOAD_BYTES
    assert b"gate.avi" not in b"".join(streams), "not even where the video comes from"
    _assert_evidence_stayed(tmp_path, heard, b"".join(streams), key_file)
    # How much
    sizes = {leaf: [len(one.payload) + 100 for one in heard if one.leaf == leaf] for leaf in ("count", "health")}
    a_day = 24 * 60 * (2 * max(sizes["count"]) + max(sizes["health"]))
    assert a_day < BUDGET_BYTES_A_DAY, sizes


def _assert_evidence_stayed(folder: Path, heard: list[Heard], stream: bytes, key_file: Path) -> None:
    """The clips are on the box, are what the centre was told of, and no part of them is in what was sent."""
    told = {clip["clip"]: clip for one in heard for clip in one.plain.get("details", {}).get("evidence", ()) if clip}
    kept = {path.name: path for path in (folder / "state" / "evidence" / "clips").glob("*.age")}
    assert told, "there was something to keep"
    for name, clip in told.items():
        sealed = kept[name].read_bytes()
        assert (hashlib.sha256(sealed).hexdigest(), len(sealed)) == (clip["sha256"], clip["bytes"])
        film = open_sealed(sealed, key_file)
        for secret in (sealed, film):
            parts = [secret[start : start + 16] for start in range(0, len(secret) - 16, 997)]
            assert not [part for part in parts if any(part) and part in stream]
    for path in (folder / "state" / "evidence").rglob("*"):
        assert not path.is_file() or MAGIC["JPEG"] not in path.read_bytes()


def test_the_witness_sees_what_it_should(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITNESS, encoding="utf-8")
    environ = {**os.environ, "WITNESS": str(tmp_path / "out"), "PYTHONPATH": str(tmp_path)}
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=30)
    assert "'127.0.0.1', 9" in (tmp_path / "out").read_text()
