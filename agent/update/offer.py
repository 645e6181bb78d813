"""What a maintainer signs beside a file's hash: for whom a model is, how much of the fleet, and when to stop.

The box decides from this signed data alone, and the same data gives the same decision on every day. A field that
this version of the agent does not know may be a restriction, so an offer with one is refused, not guessed at. Numbers
are whole: the canonical form that is signed knows no fractions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.update.refusal import Kind, UpdateError

CUSTOM_KEY: Final = "kentongan"
"""Where this project's data lies in a target's ``custom`` object."""

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
_Version = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,62}$")]
_Tags = Annotated[tuple[_Name, ...], Field(min_length=1, max_length=256)]


class _Signed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Hold(_Signed):
    """Stop taking a release once enough boxes tried it and too many failed."""

    failed_percent: Annotated[int, Field(ge=1, le=99)] = 5
    min_failed: Annotated[int, Field(ge=1)] = 2


class Rollout(_Signed):
    """Which boxes may take a release.

    Attributes:
        hardware: Any of these tags must be the box's; ``None`` is every box.
        min_agent: Lowest version of the agent that may run it.
        max_agent: First version of the agent that may not.
        groups: Any of these groups must be the box's; ``None`` is every box.
        percent: Share of those boxes, by a stable hash of the device, so that a larger share keeps the smaller one.
        hold: When to stop.
    """

    hardware: _Tags | None = None
    min_agent: _Version | None = None
    max_agent: _Version | None = None
    groups: _Tags | None = None
    percent: Annotated[int, Field(ge=0, le=100)] = 100
    hold: Hold = Hold()


class ModelOffer(_Signed):
    """One model on offer for one slot.

    Attributes:
        slot: The name of the model in the boxes' configurations.
        name: What the file calls itself.
        version: The version the file says.
        family: How its outputs are read, as the file says.
        serial: Number of the release; the box never goes below one it has taken.
        golden: The target with frames and expected detections.
        max_slowdown_percent: Its time per picture in per cent of that of the model in charge, on the same box, at most.
        rollout: Which boxes may take it.
        back: It is an older version on purpose.
        again: A box that blocked this file in an earlier release may try once more.
        withdrawn: It is taken back: boxes that run it return to what they had.
        why: For people: why it was withdrawn, or what is new.
    """

    kind: Literal["model"] = "model"
    slot: _Name
    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[str, Field(min_length=1, max_length=200)]
    family: _Name
    serial: Annotated[int, Field(ge=1)]
    golden: Annotated[str | None, Field(max_length=300)] = None
    max_slowdown_percent: Annotated[int, Field(ge=100, le=10_000)] = 300
    rollout: Rollout = Rollout()
    back: bool = False
    again: bool = False
    withdrawn: bool = False
    why: Annotated[str, Field(max_length=500)] = ""


class ConfigurationOffer(_Signed):
    """Lines, zones and levels for one device or one group."""

    kind: Literal["configuration"] = "configuration"
    serial: Annotated[int, Field(ge=1)]
    rollout: Rollout = Rollout()
    again: bool = False


class Tally(_Signed):
    """How a release fared so far, over the fleet."""

    tried: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]


class Outcomes(_Signed):
    """What the fleet reported, by serial; signed online, and able only to stop a release."""

    kind: Literal["outcomes"] = "outcomes"
    by_serial: dict[int, Tally] = {}


@dataclass(frozen=True, slots=True)
class Box:
    """What the rules know of this box.

    Attributes:
        device: Its name.
        hardware: Its tags, such as ``aarch64`` and ``raspberry-pi-5``.
        agent: The agent's version.
        groups: The groups its configuration puts it in.
    """

    device: str
    hardware: tuple[str, ...]
    agent: str
    groups: tuple[str, ...] = ()


def read_custom(of: type[BaseModel], custom: object, path: str) -> Any:
    """The signed data of one target as a value.

    Raises:
        UpdateError: It does not fit (``malformed``).
    """
    own = custom.get(CUSTOM_KEY) if isinstance(custom, Mapping) else None
    try:
        return of.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or CUSTOM_KEY
        raise UpdateError(
            "malformed",
            f"the signed data of {path} is not understood at {place}: {first['msg']}; update the agent, "
            "or sign it for this version",
        ) from error


def share_percent(device: str, seed: str) -> float:
    """Where a device stands in the fleet's order for one release, 0 <= p < 100, the same for ever."""
    digest = hashlib.sha256(f"{seed}\n{device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * 100


def version_key(version: str) -> tuple[int, ...]:
    """A version's leading numbers, to compare by: ``1.10.2-rc1`` gives ``(1, 10, 2)``, without trailing zeros."""
    leading = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in leading.group().split(".")] if leading else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def why_not_this_box(rollout: Rollout, box: Box, seed: str) -> tuple[Kind, str] | None:
    """The first rule that keeps a release from this box, with a sentence; ``None`` if it is for this box.

    Args:
        rollout: The signed rules.
        box: This box.
        seed: What the stable order is drawn from: the slot and serial of the release.
    """
    if rollout.hardware is not None and not set(rollout.hardware) & set(box.hardware):
        return "not_for_this_box", f"it is for hardware {', '.join(rollout.hardware)}"
    if rollout.min_agent is not None and version_key(box.agent) < version_key(rollout.min_agent):
        return "not_for_this_box", f"it needs agent {rollout.min_agent}, this is {box.agent}"
    if rollout.max_agent is not None and version_key(box.agent) >= version_key(rollout.max_agent):
        return "not_for_this_box", f"it is for agents before {rollout.max_agent}, this is {box.agent}"
    if rollout.groups is not None and not set(rollout.groups) & set(box.groups):
        return "not_for_this_box", f"it is for the groups {', '.join(rollout.groups)}"
    if share_percent(box.device, seed) >= rollout.percent:
        return "not_yet", f"it has reached {rollout.percent} % of the boxes, and this is not one of them yet"
    return None


def is_held(hold: Hold, tally: Tally | None) -> bool:
    """Whether the fleet's reports stop a release."""
    if tally is None or tally.tried == 0 or tally.failed < hold.min_failed:
        return False
    return 100 * tally.failed > hold.failed_percent * tally.tried
