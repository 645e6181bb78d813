"""What a judgement on pixels means to the scene: the one place where the two vocabularies meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent.records import Reason
from agent.scene.values import CLEAR, AssetLook, Likeness, SecondLook, View
from agent.vision.anchor import STAYED

if TYPE_CHECKING:
    from agent.vision.anchor import Standing
    from agent.vision.assets import RegionLook
    from agent.vision.farsight import Glance
    from agent.vision.scuffle import Scuffle
    from agent.vision.tampering import Cause, Judgement

_REASONS: Final[Mapping[Cause, Reason]] = {
    "covered": "covered",
    "sprayed": "covered",
    "defocused": "blurred",
    "turned": "moved",
    "blinded": "covered",
    "dark": "dark",
}
_STILL_COUNTS: Final[frozenset[Cause]] = frozenset({"defocused", "sprayed"})
"""Counting goes on, with the reason in its quality: near vehicles are still seen."""


def view_of(judgement: Judgement) -> View:
    """The view that the scene is told."""
    if judgement.cause is None:
        return View(("dark",), blind=True) if judgement.night else CLEAR
    return View(
        (_REASONS[judgement.cause],),
        blind=judgement.cause not in _STILL_COUNTS,
        cause=judgement.cause,
        share=judgement.share,
    )


def anchored(view: View, standing: Standing) -> View:
    """A view, with what is known of where the camera looks."""
    if standing.news:
        return View(("moved",), shift=standing.shift, settled="reanchored")
    if standing.stopped and not view.blind:  # since before a restart, or it turned into another view
        return View(("moved",), blind=True, cause="turned", share=1.0, shift=standing.shift)
    return replace(view, shift=standing.shift)


def accepted() -> View:
    """A person said that what is drawn holds for what the camera shows now."""
    return View(("moved",), shift=STAYED, settled="accepted")


def likeness_of(scuffles: Sequence[Scuffle], shape: tuple[int, ...]) -> Likeness:
    """The likeliest place in a picture of a shape (height, width)."""
    if not scuffles:
        return Likeness()
    first = scuffles[0]
    left, top, right, bottom = first.box
    place = ((left + right) / 2 / shape[1], (top + bottom) / 2 / shape[0])
    return Likeness(first.likeness, first.tracks, place, first.at_thing)


def closer_of(glance: Glance | None) -> SecondLook | None:
    """What a second look saw, as the scene is told."""
    if glance is None:
        return None
    return SecondLook(glance.at_s, glance.regions, tuple((float(x), float(y)) for x, y in glance.feet))


def assets_of(looks: Sequence[RegionLook]) -> tuple[AssetLook, ...]:
    """How the protected regions look, as the scene is told."""
    return tuple(
        AssetLook(
            name=look.name,
            light=look.light,
            known=look.known,
            seen=look.seen,
            changed=look.changed,
            settled=look.settled,
            gone=look.gone,
            lost=look.lost,
            new=look.new,
            coloured=look.coloured,
            stood_s=look.stood_s,
            accepted=look.accepted,
            place=look.place,
        )
        for look in looks
    )
