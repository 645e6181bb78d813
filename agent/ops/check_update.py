"""What updates need from the machine: the extra's packages, and the pinned root.

Reads what it must, and asks the update server only where the cameras and the broker are asked too. Every finding says
what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Any, Final

from agent.config.fault import Path
from agent.config.schema import Config
from agent.installation import how_to_add
from agent.ops.findings import Finding, Level

PACKAGES: Final = ("tuf", "securesystemslib", "cryptography", "urllib3")


def has_package(name: str) -> bool:
    """Whether a package is installed."""
    return find_spec(name) is not None


def check_update(config: Config, installed: Callable[[str], bool] = has_package) -> Iterator[Finding]:
    """Everything that would keep a box from taking updates.

    Args:
        config: The configuration.
        installed: Whether a package is installed.
    """
    wish = config.update
    if wish is None:
        return
    missing = [name for name in PACKAGES if not installed(name)]
    if missing:
        wrong = f"updates need the extra of that name, and {missing[0]} is not installed"
        yield Finding(Level.ERROR, ("update",), wrong, f"install it: {how_to_add('update')}")
        return
    path: Path = ("update", "root_file")
    try:
        data = wish.root_file.read_bytes()
    except OSError as error:
        wrong = f"{wish.root_file} can't be read: {error.strerror}"
        yield Finding(Level.ERROR, path, wrong, "copy the maintainer's root.json there")
        return
    if (why := _why_no_root(data)) is not None:
        yield Finding(Level.ERROR, path, f"{wish.root_file} {why}", "copy the maintainer's root.json there again")


def check_update_server(config: Config, installed: Callable[[str], bool] = has_package) -> Iterator[Finding]:
    """What the update server says to the pinned root, asked now; nothing is kept.

    Args:
        config: The configuration.
        installed: Whether a package is installed.
    """
    wish = config.update
    if wish is None or not all(installed(name) for name in PACKAGES):
        return
    from agent.update.refusal import UpdateError  # noqa: PLC0415 - only where the extra is installed
    from agent.update.repository import SignedRepository  # noqa: PLC0415 - likewise

    try:
        root = wish.root_file.read_bytes()
    except OSError:
        return  # told already
    with TemporaryDirectory() as folder:
        repository = SignedRepository(wish.url, FilePath(folder), root)
        try:
            repository.refresh()
        except UpdateError as error:
            wrong, _, hint = str(error).partition("; ")
            yield Finding(Level.ERROR, ("update", "url"), f"updates: {wrong}", hint or "check the address")
        finally:
            repository.close()


def _why_no_root(data: bytes) -> str | None:
    """Why bytes are no root metadata that vouches for itself; ``None`` if they are."""
    from tuf.api.exceptions import RepositoryError  # noqa: PLC0415 - only where the extra is installed
    from tuf.api.metadata import Metadata, Root  # noqa: PLC0415 - likewise
    from tuf.api.serialization import DeserializationError  # noqa: PLC0415 - likewise

    try:
        root: Metadata[Any] = Metadata.from_bytes(data)
        if not isinstance(root.signed, Root):
            return "is another metadata file than a root"
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    except DeserializationError:
        return "is no root metadata"
    except RepositoryError:
        return "is not signed by the keys that it names"
    return None
