"""Turns what is staged and signed into the folder to serve, and keeps its freshness proof young.

Refuses to publish anything short of its threshold. Files appear in an order that leaves a reader, at any moment, with
a whole old state or a whole new one: targets first, the timestamp last.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from agent.release.faults import ReleaseError
from agent.release.keys import unlock
from agent.release.signing import standings, verified_by
from agent.release.workspace import DELEGATED_ROLES, OFFLINE_ROLES, Workspace

_TARGETS_ROLES = ("targets", *DELEGATED_ROLES)


def publish(workspace: Workspace, *, online_passphrase: str = "", to: Path | None = None) -> list[str]:
    """Publish everything staged, and renew snapshot and timestamp.

    Args:
        workspace: The working folder.
        online_passphrase: Of the online keys.
        to: A folder to copy the result to, such as a mounted web server; ``public/`` is always brought up to date.

    Returns:
        The metadata files written, in order.

    Raises:
        ReleaseError: A staged role lacks signatures (then what is published was kept fresh, unless root is among
            them), a file is missing, or a key does not open.
    """
    online = {role: unlock(workspace.online_key(role), online_passphrase) for role in ("snapshot", "timestamp")}
    _sign_outcomes(workspace, online_passphrase)
    try:
        _require_signatures(workspace)
    except ReleaseError as error:
        _renew(workspace, online, to, error)
        raise
    _copy_files(workspace)
    written = [_release(workspace, role) for role in workspace.staged()]
    written += _snapshot(workspace, online["snapshot"])
    written.append(_timestamp(workspace, online["timestamp"]))
    workspace.open_to_readers()
    if to is not None:
        _copy_out(workspace.public, to)
    return written


def _renew(workspace: Workspace, online: Mapping[str, CryptoSigner], to: Path | None, why: ReleaseError) -> None:
    """Keep what is published fresh while a change waits for its sticks: boxes must not take the wait for an attack.

    Raises:
        ReleaseError: What was published stays, and is fresh; the change still waits, as ``why`` says.
    """
    if "root" in workspace.staged() or workspace.published("snapshot") is None:
        return  # who may sign the timestamp is about to change, or nothing is published
    _snapshot(workspace, online["snapshot"])
    _timestamp(workspace, online["timestamp"])
    workspace.open_to_readers()
    if to is not None:
        _copy_out(workspace.public, to)
    raise ReleaseError(f"{why}; what is published stays, and its timestamp was renewed") from why


def _sign_outcomes(workspace: Workspace, online_passphrase: str) -> None:
    """Sign reported outcomes, and renew them in time, with the online key alone."""
    if not workspace.staged_path("outcomes").exists():
        current = workspace.latest("outcomes")
        renew_at = current.signed.expires - (workspace.expiry.of("outcomes", workspace.now) - workspace.now) / 2
        if workspace.now < renew_at.replace(tzinfo=workspace.now.tzinfo):
            return
        workspace.stage("outcomes", workspace.targets("outcomes"))
    metadata = workspace.latest("outcomes")
    metadata.sign(unlock(workspace.online_key("outcomes"), online_passphrase))
    workspace.save_staged("outcomes", metadata)


def _require_signatures(workspace: Workspace) -> None:
    for standing in standings(workspace):
        if standing.missing:
            able = ", ".join(keyid[:12] for keyid in standing.keyids)
            raise ReleaseError(
                f"{standing.role} version {standing.version} lacks {standing.missing} signature(s); sign it with: "
                f"kentongan release sign {workspace.folder} --key FILE (keys that can: {able})"
            )
    for role in OFFLINE_ROLES:
        if not verified_by(workspace, role, workspace.latest(role)):
            raise ReleaseError(f"{role} is no longer signed by enough valid keys; sign it again with its new keys")


def _copy_files(workspace: Workspace) -> None:
    """Put added files under the names that clients ask for: with their hash in front."""
    for role in _TARGETS_ROLES:
        for path, target in workspace.targets(role).targets.items():
            place = workspace.public / "targets" / target.get_prefixed_paths()[0]
            if place.exists() or target.length == 0:
                continue
            source = workspace.files / path
            if not source.exists():
                raise ReleaseError(f"{source} is signed and not there; add the file again")
            data = source.read_bytes()
            try:
                target.verify_length_and_hashes(data)
            except Exception as error:
                raise ReleaseError(f"{source} was changed after it was added; add it again") from error
            workspace.write(place, data)


def _release(workspace: Workspace, role: str) -> str:
    metadata = workspace.latest(role)
    name = f"{metadata.signed.version}.{role}.json"
    workspace.put_public(name, metadata)
    workspace.unstage(role)
    return name


def _snapshot(workspace: Workspace, signer: CryptoSigner) -> list[str]:
    """A new snapshot if anything in it changed, or the old one is past half its life."""
    before = workspace.published("snapshot")
    meta = {f"{role}.json": _meta_of(workspace, f"{role}", role) for role in _TARGETS_ROLES}
    if before is not None and verified_by(workspace, "snapshot", before) and before.signed.meta == meta:
        life = workspace.expiry.of("snapshot", workspace.now) - workspace.now
        if before.signed.expires.replace(tzinfo=workspace.now.tzinfo) - workspace.now > life / 2:
            return []
    snapshot = Snapshot(
        version=1 if before is None else before.signed.version + 1,
        expires=workspace.expiry.of("snapshot", workspace.now),
        meta=meta,
    )
    return [_write_signed(workspace, f"{snapshot.version}.snapshot.json", Metadata(snapshot), signer)]


def _timestamp(workspace: Workspace, signer: CryptoSigner) -> str:
    before = workspace.published("timestamp")
    timestamp = Timestamp(
        version=1 if before is None else before.signed.version + 1,
        expires=workspace.expiry.of("timestamp", workspace.now),
        snapshot_meta=_meta_of(workspace, "snapshot", "snapshot"),
    )
    return _write_signed(workspace, "timestamp.json", Metadata(timestamp), signer)


def _meta_of(workspace: Workspace, file: str, role: str) -> MetaFile:
    metadata = workspace.published(role)
    if metadata is None:
        raise ReleaseError(f"{workspace.folder} has no {role} metadata; make it with: kentongan release init")
    version = metadata.signed.version
    data = (workspace.public / "metadata" / f"{version}.{file}.json").read_bytes()
    return MetaFile.from_data(version, data, ["sha256"])


def _write_signed(
    workspace: Workspace, name: str, metadata: Metadata[Snapshot] | Metadata[Timestamp], by: CryptoSigner
) -> str:
    metadata.sign(by)
    workspace.put_public(name, metadata)
    return name


def _copy_out(public: Path, to: Path) -> None:
    """Copy to a served folder in the order that keeps it whole: the timestamp, which names all the rest, last."""
    last = public / "metadata" / "timestamp.json"
    try:
        for path in sorted(public.rglob("*")):
            place = to / path.relative_to(public)
            if path.is_file() and path != last and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        beside = to / "metadata" / ".timestamp.json.new"
        shutil.copyfile(last, beside)
        beside.replace(to / "metadata" / "timestamp.json")
    except OSError as error:
        raise ReleaseError(f"{to} can't be written: {error.strerror}; check the folder and its disk") from error
