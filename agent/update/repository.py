"""The box's view of a signed repository: refresh, list what is on offer, download one file.

Everything it hands out has passed The Update Framework's client workflow from the root pinned at install; every
refusal is named by its kind. Never runs or loads what it downloads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tuf.api.exceptions import DownloadError, DownloadHTTPError, LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import TargetFile
from tuf.ngclient import Updater, UpdaterConfig

from agent.update.durable import Disk
from agent.update.fetcher import Limits, OtherFileError, PacedFetcher, partial_name
from agent.update.ledger import Ledger
from agent.update.refusal import UpdateError, from_os_error

_KNOWN_AS_TARGETS: Final = "targets"
_RESERVE_BYTES: Final = 64 * 1024 * 1024  # what the outbox and the system need must stay free
_CONFIG: Final = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=8,
    root_max_length=128_000,
    timestamp_max_length=16_384,
    snapshot_max_length=128_000,
    targets_max_length=4_000_000,
)


@dataclass(frozen=True, slots=True)
class Signed:
    """One file that the repository's signatures vouch for.

    Attributes:
        path: Its name in the repository.
        length: Its size, bytes.
        sha256: Of its bytes, hexadecimal; empty where the maintainer signed another kind of hash only.
        custom: What the maintainer signed beside it.
    """

    path: str
    length: int
    sha256: str
    custom: Mapping[str, Any]


class Repository(Protocol):
    """What the update service needs of a repository; :class:`SignedRepository` is the real one."""

    def refresh(self) -> None:
        """Bring the metadata up to date.

        Raises:
            UpdateError: It is refused, or can't be had.
        """
        ...

    def on_offer(self, folder: str) -> tuple[Signed, ...]:
        """Every file below a folder that the top-level targets role signs."""
        ...

    def find(self, path: str) -> Signed | None:
        """One file by name, through delegated roles too.

        Raises:
            UpdateError: A delegated role is refused, or can't be had.
        """
        ...

    def download(self, signed: Signed, place: Path) -> None:
        """Bring one file here, whole and verified, durable under its final name.

        Raises:
            UpdateError: It is refused, or can't be had.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class SignedRepository:
    """A repository behind a web address.

    Args:
        url: The published folder; ``metadata/`` and ``targets/`` lie below it.
        folder: Where trusted metadata and unfinished downloads are kept on the box.
        root: The root metadata pinned at install.
        limits: How downloads may behave.
        disk: How files are made durable.
        free_bytes: Room left on the disk that holds a folder.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        root: bytes,
        limits: Limits | None = None,
        *,
        disk: Disk | None = None,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        config: UpdaterConfig = _CONFIG,
        metadata_url: str | None = None,
        targets_url: str | None = None,
    ) -> None:
        base = url.rstrip("/")
        self._metadata_url = metadata_url or f"{base}/metadata/"
        self._targets_url = targets_url or f"{base}/targets/"
        self._metadata = folder / "metadata"
        self._partial = folder / "partial"
        self._root = root
        self._limits = limits or Limits()
        self._disk = disk or Disk()
        self._free_bytes = free_bytes
        self._config = config
        self._updater: Updater | None = None
        self._ledger: Ledger | None = None
        self._fetcher: PacedFetcher | None = None

    @property
    def received_bytes(self) -> int:
        """Bodies received since the last refresh began."""
        return self._fetcher.received_bytes if self._fetcher else 0

    def refresh(self) -> None:
        """See :meth:`Repository.refresh`."""
        self.close()
        self._ledger = ledger = Ledger(self._metadata)
        self._fetcher = PacedFetcher(self._limits, self._partial, ledger.saw)
        with self._named():
            self._metadata.mkdir(parents=True, exist_ok=True)
            updater = Updater(
                str(self._metadata),
                self._metadata_url,
                target_base_url=self._targets_url,
                fetcher=self._fetcher,
                config=self._config,
                bootstrap=self._root,
            )
            updater.refresh()
            self._updater = updater
            self._make_durable()

    def on_offer(self, folder: str) -> tuple[Signed, ...]:
        """See :meth:`Repository.on_offer`."""
        text = (self._metadata / f"{_KNOWN_AS_TARGETS}.json").read_bytes()
        names = json.loads(text)["signed"]["targets"]  # only names to ask for: what they mean comes from the client
        found = (self.find(name) for name in sorted(names) if name.startswith(folder))
        return tuple(signed for signed in found if signed is not None)

    def find(self, path: str) -> Signed | None:
        """See :meth:`Repository.find`."""
        target = self._target(path)
        if target is None:
            return None
        custom = target.custom if isinstance(target.custom, dict) else {}
        return Signed(path, target.length, target.hashes.get("sha256", ""), custom)

    def download(self, signed: Signed, place: Path) -> None:
        """See :meth:`Repository.download`."""
        target = self._target(signed.path)
        if target is None or self._updater is None:
            raise UpdateError("vanished", f"{signed.path} is no longer on offer; nothing to do")
        self._require_room(signed)
        whole = self._partial / "whole"
        try:
            self._partial.mkdir(parents=True, exist_ok=True)
            self._forget_others(target)
            self._updater.download_target(target, str(whole))
            self._disk.adopt(whole, place)
        except (LengthOrHashMismatchError, OtherFileError) as error:
            raise self._not_what_was_signed(signed, error) from error
        except DownloadHTTPError as error:
            raise UpdateError(
                "vanished", f"{signed.path} is signed but not served ({error}); publish the whole folder again"
            ) from error
        except OSError as error:
            raise from_os_error(error, f"downloading {signed.path}") from error
        except (DownloadError, RepositoryError) as error:
            raise self._explain(error) from error

    def has(self, signed: Signed, place: Path) -> bool:
        """Whether a file on this box already has exactly the signed bytes."""
        target, data = self._target(signed.path), self._disk.read(place)
        if target is None or data is None:
            return False
        try:
            target.verify_length_and_hashes(data)
        except LengthOrHashMismatchError:
            return False
        return True

    def close(self) -> None:
        """Close the connections of the last refresh."""
        if self._fetcher is not None:
            self._fetcher.close()
        self._updater = None

    def _target(self, path: str) -> TargetFile | None:
        if self._updater is None:
            raise UpdateError("unreachable", "the repository was not refreshed; check for updates first")
        with self._named():
            return self._updater.get_targetinfo(path)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what the client raises into a named refusal."""
        try:
            yield
        except (DownloadError, RepositoryError, OSError, ValueError) as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> UpdateError:
        ledger = self._ledger or Ledger(self._metadata)
        return ledger.explain(error, self._metadata_url)

    def _make_durable(self) -> None:
        """Flush what is now trusted: losing it to a power cut would forget which versions were already seen."""
        for path in [*self._metadata.glob("*.json"), self._metadata]:
            self._disk.flush(path)

    def _require_room(self, signed: Signed) -> None:
        """A download needs its size twice for a moment: as it arrives, and as it is put in place."""
        free = self._free_bytes(self._partial.parent)
        if free - 2 * signed.length < _RESERVE_BYTES:
            raise UpdateError(
                "disk_full",
                f"{signed.path} needs {2 * signed.length / 1e6:.0f} MB beside a reserve of "
                f"{_RESERVE_BYTES / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; free some space",
            )

    def _forget_others(self, target: TargetFile) -> None:
        """Keep one unfinished download at most, so that broken lines can't fill the disk."""
        mine = {partial_name(f"{self._targets_url}{path}") for path in target.get_prefixed_paths()}
        for path in self._partial.iterdir():
            if path.name not in mine:
                self._disk.remove(path)

    def _not_what_was_signed(self, signed: Signed, error: LengthOrHashMismatchError | OtherFileError) -> UpdateError:
        """Other bytes than were signed: another signed file in its place, or nobody's."""
        others = [other for other in self.on_offer("") if other.path != signed.path]
        if isinstance(error, OtherFileError):
            twin = next((other for other in others if other.length == error.length), None)
        else:
            sha256 = self._fetcher.last_sha256 if self._fetcher else ""
            twin = next((other for other in others if other.sha256 == sha256), None)
        if twin is not None:
            return UpdateError(
                "wrong_target", f"{signed.path} is served as {twin.path}; look who serves the repository"
            )
        return UpdateError(
            "arbitrary_installation",
            f"{signed.path} has other bytes than were signed ({error}); look who serves the repository",
        )
