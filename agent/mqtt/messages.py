"""The messages of the wire: the envelope of durable records, and everything that isn't a record.

Promises that whatever is sent fits these types. The JSON Schemas under ``configs/schema`` are generated from here and
from :mod:`agent.records`; :mod:`agent.mqtt.coding` turns them into bytes and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.dataclasses import dataclass

from agent.mqtt.birth import Birth
from agent.mqtt.fields import FROZEN, ArgScalar, CommandId, CommandName, LinkStatus, Sentence, Uuid, Version, WireName
from agent.mqtt.health import Health
from agent.records import CONTRACT_VERSION, Body, ClockState, ModelRef, Scalar, Seq, Utc


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Envelope:
    """What every durable record carries beside its own fields.

    Attributes:
        v: The version of the contract.
        device: The box.
        boot: The agent's start that made the record.
        seq: Rises by one per device, for ever.
        id: Unique; the same whenever the record is sent again.
        time: When the record was made.
        camera: The camera; absent in a gap.
        clock: Whether ``time`` can be trusted.
        model: The model behind it, where there was one.
        backfill: It comes late: it had been waiting when the connection was made, or is sent again.
    """

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    seq: Seq
    id: Uuid
    time: Utc
    camera: WireName | None = None
    clock: ClockState
    model: ModelRef | None = None
    backfill: bool = False


@plain_dataclass(frozen=True, slots=True)
class Message:
    """A durable record as a receiver sees it."""

    envelope: Envelope
    kind: str
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Status:
    """Whether the box is there. ``offline`` is the will: the broker says it when the box is cut off."""

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    state: LinkStatus
    time: Utc | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Ack:
    """To the box: every record up to ``seq`` is safely stored. ``id`` is the id of that very record, if it has one."""

    v: Version = CONTRACT_VERSION
    seq: Annotated[int, Field(ge=0, le=2**53 - 1)]
    id: Uuid | None = None
    receiver: Annotated[str, Field(max_length=64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Command:
    """To the box: do this. Over MQTT 3.1.1, which has no correlation data, ``id`` comes back in the reply."""

    v: Version = CONTRACT_VERSION
    command: CommandName
    id: CommandId | None = None
    args: Annotated[dict[str, ArgScalar], Field(max_length=32)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Reply:
    """From the box: what became of a command; ``error`` is one sentence when ``ok`` is false."""

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    time: Utc
    command: CommandName | None = None
    id: CommandId | None = None
    ok: bool
    error: Sentence | None = None
    result: dict[str, Scalar] = field(default_factory=dict)


MESSAGES: Final[Mapping[str, type[Any]]] = {
    "status": Status,
    "birth": Birth,
    "health": Health,
    "ack": Ack,
    "command": Command,
    "reply": Reply,
}
"""Everything that isn't a durable record, by the last level of its topic."""
