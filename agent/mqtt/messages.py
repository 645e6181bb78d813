"""The messages of the wire: the envelope of durable records, and everything that isn't a record.

Promises that whatever is sent fits these types and 64 kB, and that whatever arrives and doesn't fit is refused with
one sentence. The JSON Schemas under ``configs/schema`` are generated from here and from :mod:`agent.records`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, fields
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias, TypeVar

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from agent.errors import KentonganError
from agent.mqtt.topics import Address
from agent.records import (
    BODIES,
    CONTRACT_VERSION,
    Body,
    ClockState,
    Count,
    ModelRef,
    NotNegative,
    Scalar,
    Seq,
    Share,
    Utc,
    dump,
    load,
)
from agent.update.status import UpdateStatus

MAX_PAYLOAD_BYTES: Final = 64 * 1024
_FROZEN: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
_MAX_DEPTH: Final = 16

Version: TypeAlias = Literal[1]
Uuid: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
WireName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Sentence: TypeAlias = Annotated[str, Field(max_length=1000)]
CommandName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]
CommandId: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]
ArgScalar: TypeAlias = Annotated[str, Field(max_length=4096)] | bool | int | float
LinkStatus: TypeAlias = Literal["online", "stopped", "offline"]
CameraStatus: TypeAlias = Literal["starting", "live", "frozen", "lost", "stopped"]

_T = TypeVar("_T")


class MessageError(KentonganError):
    """A message is larger than it may be, is no JSON, or doesn't fit its type."""

    exit_code = 65  # EX_DATAERR


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Status:
    """Whether the box is there. ``offline`` is the will: the broker says it when the box is cut off."""

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    state: LinkStatus
    time: Utc | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class LineBirth:
    """A counting line, and what its two directions are called."""

    name: WireName
    interval_s: NotNegative
    classes: tuple[str, ...] | None = None
    a_to_b: str | None = None
    b_to_a: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ZoneBirth:
    """A zone, and which rules watch it."""

    name: WireName
    interval_s: NotNegative
    classes: tuple[str, ...] | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ProtectedBirth:
    """A protected region, and what is there."""

    name: WireName
    what: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class CameraBirth:
    """A camera: where it stands, where it looks, whose it is. Never its address or login."""

    name: WireName
    place: str | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    heading_deg: Annotated[float, Field(ge=0, lt=360)] | None = None
    field_of_view_deg: Annotated[float, Field(gt=0, le=360)] | None = None
    owner: str | None = None
    model: str | None = None
    lines: tuple[LineBirth, ...] = ()
    zones: tuple[ZoneBirth, ...] = ()
    protected: tuple[ProtectedBirth, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ModelBirth:
    """A model in use: what it is, the sha256 of the bytes that run, and the provider that really runs them."""

    key: str
    name: str
    version: str
    sha256: str
    provider: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Birth:
    """Who and where this box is. ``abridged`` says that lines, zones and regions were left out to fit 64 kB.

    ``updates`` is where the updates of each model and of the configuration stand; absent where none are taken.
    """

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    time: Utc
    version: str
    place: str | None = None
    delivery: Literal["broker", "application"]
    cameras: tuple[CameraBirth, ...] = ()
    models: tuple[ModelBirth, ...] = ()
    updates: tuple[UpdateStatus, ...] | None = None
    abridged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class CameraHealth:
    """How one camera fares: rates in frames a second, frames dropped since the start, age of the newest frame.

    ``second_looks`` counts closer looks at crowded or far zones since the start, ``second_looks_skipped`` those that
    the box had no time for; both are absent where none are made.
    """

    state: CameraStatus
    source_fps: NotNegative | None = None
    detect_fps: NotNegative | None = None
    dropped: Count | None = None
    frame_age_s: NotNegative | None = None
    reconnects: Count | None = None
    second_looks: Count | None = None
    second_looks_skipped: Count | None = None
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Room:
    """Something of limited size, in megabytes."""

    used_mb: NotNegative
    total_mb: NotNegative


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class OutboxHealth:
    """What waits to be delivered, on disk and (``waiting``) still in memory, and whether the disk works."""

    ok: bool
    records: Count
    oldest_s: NotNegative | None = None
    room: Room | None = None
    waiting: Count = 0
    dropped: Count = 0
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class LinkHealth:
    """How the connection to the broker fares; the counters run since the agent started."""

    connected: bool
    reconnects: Count = 0
    sent: Count = 0
    acknowledged: Count = 0
    refused: Count = 0
    in_flight: Count = 0
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class EvidenceHealth:
    """How the clips fare that stay on the box: how many lie there, and whether another would be kept.

    ``dropped`` counts pictures that were left out because the box was busy, ``lost`` clips that could not be kept.
    """

    ok: bool
    clips: Count
    room: Room | None = None
    dropped: Count = 0
    lost: Count = 0
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Health:
    """How the box fares. Sent every minute while connected, never stored; ``updates`` as in birth."""

    v: Version = CONTRACT_VERSION
    device: WireName
    boot: Uuid
    time: Utc
    clock: ClockState
    uptime_s: NotNegative
    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None
    cpu: Share | None = None
    memory: Room | None = None
    own_memory_mb: NotNegative | None = None
    disk: Room | None = None
    cameras: dict[str, CameraHealth] = field(default_factory=dict)
    outbox: OutboxHealth | None = None
    link: LinkHealth | None = None
    evidence: EvidenceHealth | None = None
    updates: tuple[UpdateStatus, ...] | None = None
    problems: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Ack:
    """To the box: every record up to ``seq`` is safely stored. ``id`` is the id of that very record, if it has one."""

    v: Version = CONTRACT_VERSION
    seq: Annotated[int, Field(ge=0, le=2**53 - 1)]
    id: Uuid | None = None
    receiver: Annotated[str, Field(max_length=64)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Command:
    """To the box: do this. Over MQTT 3.1.1, which has no correlation data, ``id`` comes back in the reply."""

    v: Version = CONTRACT_VERSION
    command: CommandName
    id: CommandId | None = None
    args: Annotated[dict[str, ArgScalar], Field(max_length=32)] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
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

_ENVELOPE_FIELDS: Final = frozenset(one.name for one in fields(Envelope))


def compact(plain: object) -> bytes:
    """Plain JSON values as they go on the wire: UTF-8, no spaces.

    Raises:
        MessageError: More than 64 kB.
    """
    payload = json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"a message of {len(payload)} bytes is not sent; the contract allows {MAX_PAYLOAD_BYTES}")
    return payload


def encode(message: object) -> bytes:
    """A status, birth, health, ack, command or reply as it goes on the wire.

    Raises:
        MessageError: More than 64 kB.
    """
    return compact(dump(message))


def envelope_plain(envelope: Envelope, body: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope and a body's plain values as one flat object."""
    return {**dump(envelope), **body}


def parse_json(payload: bytes, where: str) -> dict[str, Any]:
    """Read a JSON object from the network.

    Raises:
        MessageError: It is too large, no JSON, too deep, or no object.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"{where}: a message of {len(payload)} bytes is refused; {MAX_PAYLOAD_BYTES} are allowed")
    try:
        plain = json.loads(payload.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{where}: is no JSON message; send one UTF-8 JSON object") from error
    if not isinstance(plain, dict) or _depth(plain) > _MAX_DEPTH:
        raise MessageError(f"{where}: is no flat JSON object; see the schema of this topic")
    return plain


def decode(of: type[_T], payload: bytes, where: str) -> _T:
    """Read a status, birth, health, ack, command or reply.

    Raises:
        MessageError: It doesn't fit the type.
    """
    return _checked(of, parse_json(payload, where), where)


def decode_record(payload: bytes, address: Address) -> Message:
    """Read a durable record from its topic.

    Raises:
        MessageError: It doesn't fit the contract, or lies about where it comes from.
    """
    where = str(address)
    plain = parse_json(payload, where)
    head = {key: value for key, value in plain.items() if key in _ENVELOPE_FIELDS}
    rest = {key: value for key, value in plain.items() if key not in _ENVELOPE_FIELDS}
    envelope = _checked(Envelope, head, where)
    if (envelope.device, envelope.camera) != (address.device, address.camera):
        raise MessageError(f"{where}: names another device or camera than its topic; it is refused")
    body: Body = _checked(BODIES[address.leaf], rest, where)  # type: ignore[index]
    return Message(envelope, address.leaf, body)


def _checked(of: type[_T], plain: dict[str, Any], where: str) -> _T:
    try:
        value: _T = load(of, plain)
    except (ValidationError, RecursionError, OverflowError) as error:
        raise MessageError(f"{where}: {_first_fault(error)}") from error
    return value


def _first_fault(error: Exception) -> str:
    """One fault in words, without the value, which may be a secret or very long."""
    if not isinstance(error, ValidationError):
        return "holds a number or a nesting beyond all bounds"
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part)[:40] for part in fault["loc"][:6]) or "the message"
    return f"{place}: {fault['msg'][:200]}"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _depth(plain: object) -> int:
    level, depth = [plain], 0
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth
