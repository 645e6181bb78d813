"""Which release this box should take next, from signed data alone.

Pure: the same offers, memory and box give the same choice. Never goes back to an older release unless a maintainer
signed that as a way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.update.offer import Box, ModelOffer, Tally, is_held, version_key, why_not_this_box
from agent.update.refusal import Kind
from agent.update.repository import Signed
from agent.update.slot import Held, Slot


@dataclass(frozen=True, slots=True)
class Offered:
    """A model on offer: the file, and what was signed about it."""

    signed: Signed
    offer: ModelOffer


@dataclass(frozen=True, slots=True)
class Present:
    """What the model in charge calls itself."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do.

    Attributes:
        take: The release to take.
        renumber: The file in charge is also this newer release.
        retract: The release in charge is taken back, and why.
        drop: The release under way is taken back, and why.
        why_not: What keeps the newest release away.
    """

    take: Offered | None = None
    renumber: int | None = None
    retract: str | None = None
    drop: str | None = None
    why_not: tuple[Kind, str] | None = None


def choose(offers: Iterable[Offered], slot: Slot, present: Present, box: Box, outcomes: Mapping[int, Tally]) -> Choice:
    """Choose the next release.

    Args:
        offers: Every model on offer for this slot.
        slot: What the box remembers.
        present: The model in charge.
        box: This box.
        outcomes: How releases fared over the fleet, by serial.
    """
    newest_first = sorted(offers, key=lambda offered: offered.offer.serial, reverse=True)
    if reason := _withdrawn(newest_first, slot.in_charge):
        return Choice(retract=reason)
    under_way = slot.candidate.model if slot.under_way and slot.candidate is not None else None
    if reason := _withdrawn(newest_first, under_way):
        return Choice(drop=reason)
    why_not: tuple[Kind, str] | None = None
    for offered in newest_first:
        if offered.offer.serial <= slot.serial:
            break
        if offered.offer.withdrawn:
            continue
        against = _against(offered, slot, present, box, outcomes)
        if against is None:
            if offered.signed.sha256 == present.sha256:
                return Choice(renumber=offered.offer.serial)
            return Choice(take=offered)
        why_not = why_not or against
    return Choice(why_not=why_not)


def _withdrawn(offers: list[Offered], held: Held | None) -> str | None:
    """Why a model that this box has is taken back; ``None`` if it is not."""
    for offered in offers:
        if held is not None and offered.offer.withdrawn and offered.signed.sha256 == held.sha256:
            return offered.offer.why or "no reason was given"
    return None


def _against(
    offered: Offered, slot: Slot, present: Present, box: Box, outcomes: Mapping[int, Tally]
) -> tuple[Kind, str] | None:
    """What keeps one release from this box; ``None`` if nothing does."""
    offer = offered.offer
    called = f"release {offer.serial} ({offer.name} {offer.version})"
    if reason := why_not_this_box(offer.rollout, box, f"{offer.slot}/{offer.serial}"):
        kind, why = reason
        return kind, f"{called} is not taken: {why}"
    if is_held(offer.rollout.hold, outcomes.get(offer.serial)):
        return "held", f"{called} is held: it failed on too many boxes"
    block = slot.block_of(offered.signed.sha256)
    if block is not None and not (offer.again and offer.serial > block.serial):
        return "known_bad", f"{called} is not tried again: {block.detail}"
    older = offer.name == present.name and version_key(offer.version) < version_key(present.version)
    if older and not offer.back:
        return (
            "downgrade",
            f"{called} is older than {present.version} and not signed as a way back (release withdraw --back-to)",
        )
    return None
