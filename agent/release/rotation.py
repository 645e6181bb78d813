"""Changes the keys of a role: new ones in, lost or stolen ones out, with the signatures that this makes necessary.

Boxes follow by themselves: each new root is signed by the keys of the one before. After a rotation of the online keys
the boxes also forget version numbers that a thief may have driven up.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuf.api.metadata import Root, Targets

from agent.release.faults import ReleaseError
from agent.release.keys import KeyFile, create_key
from agent.release.workspace import DELEGATED_ROLES, Workspace


def rotate(
    workspace: Workspace,
    role: str,
    *,
    add: Sequence[KeyFile] = (),
    drop: Sequence[str] = (),
    threshold: int | None = None,
) -> None:
    """Stage a change of a role's keys.

    Args:
        workspace: The working folder.
        role: Whose keys.
        add: Key files that may sign from now on; only their public part is used.
        drop: Key ids, or beginnings of them, that may no longer.
        threshold: How many signatures are needed from now on; ``None`` keeps it.

    Raises:
        ReleaseError: A key is unknown, or too few keys would be left.
    """
    above = workspace.edit("targets", Targets) if role in DELEGATED_ROLES else workspace.edit("root", Root)
    for beginning in drop:
        above.revoke_key(_full_keyid(above, role, beginning), role)
    for file in add:
        above.add_key(file.key, role)
    rules = above.get_delegated_role(role)
    if threshold is not None:
        rules.threshold = threshold
    if not 1 <= rules.threshold <= len(rules.keyids):
        raise ReleaseError(
            f"{role} would need {rules.threshold} signatures and have {len(rules.keyids)} keys; add keys, or lower "
            "the threshold"
        )
    workspace.stage("targets" if role in DELEGATED_ROLES else "root", above)
    if role in ("targets", *DELEGATED_ROLES):  # what dropped keys have signed must be signed again
        workspace.stage(role, workspace.edit(role, Targets))


def rotate_online(workspace: Workspace, role: str, passphrase: str, *, scrypt_n: int) -> KeyFile:
    """Stage a new key for an online role in place of the old one; the old file is kept beside it, for the record.

    Args:
        workspace: The working folder.
        role: ``snapshot``, ``timestamp`` or ``outcomes``.
        passphrase: Of the new key.
        scrypt_n: Cost of one guess at it.

    Raises:
        ReleaseError: The key can't be written.
    """
    place = workspace.online_key(role)
    above = workspace.targets() if role in DELEGATED_ROLES else workspace.root()
    old = list(above.get_delegated_role(role).keyids)
    place.rename(place.with_name(f"{role}.{old[0][:8]}.old"))
    file = create_key(place, role, passphrase, scrypt_n=scrypt_n)
    rotate(workspace, role, add=[file], drop=old)
    return file


def _full_keyid(above: Root | Targets, role: str, beginning: str) -> str:
    found = [keyid for keyid in above.get_delegated_role(role).keyids if keyid.startswith(beginning)]
    if len(found) != 1:
        raise ReleaseError(f"{role} has {len(found)} keys that begin with {beginning!r}; write more of the key id")
    return found[0]
