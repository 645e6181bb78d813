"""Founds a repository: makes the keys, the first root, and an empty set of targets, signed and ready to publish.

Offline keys are spread over the folders that are given, one stick each at best; they never touch the working folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Role, Root, Targets

from agent.release.faults import ReleaseError
from agent.release.keys import SCRYPT_N, KeyFile, create_key, unlock
from agent.release.signing import sign
from agent.release.workspace import ONLINE_ROLES, Expiry, Workspace

CONFIGURATION_PATHS = ("configuration/*/*",)
OUTCOMES_PATHS = ("outcomes/*",)


@dataclass(frozen=True, slots=True)
class Quorum:
    """How many keys a role has, and how many of them must sign."""

    keys: int
    threshold: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys:
            raise ReleaseError(
                f"{self.threshold} of {self.keys} signatures can't be; ask for at least 1 and at most all of them"
            )


@dataclass(frozen=True, slots=True)
class Quorums:
    """The quorums of the offline roles."""

    root: Quorum = Quorum(3, 2)
    targets: Quorum = Quorum(3, 2)
    configuration: Quorum = Quorum(2, 1)


@dataclass(frozen=True, slots=True)
class Founded:
    """What founding made.

    Attributes:
        workspace: The working folder; everything is signed and waits to be published.
        keys: The offline key files, by role.
    """

    workspace: Workspace
    keys: dict[str, list[KeyFile]]


def found(
    workspace: Workspace,
    key_folders: Sequence[Path],
    passphrase: Callable[[str], str],
    *,
    quorums: Quorums | None = None,
    expiry: Expiry | None = None,
    online_passphrase: str = "",
    scrypt_n: int = SCRYPT_N,
) -> Founded:
    """Make a repository.

    Args:
        workspace: The working folder to be; must be empty or new.
        key_folders: Where the offline keys go, in turn.
        passphrase: Gives the passphrase for an offline key, by its name.
        quorums: How many keys each offline role gets.
        expiry: How long metadata is believed.
        online_passphrase: Protects the online keys; empty lets a timer use them alone.
        scrypt_n: Cost of one guess at a passphrase.

    Raises:
        ReleaseError: The folder is in use, or something can't be written.
    """
    if (workspace.folder / "settings.json").exists():
        raise ReleaseError(f"{workspace.folder} already is a release folder; choose another, or work with this one")
    quorums = quorums or Quorums()
    workspace.save_settings(expiry or Expiry())
    offline: dict[str, list[KeyFile]] = {}
    signers: list[CryptoSigner] = []
    for role, quorum in (
        ("root", quorums.root),
        ("targets", quorums.targets),
        ("configuration", quorums.configuration),
    ):
        for number in range(quorum.keys):
            name, words = f"{role}-{number + 1}", passphrase(f"{role}-{number + 1}")
            file = create_key(key_folders[number % len(key_folders)] / f"{name}.key", name, words, scrypt_n=scrypt_n)
            offline.setdefault(role, []).append(file)
            signers.append(unlock(file.path, words))
    online = {
        role: create_key(workspace.online_key(role), role, online_passphrase, scrypt_n=scrypt_n)
        for role in ONLINE_ROLES
    }
    workspace.stage("root", _root(offline, online, quorums))
    workspace.stage("targets", _targets(offline["configuration"], online["outcomes"], quorums))
    workspace.stage("configuration", Targets())
    workspace.stage("outcomes", Targets())
    sign(workspace, signers)
    return Founded(workspace, offline)


def _root(offline: dict[str, list[KeyFile]], online: dict[str, KeyFile], quorums: Quorums) -> Root:
    root = Root(consistent_snapshot=True)
    root.roles["root"] = Role([], quorums.root.threshold)
    root.roles["targets"] = Role([], quorums.targets.threshold)
    for role in ("root", "targets"):
        for file in offline[role]:
            root.add_key(file.key, role)
    for role in ("snapshot", "timestamp"):
        root.add_key(online[role].key, role)
    return root


def _targets(configuration: list[KeyFile], outcomes: KeyFile, quorums: Quorums) -> Targets:
    """Targets that let one more team sign configurations, and the online machine report outcomes; neither a model."""
    roles = {
        "configuration": DelegatedRole(
            "configuration", [], quorums.configuration.threshold, terminating=True, paths=list(CONFIGURATION_PATHS)
        ),
        "outcomes": DelegatedRole("outcomes", [], 1, terminating=True, paths=list(OUTCOMES_PATHS)),
    }
    targets = Targets(delegations=Delegations(keys={}, roles=roles))
    for file in configuration:
        targets.add_key(file.key, "configuration")
    targets.add_key(outcomes.key, "outcomes")
    return targets
