"""Watches the metadata of one check go by, so that a refusal can be named after the attack it stopped.

Nothing here grants trust: The Update Framework's own client does that. The ledger may only refuse more: a version
number that leaps so far that no honest repository could ever overtake it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    SlowRetrievalError,
    UnsignedMetadataError,
)

from agent.update.fetcher import NotARepositoryError, UnreachableError
from agent.update.refusal import Kind, UpdateError, from_os_error

VERSION_LEAP: Final = 100_000
"""A timestamp signed every hour rises by 8,760 a year, so ten years of absence still fit."""

_TOP_ROLES: Final = ("timestamp", "snapshot", "targets")


class FastForwardError(RepositoryError):
    """A version number that leaps."""


_BY_ERROR: Final[tuple[tuple[type[Exception], Kind], ...]] = (
    (FastForwardError, "fast_forward"),
    (SlowRetrievalError, "slow_retrieval"),
    (DownloadLengthMismatchError, "endless_data"),
    (NotARepositoryError, "not_a_repository"),
    (UnreachableError, "unreachable"),
    (ExpiredMetadataError, "freeze"),
    (LengthOrHashMismatchError, "mix_and_match"),
)
_ADVICE: Final[Mapping[Kind, str]] = {
    "rollback": "older metadata than this box already trusts; publish again, or look who serves the repository",
    "freeze": "metadata that has expired; publish again, or look who serves the repository",
    "mix_and_match": "metadata files that do not belong together; publish the whole folder again",
    "endless_data": "more bytes than announced; look who serves the repository",
    "below_threshold": "too few valid signatures; look who serves the repository, and where the keys are",
    "wrong_root": "a repository that the root pinned on this box does not know; check the address and the root file",
    "slow_retrieval": "so slowly that the check was given up; look at the line",
    "not_a_repository": "a web page instead of the repository; log in to the network, or check address and proxy",
    "unreachable": "nothing; check the network and the address",
    "vanished": "an error for a file that its metadata names; publish the whole folder again",
    "malformed": "metadata that can't be read; publish again, or update the agent",
}


class Ledger:
    """What was trusted before one check, and what arrived during it.

    Args:
        folder: Where The Update Framework's client keeps what it trusts.
    """

    def __init__(self, folder: Path) -> None:
        self._before = {role: _signed(_read(folder / f"{role}.json")) for role in _TOP_ROLES}
        self._seen: dict[str, Mapping[str, Any]] = {}
        self._asked = ""

    def saw(self, url: str, data: bytes) -> None:
        """Note a metadata file that arrived.

        Raises:
            FastForwardError: Its version, or one that it names, leaps.
        """
        name = unquote(url.rpartition("/")[2]).removesuffix(".json")
        head, _, rest = name.partition(".")
        role = rest if head.isdigit() and rest else name
        signed = _signed(data)
        self._asked, self._seen[role] = role, signed
        if role == "root":
            return  # a root's version rises by exactly one, or the client refuses it
        if _version(signed) > _version(self._before.get(role, {})) + VERSION_LEAP:
            raise FastForwardError(f"the version of {role} leaps to {_version(signed)}")
        for file, version in _named(signed).items():
            if version > _named(self._before.get(role, {})).get(file, 0) + VERSION_LEAP:
                raise FastForwardError(f"{role} lets the version of {file} leap to {version}")

    def explain(self, error: Exception, where: str) -> UpdateError:
        """Name what went wrong while metadata was being refreshed.

        Args:
            error: What The Update Framework's client, the fetcher or the disk raised.
            where: The repository's address.
        """
        if isinstance(error, OSError):
            return from_os_error(error, "keeping the repository's metadata")
        kind = self._kind(error)
        if kind == "fast_forward":
            return UpdateError(kind, f"{where}: {error}; its online keys may be stolen: rotate them")
        return UpdateError(kind, f"{where} gives {_ADVICE[kind]} ({error})")

    def _kind(self, error: Exception) -> Kind:
        for of, kind in _BY_ERROR:
            if isinstance(error, of):
                return kind
        if isinstance(error, DownloadHTTPError):
            return "vanished" if self._seen else "unreachable"
        if isinstance(error, UnsignedMetadataError):
            first = self._asked == "timestamp" and not self._before["timestamp"]
            return "wrong_root" if first else "below_threshold"
        if isinstance(error, BadVersionNumberError):
            return "rollback" if self._goes_back() else "mix_and_match"
        return "unreachable" if isinstance(error, DownloadError) else "malformed"

    def _goes_back(self) -> bool:
        """Whether anything that arrived is older than what was trusted before."""
        if self._asked == "root":
            return True
        for role, signed in self._seen.items():
            before = self._before.get(role, {})
            if _version(signed) < _version(before):
                return True
            named = _named(signed)
            if any(named.get(file, version) < version for file, version in _named(before).items()):
                return True
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _signed(data: bytes) -> Mapping[str, Any]:
    """The signed part of a metadata file, or nothing where it can't be read."""
    try:
        signed = json.loads(data)["signed"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return signed if isinstance(signed, dict) else {}


def _version(signed: Mapping[str, Any]) -> int:
    version = signed.get("version")
    return version if isinstance(version, int) else 0


def _named(signed: Mapping[str, Any]) -> dict[str, int]:
    """The versions of other files that a timestamp or snapshot names."""
    meta = signed.get("meta")
    if not isinstance(meta, dict):
        return {}
    return {file: _version(entry) for file, entry in meta.items() if isinstance(entry, dict)}
