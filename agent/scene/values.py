"""What the scene is told besides tracks: how the camera's link is, and whether its view can be trusted.

Both are small frozen values made elsewhere; the scene only believes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agent.records import EventBody, Reason

LinkState: TypeAlias = Literal["connecting", "live", "frozen", "lost"]


@dataclass(frozen=True, slots=True)
class Link:
    """How the way to the camera is.

    Attributes:
        state: ``connecting`` has not had its first picture yet, ``frozen`` repeats one, ``lost`` gives none.
        reason: Why, for people; a word of :data:`agent.records.Reason` also goes into the interval's quality.
    """

    state: LinkState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """Whether the picture shows what the lines were drawn on.

    Attributes:
        reasons: What is wrong with it: of ``dark``, ``blurred``, ``covered``, ``moved``; empty when all is well.
        blind: Counting on it would give wrong numbers; nothing is counted until it is over.
        cause: What was done to the camera, ``covered`` or ``turned`` for instance; empty when nobody did anything,
            as at nightfall.
        share: How much of the view that affects, 0 to 1.
        shift: How the view lies beside the one that lines and zones were drawn on, as a homography row by row, from
            that one to this, both relative to the picture; ``None`` says nothing new about it.
        settled: A moved view is known again since just now: it was ``reanchored``, or ``accepted`` by a person.
    """

    reasons: tuple[Reason, ...] = ()
    blind: bool = False
    cause: str = ""
    share: float = 0.0
    shift: tuple[float, float, float, float, float, float, float, float, float] | None = None
    settled: Literal["", "reanchored", "accepted"] = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much what people do looks like a fight.

    Attributes:
        value: 0 to 1, averaged over seconds; 0 where nobody is close to anybody or to a protected thing.
        tracks: Who is there, by track id.
        place: Middle of the place, relative to the picture.
        at_thing: It was looked at because of a protected thing alone: no two persons were close to each other there.
    """

    value: float = 0.0
    tracks: tuple[int, ...] = ()
    place: tuple[float, float] = (0.0, 0.0)
    at_thing: bool = False


@dataclass(frozen=True, slots=True)
class AssetLook:
    """How one protected region looks, beside how it is remembered; shares are of what of it can be seen.

    Attributes:
        name: Of the region.
        light: The light it is seen by: ``day``, ``night`` or ``infrared``; each has a memory of its own.
        known: How it looks in this light is known well enough to tell a change.
        seen: Share that nobody stands in front of.
        changed: Share that differs now.
        settled: Share that has differed for as long as the configuration asks, always looking the same.
        gone: Share of its structure that has been gone for so long.
        lost: Of what settled, the share whose structure is gone.
        new: … that has structure where there was none.
        coloured: … that has another colour.
        stood_s: For how long what settled has differed, also while somebody stood in front of it.
        accepted: It was just remembered anew, after having looked so for very long.
        relearnt: The first look since it was learnt anew, as in a new view.
        place: Middle of the change, relative to the picture.
        unwatched: It is too small in the pictures that come now; nothing else is known of it.
    """

    name: str
    light: str
    known: bool
    seen: float
    changed: float = 0.0
    settled: float = 0.0
    gone: float = 0.0
    lost: float = 0.0
    new: float = 0.0
    coloured: float = 0.0
    stood_s: float = 0.0
    accepted: bool = False
    relearnt: bool = False
    place: tuple[float, float] = (0.0, 0.0)
    unwatched: bool = False


@dataclass(frozen=True, slots=True)
class SecondLook:
    """People found by looking closer at zones where they are small or many.

    Attributes:
        at_s: When the picture was captured, monotonic seconds.
        zones: Which zones were looked at.
        feet: Where each person stands, relative to the picture.
    """

    at_s: float
    zones: tuple[str, ...]
    feet: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """Evidence that lies on the box, sealed: what may be said of it.

    Attributes:
        name: Of its file.
        sha256: Of its bytes on the disk, hexadecimal.
        bytes: How many.
        start_s: Capture time of its first picture, UTC seconds.
        end_s: Of its last.
    """

    name: str
    sha256: str
    bytes: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finished clip, and an event that it was kept for, as that was last told."""

    event: EventBody
    clip: Clip


LIVE = Link("live")
CLEAR = View()
