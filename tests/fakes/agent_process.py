"""The real agent in a process of its own: `kentongan run CONFIG`, stopped as systemd does or killed.

What it logs is kept. Never outlives the ``with`` that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from agent.outbox import Outbox
from tests.fakes.clock import ManualClock

REPOSITORY = Path(__file__).resolve().parents[2]


class AgentProcess:
    """One run of the daemon.

    Args:
        config: The configuration file.
        environ: Variables beyond those of the test's own process.
    """

    def __init__(self, config: Path, environ: Mapping[str, str] | None = None) -> None:
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", str(config)],
            cwd=REPOSITORY,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._reader.join(5)
        if self._process.stderr is not None:
            self._process.stderr.close()
        print(self.log)  # pytest shows it when the test fails

    @property
    def log(self) -> str:
        """What it has written to standard error so far."""
        return "".join(self._lines)

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._process.pid

    def stop(self, timeout_s: float = 15) -> tuple[int, float]:
        """SIGTERM; returns the exit code and the seconds it took."""
        began_s = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout_s)
        return code, time.monotonic() - began_s

    def kill(self) -> None:
        """kill -9."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(10)

    def wait(self, timeout_s: float = 30) -> int:
        """Wait until it ends by itself; returns the exit code."""
        return self._process.wait(timeout_s)

    def limit_files(self, size_bytes: int | None) -> None:
        """From now on writing beyond this offset of a file fails, as on a full disk; ``None`` lifts the limit."""
        hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)[1]
        soft = hard if size_bytes is None else size_bytes
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def await_log(self, part: str, timeout_s: float = 30) -> None:
        """Wait until it has logged this.

        Raises:
            TimeoutError: It did not; tells what it logged.
        """
        await_true(lambda: part in self.log, timeout_s, lambda: f"{part!r} was not logged:\n{self.log}")

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line)


def await_true(condition: Callable[[], object], timeout_s: float, why: Callable[[], str]) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: It did not become so.
    """
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(why())
        time.sleep(0.05)


def stored_records(state_dir: Path) -> list[dict[str, Any]]:
    """What the outbox of a box that does not run holds: seq, id, camera and body of every record, in order."""
    outbox = Outbox(state_dir / "outbox.db", boot=str(uuid4()), clock=ManualClock())
    try:
        rows = outbox.pending(limit=10_000)
        return [{"seq": row.seq, "id": row.id, "camera": row.camera, **json.loads(row.body)} for row in rows]
    finally:
        outbox.close()


def stored_state(state_dir: Path) -> dict[str, str]:
    """The named states that the outbox of a box that does not run holds."""
    outbox = Outbox(state_dir / "outbox.db", boot=str(uuid4()), clock=ManualClock())
    try:
        return outbox.load_state()
    finally:
        outbox.close()


def stored_kinds(state_dir: Path) -> list[str]:
    """The kinds of the records that the outbox of a running box holds."""
    with contextlib.closing(sqlite3.connect(state_dir / "outbox.db", timeout=5)) as db:
        return [kind for (kind,) in db.execute("SELECT kind FROM records ORDER BY seq")]
