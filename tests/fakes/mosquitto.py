"""A real Mosquitto on a free loopback port, started, killed, frozen and restarted by tests.

Promises that every instance has its own folder and port, and that none outlives its test. Needs the ``mosquitto``
program; tests that use it fail with a clear sentence where it is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.fakes.ports import free_port


class Mosquitto:
    """One broker.

    Args:
        folder: Where its configuration, log and database go.
        lines: Configuration lines; ``{folder}`` and ``{port}`` are filled in. Default: everybody may do everything.
        port: Default: a free one, the same after a restart.
        tls: How to ask it whether it is up, where its listener wants TLS.
    """

    def __init__(
        self,
        folder: Path,
        lines: tuple[str, ...] = ("listener {port} 127.0.0.1", "allow_anonymous true"),
        *,
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.lines = lines
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What it has written so far."""
        path = self.folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        config = self.folder / "mosquitto.conf"
        # Started by root it would become the user mosquitto, who may read nothing of a test's folder.
        own = ("user root",) if os.geteuid() == 0 else ()
        text = "\n".join((*own, *self.lines)).format(folder=self.folder, port=self.port)
        config.write_text(text + "\n", encoding="utf-8")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-v", "-c", str(config)], stdout=log, stderr=log)
        self._await_port()

    def stop(self) -> None:
        """End it as an administrator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill -9 and start again."""
        self.kill()
        self.start()

    def reload(self) -> None:
        """Let it read its password and access files again."""
        os.kill(self.pid, signal.SIGHUP)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
        process.wait(10)

    def _await_port(self) -> None:
        deadline_s = time.monotonic() + 10
        while time.monotonic() < deadline_s:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto did not start:\n{self.log[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError(f"mosquitto did not listen within 10 s:\n{self.log[-2000:]}")


def add_user(password_file: Path, user: str, password: str) -> None:
    """Write a user into a Mosquitto password file."""
    create = [] if password_file.exists() else ["-c"]
    subprocess.run(["mosquitto_passwd", "-b", *create, str(password_file), user, password], check=True, timeout=20)
    password_file.chmod(0o600)
