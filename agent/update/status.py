"""What the traffic management centre sees of an update: plain values, the same in birth, health and on the box.

Imports neither pixels nor the network, so that what sends messages may use it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from agent.records import ModelRef, Utc
from agent.update.refusal import Kind

State: TypeAlias = Literal["idle", "downloading", "verifying", "trial", "shadow", "committed", "rolled_back", "blocked"]
UNDER_WAY: Final[frozenset[State]] = frozenset({"downloading", "verifying", "trial", "shadow"})

_FROZEN: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ShadowReport:
    """How the candidate's eyes compare with those of the model in charge, on the same live frames.

    Attributes:
        watched_s: How long the comparison has run.
        frames: Frames both looked at.
        in_charge: Road users the model in charge saw.
        candidate: Road users the candidate saw.
        matched: Of those the model in charge saw, how many the candidate saw at the same place.
    """

    watched_s: Annotated[float, Field(ge=0)]
    frames: _Count
    in_charge: _Count
    candidate: _Count
    matched: _Count


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class UpdateStatus:
    """One slot of the box: a model by its configured name, or the configuration.

    Attributes:
        slot: The model's name in the configuration; ``configuration`` for the configuration itself.
        state: Where the update stands.
        since: When it came there; absent on a box that never saw a release.
        model: What is in charge; absent while it is what was installed with the box.
        candidate: What is under way, or was last refused.
        candidate_serial: Its release number.
        serial: The release number in charge; 0 for what was installed.
        reason: Why the last update did not happen, or was taken back.
        detail: The same as a sentence for people.
        watching: What is in charge is new, and under watch.
        shadow: The comparison, while it runs and after.
        checked: When the repository was last asked successfully.
    """

    slot: str
    state: State
    since: Utc | None = None
    model: ModelRef | None = None
    candidate: ModelRef | None = None
    candidate_serial: _Count | None = None
    serial: _Count = 0
    reason: Kind | None = None
    detail: str | None = None
    watching: bool = False
    shadow: ShadowReport | None = None
    checked: Utc | None = None
