"""A maintainer's repository in a folder, and a web server in front of it that can be told to lie.

The maintainer's side is the project's own, with cheap passphrases. The server counts every byte it sends, headers
included, and each way of misbehaving is one switch. Shared by all tests of updates.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from agent.release.founding import Founded, Quorums, found
from agent.release.keys import unlock
from agent.release.publishing import publish
from agent.release.signing import sign
from agent.release.workspace import Expiry, Workspace

CHEAP_SCRYPT = 2
PASSPHRASE = "correct horse"


class Maintainer:
    """Somebody with all the keys, who signs and publishes in one go.

    Args:
        folder: Holds the working folder and the key folder.
        now: When it all happens; the present by default.
        quorums: Of the offline roles.
        expiry: How long metadata is believed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: datetime | None = None,
        quorums: Quorums | None = None,
        expiry: Expiry | None = None,
    ) -> None:
        self.workspace = Workspace(folder / "release", now or datetime.now(UTC))
        self.sticks = folder / "sticks"
        self.founded: Founded = found(
            self.workspace,
            [self.sticks],
            lambda _name: PASSPHRASE,
            quorums=quorums,
            expiry=expiry,
            scrypt_n=CHEAP_SCRYPT,
        )
        publish(self.workspace)

    @property
    def root(self) -> bytes:
        """The first root, as it is pinned at install."""
        return (self.workspace.public / "metadata" / "1.root.json").read_bytes()

    def signer(self, name: str) -> CryptoSigner:
        """An offline key by its name, ``targets-1``."""
        return unlock(self.sticks / f"{name}.key", PASSPHRASE)

    def online(self, role: str) -> CryptoSigner:
        """An online key by its role."""
        return unlock(self.workspace.online_key(role), "")

    def signers(self) -> list[CryptoSigner]:
        """All offline keys."""
        return [unlock(path, PASSPHRASE) for path in sorted(self.sticks.glob("*.key"))]

    def sign_and_publish(self) -> None:
        """Sign what is staged with every offline key, and publish."""
        sign(self.workspace, self.signers())
        publish(self.workspace)

    def forge(self, name: str, change: Callable[[Any], None], *by: CryptoSigner) -> None:
        """Change a published metadata file and sign it again with whatever keys the forger has.

        Args:
            name: The file under ``metadata/``.
            change: Changes its signed part in place.
            by: The forger's keys.
        """
        path = self.workspace.public / "metadata" / name
        metadata: Metadata[Any] = Metadata.from_file(str(path))
        change(metadata.signed)
        metadata.signatures.clear()
        for signer in by:
            metadata.sign(signer, append=True)
        path.write_bytes(metadata.to_bytes(JSONSerializer(compact=True)))

    def version(self, role: str) -> int:
        """The newest published version of a role."""
        metadata = self.workspace.published(role)
        assert metadata is not None
        version: int = metadata.signed.version
        return version

    def keep(self) -> dict[Path, bytes]:
        """Every published file as it is now, for somebody who replays it later."""
        return {path: path.read_bytes() for path in self.workspace.public.rglob("*") if path.is_file()}

    def replay(self, kept: dict[Path, bytes]) -> None:
        """Serve an old state instead of the present one."""
        for path, data in kept.items():
            path.write_bytes(data)


@dataclass
class Mood:
    """How the server behaves; the default is honest.

    Attributes:
        endless: Paths containing one of these never end.
        trickle: Paths containing one of these come a byte at a time, with so many seconds between.
        silent: Paths containing one of these get no answer at all.
        gone: Paths containing one of these do not exist.
        portal: Every path answers with a web page.
        cut_after: A body is cut off after so many bytes, once per request.
        no_ranges: It never heard of the Range header.
        no_length: It does not announce lengths, and ends a body by closing.
        instead: Asked for a path containing the key, serve the file at the value.
    """

    endless: tuple[str, ...] = ()
    trickle: tuple[str, ...] = ()
    trickle_s: float = 0.05
    silent: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    portal: bool = False
    cut_after: int | None = None
    no_ranges: bool = False
    no_length: bool = False
    instead: dict[str, str] = field(default_factory=dict)


class RepositoryServer:
    """Serves a folder on a free port of the loopback.

    Args:
        folder: What to serve.

    Attributes:
        mood: How it behaves.
        sent_bytes: Everything sent so far, headers included.
        received_bytes: Everything received so far, headers included.
        requests: The paths asked for, with the Range header if there was one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mood = Mood()
        self.sent_bytes = 0
        self.received_bytes = 0
        self.requests: list[tuple[str, str | None]] = []
        self.closing = threading.Event()
        outer = self

        class Handler(_Handler):
            box = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The address of the folder."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, sent: int = 0, received: int = 0) -> None:
        """Account for bytes."""
        self.sent_bytes += sent
        self.received_bytes += received

    @contextmanager
    def running(self) -> Iterator[RepositoryServer]:
        """Serve until the block ends."""
        self._thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)


class _Handler(http.server.BaseHTTPRequestHandler):
    box: RepositoryServer
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True  # head and body are two packets, and a delayed acknowledgement costs 40 ms

    def do_GET(self) -> None:
        box, mood = self.box, self.box.mood
        box.count(received=len(self.requestline) + len(bytes(self.headers)) + 4)
        box.requests.append((self.path, self.headers.get("Range")))
        if _any(mood.silent, self.path):
            box.closing.wait(10)
            self.close_connection = True
            return
        if mood.portal:
            self._send(200, b"<html><body>Please log in</body></html>", "text/html")
            return
        for asked, served in mood.instead.items():
            if asked in self.path:
                self.path = served
        file = box.folder / self.path.lstrip("/")
        if _any(mood.gone, self.path) or not file.is_file():
            self._send(404, b"no such file", "text/plain")
            return
        if _any(mood.endless, self.path):
            self._pour()
            return
        self._serve(file.read_bytes())

    def _serve(self, data: bytes) -> None:
        start, asked = 0, None if self.box.mood.no_ranges else self.headers.get("Range")
        if asked is not None:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self._send(416, b"", "text/plain")
                return
        body = data[start:]
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked else {}
        mood = self.box.mood
        if mood.no_length:
            headers["Connection"] = "close"
        length = None if mood.no_length else len(body)
        self._head(206 if asked else 200, length, "application/octet-stream", headers)
        if _any(mood.trickle, self.path):
            for at in range(len(body)):
                if self.box.closing.wait(mood.trickle_s) or not self._write(body[at : at + 1]):
                    return
            return
        if mood.cut_after is not None and len(body) > mood.cut_after:
            self._write(body[: mood.cut_after])
            self.close_connection = True
            return
        self._write(body)

    def _pour(self) -> None:
        """A body without a length that never ends."""
        self._head(200, None, "application/octet-stream", {"Connection": "close"})
        self.close_connection = True
        while not self.box.closing.is_set() and self._write(b"x" * 16384):
            time.sleep(0)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self._head(status, len(body), kind, {})
        self._write(body)

    def _head(self, status: int, length: int | None, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        buffered = getattr(self, "_headers_buffer", [])
        self.box.count(sent=sum(len(line) for line in buffered) + 2)
        self.end_headers()

    def _write(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
        except OSError:
            return False
        self.box.count(sent=len(data))
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing: a test reads what was asked from the server object."""


def _any(parts: tuple[str, ...], path: str) -> bool:
    return any(part in path for part in parts)


def signed_part(data: bytes) -> dict[str, Any]:
    """The signed part of a metadata file."""
    signed: dict[str, Any] = json.loads(data)["signed"]
    return signed
