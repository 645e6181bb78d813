"""The updater in a process of its own, killed without warning: it comes back with a good model and counts.

The same on the whole agent is test_update_run.py; this one is quicker, and kills where that one does not.
"""

from __future__ import annotations

import hashlib
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.release.desk import make_golden
from agent.release.offering import add_model
from tests.fakes import update_models as models
from tests.fakes.tuf_repository import Maintainer, RepositoryServer

OLD, NEW = models.candidate("1"), models.candidate("2")
STATES = ("downloading", "verifying", "trial", "shadow", "committed")
PROJECT = Path(__file__).parents[2]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Running:
    """One start of the box."""

    def __init__(self, folder: Path, url: str, *extra: str) -> None:
        command = [sys.executable, "-m", "tests.fakes.update_box", str(folder), url, *extra]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip())
        self._queue.put(None)

    def wait_for(self, beginning: str, limit_s: float = 60) -> str:
        """The next line with a beginning."""
        end_s = time.monotonic() + limit_s
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, end_s - time.monotonic()))
            except queue.Empty:
                line = None
            told = [line for line in self.lines if not line.startswith("frames")]
            assert line is not None, f"no {beginning!r} in {limit_s:g} s, or it ended: {told[-8:]}"
            self.lines.append(line)
            if line.startswith(beginning):
                return line

    def counting(self, limit_s: float = 30) -> str:
        """The model it counts with, once frames flow."""
        model = self.wait_for("counting ", limit_s).split()[1]
        while int(self.wait_for("frames ", limit_s).split()[1]) == 0:
            pass
        return model

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def started(folder: Path, url: str, *extra: str) -> Iterator[Running]:
    running = Running(folder, url, *extra)
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RepositoryServer, Path]]:
    """A published good update, and a fresh box to copy."""
    folder = tmp_path_factory.mktemp("shipped")
    maintainer = Maintainer(folder)
    (folder / "new.onnx").write_bytes(NEW)
    (folder / "new.golden").write_bytes(make_golden(folder / "new.onnx", [models.BRIGHT]))
    # A model of one millisecond on a busy test machine: the pace has its own tests.
    slack = {"max_slowdown_percent": 10_000}
    add_model(maintainer.workspace, folder / "new.onnx", slot="street", golden=folder / "new.golden", **slack)
    maintainer.sign_and_publish()
    fresh = folder / "fresh"
    fresh.mkdir()
    (fresh / "installed.onnx").write_bytes(OLD)
    (fresh / "root.json").write_bytes(maintainer.root)
    with RepositoryServer(maintainer.workspace.public).running() as server:
        yield server, fresh


def kill_in(state: str, turn: int, server: RepositoryServer, box: Path) -> None:
    """Kill one box in a state, a little later each turn, and start it again."""
    slowly = ("--slowly", "3000") if state == "downloading" else ()
    with started(box, server.url, *slowly) as running:
        running.wait_for(f"state {state}")
        time.sleep(turn * 0.013)
    with started(box, server.url) as running:
        model = running.counting(30)
        assert model in ({sha(NEW)} if state == "committed" else {sha(OLD), sha(NEW)})
        if model != sha(NEW):
            running.wait_for(f"counting {sha(NEW)}")
        running.wait_for("frames ")


@pytest.mark.parametrize("state", ["downloading", "trial", "committed"])
def test_box_killed_in_a_state_counts_again_and_finishes_the_update(
    state: str, shipped: tuple[RepositoryServer, Path], tmp_path: Path
) -> None:
    server, fresh = shipped
    kill_in(state, 3, server, Path(shutil.copytree(fresh, tmp_path / "box")))


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("state", STATES)
def test_box_killed_twenty_times_in_a_state_always_counts_again(
    state: str, shipped: tuple[RepositoryServer, Path], tmp_path: Path
) -> None:
    server, fresh = shipped
    for turn in range(20):
        kill_in(state, turn, server, Path(shutil.copytree(fresh, tmp_path / f"box-{turn}")))


@pytest.mark.campaign
def test_model_that_kills_the_agent_whenever_it_counts_is_taken_back(
    shipped: tuple[RepositoryServer, Path], tmp_path: Path
) -> None:
    server, fresh = shipped
    box = Path(shutil.copytree(fresh, tmp_path / "box"))
    starts = 0
    while starts < 6:
        starts += 1
        with started(box, server.url, "--crash", sha(NEW)) as running:
            if running.wait_for("counting ").endswith(sha(OLD)) and starts > 1:
                running.wait_for("state rolled_back crash_loop")
                running.wait_for("frames ")
                break
            running.process.wait(60)
    assert starts <= 4


@pytest.mark.campaign
def test_model_that_goes_blind_after_it_was_committed_is_taken_back_within_a_minute(
    shipped: tuple[RepositoryServer, Path], tmp_path: Path
) -> None:
    server, fresh = shipped
    box = Path(shutil.copytree(fresh, tmp_path / "box"))
    with started(box, server.url, "--blind", sha(NEW), "--watch", "120") as running:
        running.wait_for("state committed")
        began_s = time.monotonic()
        running.wait_for("state rolled_back detections_collapsed", 60)
        assert time.monotonic() - began_s < 60
        assert running.wait_for("frames ")
    assert any(line == f"counting {sha(OLD)}" for line in running.lines)
