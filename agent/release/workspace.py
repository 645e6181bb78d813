"""The maintainer's working folder: what is published, what is staged and waits for signatures, and the online keys.

A change is staged, signed by as many keys as the role's threshold asks for, and only then published. What is
published is never edited in place: every version stays, as The Update Framework's consistent snapshots want it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Targets
from tuf.api.serialization.json import JSONSerializer

from agent.release.faults import ReleaseError
from agent.update.durable import Disk

OFFLINE_ROLES: Final = ("root", "targets", "configuration")
"""Roles whose keys stay in a drawer."""
ONLINE_ROLES: Final = ("outcomes", "snapshot", "timestamp")
"""Roles whose keys lie on the machine that publishes; none of them can start an update."""
DELEGATED_ROLES: Final = ("configuration", "outcomes")

_S = TypeVar("_S", bound=Signed)
_SERIALIZER: Final = JSONSerializer(compact=True)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Days after which a role's metadata is no longer believed, so that nobody can serve an old state for long."""

    root: int = 365
    targets: int = 180
    configuration: int = 180
    outcomes: int = 30
    snapshot: int = 14
    timestamp: int = 3

    def of(self, role: str, now: datetime) -> datetime:
        """When metadata of a role signed now expires."""
        days: int = getattr(self, role)
        return (now + timedelta(days=days)).replace(microsecond=0)


class Workspace:
    """The files of one repository.

    Args:
        folder: The working folder.
        now: The present; the system's clock by default.
    """

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.folder = folder
        self.now = now or datetime.now(UTC)
        self._disk = Disk()

    @property
    def public(self) -> Path:
        """The folder to serve."""
        return self.folder / "public"

    @property
    def files(self) -> Path:
        """Files that were added and are not published yet."""
        return self.folder / "files"

    def online_key(self, role: str) -> Path:
        """The key file of an online role."""
        return self.folder / "online" / f"{role}.key"

    @property
    def expiry(self) -> Expiry:
        """How long each role's metadata is believed.

        Raises:
            ReleaseError: The folder is no working folder.
        """
        try:
            return Expiry(**json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))["expiry_days"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReleaseError(
                f"{self.folder} is no release folder; make one with: kentongan release init {self.folder}"
            ) from error

    def save_settings(self, expiry: Expiry) -> None:
        """Write the settings of a new folder."""
        self.write(self.folder / "settings.json", json.dumps({"expiry_days": asdict(expiry)}, indent=1).encode())

    def published(self, role: str) -> Metadata[Any] | None:
        """The newest published metadata of a role."""
        found = sorted(self._versions(role))
        if role == "timestamp":
            path = self.public / "metadata" / "timestamp.json"
            return self._load(path) if path.exists() else None
        return self._load(self.public / "metadata" / f"{found[-1]}.{role}.json") if found else None

    def latest(self, role: str) -> Metadata[Any]:
        """What is staged for a role, or else what is published.

        Raises:
            ReleaseError: Neither.
        """
        path = self.staged_path(role)
        found = self._load(path) if path.exists() else self.published(role)
        if found is None:
            raise ReleaseError(f"{self.folder} has no {role} metadata; make it with: kentongan release init")
        return found

    def root(self) -> Root:
        """The newest root, staged or published."""
        return cast("Root", self.latest("root").signed)

    def targets(self, role: str = "targets") -> Targets:
        """The newest targets metadata of a role, staged or published."""
        return cast("Targets", self.latest(role).signed)

    def staged_path(self, role: str) -> Path:
        """Where metadata of a role waits for signatures."""
        return self.folder / "staged" / f"{role}.json"

    def staged(self) -> list[str]:
        """The roles that wait to be signed or published."""
        return [role for role in (*OFFLINE_ROLES, *ONLINE_ROLES) if self.staged_path(role).exists()]

    def stage(self, role: str, signed: Signed) -> None:
        """Keep the next version of a role until it is signed; signatures of what was staged before are void."""
        before = self.published(role)
        signed.version = 1 if before is None else before.signed.version + 1
        signed.expires = self.expiry.of(role, self.now)
        self.save_staged(role, Metadata(signed))

    def edit(self, role: str, of: type[_S]) -> _S:
        """A copy of the newest metadata of a role, to change and :meth:`stage`."""
        signed = self.latest(role).signed
        if not isinstance(signed, of):
            raise ReleaseError(f"the {role} metadata in {self.folder} is of another kind; restore the folder")
        return copy.deepcopy(signed)

    def save_staged(self, role: str, metadata: Metadata[Any]) -> None:
        """Keep metadata with the signatures it has so far."""
        self.write(self.staged_path(role), metadata.to_bytes(_SERIALIZER))

    def put_public(self, name: str, metadata: Metadata[Any]) -> bytes:
        """Write one metadata file into the folder to serve."""
        data = metadata.to_bytes(_SERIALIZER)
        self.write(self.public / "metadata" / name, data)
        return data

    def unstage(self, role: str) -> None:
        """Forget what was staged, because it is published."""
        self._disk.remove(self.staged_path(role))

    def write(self, path: Path, data: bytes) -> None:
        """Write a file in one step.

        Raises:
            ReleaseError: The disk refuses.
        """
        try:
            self._disk.write(path, data)
        except OSError as error:
            raise ReleaseError(f"{path} can't be written: {error.strerror}; check the disk and permissions") from error

    def open_to_readers(self) -> None:
        """Let a web server read the folder to serve."""
        for path in self.public.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # public by purpose: every file in it is signed

    def _versions(self, role: str) -> Iterator[int]:
        for path in (self.public / "metadata").glob(f"*.{role}.json"):
            version = path.name.partition(".")[0]
            if version.isdigit():
                yield int(version)

    def _load(self, path: Path) -> Metadata[Any]:
        try:
            return Metadata.from_file(str(path))
        except (RepositoryError, OSError) as error:
            raise ReleaseError(f"{path} can't be read ({error}); restore the folder from its backup") from error
