"""What is on offer, what waits, and which command comes next: lines for the maintainer's terminal.

What boxes are served and what is only staged are never mixed: a staged change reaches nobody before it is signed and
published. Reads the release folder and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tuf.api.metadata import Targets

from agent.release.offering import configuration_offers_in, model_offers_in
from agent.release.signing import standings
from agent.release.workspace import DELEGATED_ROLES, OFFLINE_ROLES, ONLINE_ROLES, Workspace
from agent.update.offer import ModelOffer, Rollout


def overview(workspace: Workspace) -> Iterator[str]:
    """Everything about a release folder: what is served, what is staged, keys and days left, the next command."""
    served, staged = _served(workspace), _staged(workspace)
    yield "on offer to the boxes:" if served else "on offer to the boxes: nothing yet"
    yield from (f"  {line}" for line in served)
    if workspace.staged():
        yield "staged, and seen by no box before it is signed and published:"
        yield from (f"  {line}" for line in staged if line not in served)
    yield from _keys(workspace)
    if workspace.staged():
        yield from next_step(workspace)


def next_step(workspace: Workspace) -> Iterator[str]:
    """Which signatures are missing, and the command that comes next."""
    missing = [standing for standing in standings(workspace) if standing.missing and standing.role not in ONLINE_ROLES]
    for standing in missing:
        keys = ", ".join(keyid[:12] for keyid in standing.keyids)
        yield f"{standing.role} version {standing.version}: {standing.missing} signature(s) missing; keys: {keys}"
    if missing:
        yield (
            f"next: kentongan release sign {workspace.folder} --key FILE "
            f"(a key file on its stick, such as {missing[0].role}-1.key; --key may repeat)"
        )
    else:
        yield f"next: kentongan release publish {workspace.folder}"


def whom(rollout: Rollout) -> str:
    """Which boxes a rollout names: ``50 % of north, first-tries``."""
    tags = [*(rollout.groups or ()), *(rollout.hardware or ())]
    return f"{rollout.percent} %" + (f" of {', '.join(tags)}" if tags else "")


def _served(workspace: Workspace) -> list[str]:
    found: list[str] = []
    for role in ("targets", "configuration"):
        metadata = workspace.published(role)
        if metadata is not None:
            found += _offers(metadata.signed)
    return found


def _staged(workspace: Workspace) -> list[str]:
    waiting = [role for role in ("targets", "configuration") if role in workspace.staged()]
    return [line for role in waiting for line in _offers(workspace.targets(role))]


def _offers(targets: Targets) -> list[str]:
    models = sorted(model_offers_in(targets).items(), key=lambda item: (item[1].slot, item[1].serial))
    lines = [
        f"{offer.slot} release {offer.serial}: {offer.name} {offer.version}, {_state(offer)} ({path})"
        for path, offer in models
    ]
    for path, offer in sorted(configuration_offers_in(targets).items()):
        lines.append(f"configuration number {offer.serial}: {whom(offer.rollout)} ({path})")
    return lines


def _state(offer: ModelOffer) -> str:
    return "withdrawn" if offer.withdrawn else whom(offer.rollout)


def _keys(workspace: Workspace) -> Iterator[str]:
    """The keys and days of what is served, not of what is staged."""
    root, targets = workspace.published("root"), workspace.published("targets")
    for role in (*OFFLINE_ROLES, *ONLINE_ROLES):
        metadata, above = workspace.published(role), targets if role in DELEGATED_ROLES else root
        if metadata is not None and above is not None:
            left = (metadata.signed.expires.replace(tzinfo=workspace.now.tzinfo) - workspace.now).days
            keys = ", ".join(keyid[:12] for keyid in above.signed.get_delegated_role(role).keyids)
            yield f"{role} version {metadata.signed.version}: {left} days left; keys {keys}"
