"""Real certificates, made by a test with openssl: an authority, and what it signs.

Promises keys only their owner can read, and names as asked. Needs the ``openssl`` program.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert = folder / "ca.crt"
        self._key = folder / "ca.key"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", str(self._key), "-out", str(self.cert),
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, common_name: str, *, days: int = 2, alternative: str | None = None) -> Pair:
        """Sign a certificate for this name; ``alternative`` such as ``IP:127.0.0.1`` for a server."""
        stem = common_name.replace("/", "_")
        pair = Pair(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        request, extra = self._folder / f"{stem}.csr", self._folder / f"{stem}.ext"
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={common_name}", "-keyout", str(pair.key), "-out", str(request),
        )  # fmt: skip
        pair.key.chmod(0o600)
        extra.write_text(f"subjectAltName={alternative or 'DNS:' + common_name}\n", encoding="utf-8")
        self._openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.cert), "-CAkey", str(self._key), "-CAcreateserial",
            "-days", str(days), "-extfile", str(extra), "-out", str(pair.cert),
        )  # fmt: skip
        return pair

    @staticmethod
    def _openssl(*words: str) -> None:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl {words[0]}: {done.stderr}")
