"""A real PostgreSQL on a free loopback port, in a folder of its own, gone with the test.

Promises that nothing of a server that runs on the machine is touched. PostgreSQL refuses to run as root; then it runs
as the user its package made.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

from pg8000.exceptions import Error
from pg8000.native import Connection, identifier

from tests.fakes.certificates import Pair
from tests.fakes.ports import free_port

USER: Final = "tmc"
WORD: Final = "rahasia-basis-data"
_UNPRIVILEGED: Final = "postgres"


def programs() -> Path | None:
    """The folder of the server's programs: the newest that is installed; ``None`` when none is."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    return next(
        (path for path in reversed(places) if (path / "initdb").exists()), Path(found).parent if found else None
    )


def why_unavailable() -> str:
    """Why there is no server for tests; empty when there can be one."""
    if programs() is None:
        return "no PostgreSQL server: install the package postgresql"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_UNPRIVILEGED)
        except KeyError:
            return "PostgreSQL doesn't run as root, and there is no user postgres to run it"
    return ""


class Postgres:
    """One server with the role ``tmc``, from ``with`` to its end.

    Args:
        pair: Its certificate; without one it speaks in the clear.
    """

    def __init__(self, pair: Pair | None = None) -> None:
        self.port = free_port()
        self._pair = pair
        self._process: subprocess.Popen[bytes] | None = None
        # Not in the test's own folder: that is closed to the user the server runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        self._made = 0

    def __enter__(self) -> Self:
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, unless it runs, and wait until it takes connections."""
        if self._process is not None:
            return
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder, "fsync": "off",
            "shared_buffers": "16MB", "max_connections": 20,
        }  # fmt: skip
        if self._pair is not None:
            settings |= {
                "ssl": "on",
                "ssl_cert_file": self.folder / "server.crt",
                "ssl_key_file": self.folder / "server.key",
            }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.folder / "data"), *words],
                stdout=log, stderr=log, user=self._user, cwd=self.folder,
            )  # fmt: skip
        self._await()

    def stop(self) -> None:
        """End it at once; every connection breaks."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)

    def new_database(self) -> str:
        """Make an empty one; its address."""
        self._made += 1
        name = f"kentongan_{self._made}"
        with contextlib.closing(self._connect()) as connection:
            connection.run(f"CREATE DATABASE {identifier(name)}")
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def _prepare(self) -> None:
        if self._pair is not None:
            for source, name in ((self._pair.cert, "server.crt"), (self._pair.key, "server.key")):
                (self.folder / name).write_bytes(source.read_bytes())
                (self.folder / name).chmod(0o600)
        (self.folder / "password").write_text(WORD, encoding="utf-8")
        if self._user is not None:
            for path in (self.folder, *self.folder.iterdir()):
                shutil.chown(path, self._user)
        words = ["-D", str(self.folder / "data"), "-U", USER, "-A", "scram-sha-256", "--no-sync", "--locale=C.UTF-8"]
        done = subprocess.run(
            [self._program("initdb"), *words, f"--pwfile={self.folder / 'password'}"],
            capture_output=True, text=True, user=self._user, cwd=self.folder, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"initdb: {done.stderr}")

    @staticmethod
    def _program(name: str) -> str:
        folder = programs()
        assert folder is not None
        return str(folder / name)

    def _connect(self) -> Connection:
        return Connection(USER, host="127.0.0.1", port=self.port, database="postgres", password=WORD, timeout=5)

    def _await(self) -> None:
        deadline_s = time.monotonic() + 30
        while True:
            try:
                self._connect().close()
            except (Error, OSError) as error:
                if time.monotonic() > deadline_s:
                    log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start ({error}):\n{log[-2000:]}") from error
                time.sleep(0.05)
            else:
                return
