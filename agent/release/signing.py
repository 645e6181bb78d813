"""Collects signatures on staged metadata and says how many are still missing.

Signs only what the key is entitled to: a root change by keys of the old root and of the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root

from agent.release.workspace import DELEGATED_ROLES, Workspace


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the signing of one staged role is.

    Attributes:
        role: The role.
        version: The version that waits.
        missing: Signatures still needed; for a root, under the old and the new rules, whichever lacks more.
        keyids: Keys that may still sign.
    """

    role: str
    version: int
    missing: int
    keyids: tuple[str, ...]


def sign(workspace: Workspace, signers: Iterable[Signer]) -> list[str]:
    """Add the signatures that these keys may give to everything staged.

    Args:
        workspace: The working folder.
        signers: Unlocked keys.

    Returns:
        A line for each signature given, ``targets by 3f2a…``; empty if none of the keys was entitled to any.
    """
    given = []
    for role in workspace.staged():
        metadata = workspace.latest(role)
        for signer in signers:
            if signer.public_key.keyid in _entitled(workspace, role):
                metadata.sign(signer, append=True)
                given.append(f"{role} by {signer.public_key.keyid[:12]}")
        workspace.save_staged(role, metadata)
    return given


def standings(workspace: Workspace) -> list[Standing]:
    """How far each staged role is."""
    return [_standing(workspace, role) for role in workspace.staged()]


def verified_by(workspace: Workspace, role: str, metadata: Metadata[Any]) -> bool:
    """Whether metadata of a role has all the signatures that the newest rules ask for."""
    delegator = workspace.targets() if role in DELEGATED_ROLES else workspace.root()
    return bool(delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures))


def _standing(workspace: Workspace, role: str) -> Standing:
    metadata = workspace.latest(role)
    results = [
        rules.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
        for rules in _rules(workspace, role)
    ]
    return Standing(
        role=role,
        version=metadata.signed.version,
        missing=max(max(result.missing, 0) for result in results),
        keyids=tuple(sorted({keyid for result in results for keyid in result.unsigned})),
    )


def _rules(workspace: Workspace, role: str) -> list[Any]:
    """Whose keys must sign a role: for a root the last published one and itself."""
    if role in DELEGATED_ROLES:
        return [workspace.targets()]
    if role != Root.type:
        return [workspace.root()]
    before = workspace.published(role)
    return [workspace.root()] if before is None else [before.signed, workspace.root()]


def _entitled(workspace: Workspace, role: str) -> set[str]:
    return {keyid for rules in _rules(workspace, role) for keyid in rules.get_delegated_role(role).keyids}
