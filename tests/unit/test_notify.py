"""What systemd is told, on real sockets."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.ops.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket as systemd has one, and its name as the environment gives it."""
    abstract = request.param == "abstract"
    name = f"@kentongan-{uuid.uuid4()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if abstract else name)
        sock.settimeout(5)
        yield sock, name


def test_given_a_manager_when_the_service_speaks_then_each_state_arrives(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": name})

    notifier.ready()
    notifier.watchdog()
    notifier.status("2 of 2 cameras\nlive" + "x" * 1000)
    notifier.stopping()

    told = [sock.recv(4096).decode() for _ in range(4)]
    assert told[0] == "READY=1"
    assert told[1] == "WATCHDOG=1"
    assert told[2].startswith("STATUS=2 of 2 cameras livexxx")
    assert "\n" not in told[2]
    assert len(told[2]) < 600
    assert told[3] == "STOPPING=1"


def test_given_a_manager_that_never_reads_then_the_service_is_not_held_up(manager: tuple[socket.socket, str]) -> None:
    _, name = manager
    for _ in range(2000):
        Notifier(name).watchdog()


def test_given_no_manager_or_one_that_has_gone_then_nothing_happens(tmp_path: Path) -> None:
    Notifier.from_environment({}).ready()
    Notifier.from_environment({"NOTIFY_SOCKET": ""}).ready()
    Notifier(str(tmp_path / "gone")).ready()
    Notifier(str(tmp_path / ("long" * 100))).ready()


def test_given_no_environment_then_that_of_the_process_is_meant(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sock, name = manager
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    Notifier.from_environment().status("test")
    assert sock.recv(4096) == b"STATUS=test"
