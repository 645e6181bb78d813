"""The records that leave the box, and the only definition of their fields.

A record is a count, a zone report, an event or a gap. The JSON Schemas under ``configs/schema`` are generated from
these types. Nothing here can hold an array, a picture or bytes; a value that is missing is absent, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic.json_schema import WithJsonSchema

CONTRACT_VERSION: Final = 1

ClassName: TypeAlias = Literal["person", "bicycle", "motorcycle", "car", "bus", "truck", "other"]
Direction: TypeAlias = Literal["a_to_b", "b_to_a"]
RecordKind: TypeAlias = Literal["count", "zone", "event", "gap"]
EventKind: TypeAlias = Literal[
    "congestion",
    "queue",
    "stopped_vehicle",
    "wrong_way",
    "crowd",
    "surge",
    "loitering",
    "aggression",
    "asset_changed",
    "vandalism",
    "camera_tampered",
    "camera_lost",
    "model_update",
    "configuration_update",
]
Phase: TypeAlias = Literal["start", "update", "end"]
Severity: TypeAlias = Literal["info", "warning", "alarm"]
Reason: TypeAlias = Literal[
    "starting",
    "stopping",
    "camera_lost",
    "camera_frozen",
    "overloaded",
    "low_rate",
    "dark",
    "blurred",
    "covered",
    "moved",
    "clock_unset",
    "clock_stepped",
    "model_failed",
]
LevelOfService: TypeAlias = Literal["A", "B", "C", "D", "E", "F"]
Scalar: TypeAlias = str | int | float | bool
Detail: TypeAlias = Scalar | list[Scalar] | dict[str, Scalar] | list[dict[str, Scalar]]

_NO_TIME: Final = "a time is written as 2026-01-01T00:00:00Z"  # never repeats what came from outside
_FROZEN: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


def utc_text(utc_s: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with milliseconds: ``2026-03-19T17:05:00.000Z``."""
    milliseconds = round(utc_s * 1000)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def utc_seconds(text: str | float) -> float:
    """The inverse of :func:`utc_text`; a number passes through.

    Raises:
        ValueError: The text is no RFC 3339 time with a zone.
    """
    try:
        if isinstance(text, int | float):
            return float(text)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(_NO_TIME) from error
    raise ValueError("a time names no zone; end it in Z for UTC")


Utc: TypeAlias = Annotated[
    float,
    BeforeValidator(utc_seconds),
    PlainSerializer(utc_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]
Seq: TypeAlias = Annotated[int, Field(ge=1, le=2**53 - 1)]  # exact in every JSON reader


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ClockState:
    """Whether the record's times can be trusted, and by how many milliseconds they may be off.

    ``corrected_s`` is there when the record was made before the clock was set and its times were moved on sending:
    by so many seconds, so an interval no longer starts on the full minute.
    """

    synced: bool
    error_ms: NotNegative | None = None
    corrected_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ModelRef:
    """The model behind a record: its name, its version, and the sha256 of the bytes that ran."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Interval:
    """A stretch of the wall clock, start included, end excluded; partial when it was cut short."""

    start: Utc
    end: Utc
    partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Quality:
    """Whether an interval's numbers can be trusted.

    Attributes:
        valid: The numbers may be used.
        watched: Share of the interval that was really looked at.
        detect_fps: Detections a second reached while watching.
        reasons: Why not, or why only in part.
    """

    valid: bool
    watched: Share
    detect_fps: NotNegative | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Speed:
    """Speeds over the ground in one interval: arithmetic mean, 85th percentile, and of how many of the volume."""

    mean: NotNegative
    p85: NotNegative
    n: Count


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Spread:
    """A quantity over an interval."""

    mean: NotNegative
    max: NotNegative
    n: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class CountBody:
    """What crossed one line in one direction during one interval.

    ``occupancy`` is time occupancy: the share of the watched time during which a vehicle stood over the line.
    ``pcu`` is the volume in passenger car units. ``cumulative`` counts every crossing since the line was first
    configured and never resets.
    """

    line: str
    direction: Direction
    interval: Interval
    by_class: dict[ClassName, Count] | None = None
    volume: Count | None = None
    pcu: NotNegative | None = None
    occupancy: Share | None = None
    speed_kmh: Speed | None = None
    headway_s: NotNegative | None = None
    gap_s: NotNegative | None = None
    cumulative: Count
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class ZoneBody:
    """What was in one zone during one interval.

    ``present`` is the number of road users standing in the zone, ``by_class`` its mean by class. ``origins`` counts
    those that came to this zone from another named zone (turning movements). ``second_look`` is the number of people by
    closer looks at a dense or far zone, ``n`` how many looks; where it is there, it is the better number of people.
    """

    zone: str
    interval: Interval
    present: Spread | None = None
    by_class: dict[ClassName, NotNegative] | None = None
    entered: Count | None = None
    left: Count | None = None
    dwell_s: Spread | None = None
    density_per_km: NotNegative | None = None
    density_per_m2: NotNegative | None = None
    level_of_service: LevelOfService | None = None
    origins: dict[str, Count] | None = None
    second_look: Spread | None = None
    quality: Quality


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class EventBody:
    """Something began, changed or ended; ``event`` is the same id through its phases."""

    kind: EventKind
    phase: Phase
    event: str
    where: str | None = None
    severity: Severity
    confidence: Share
    since: Utc
    details: dict[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class GapBody:
    """Records that had to be dropped before they could be sent: which, how many, and why.

    ``runs`` are ranges of ``seq``, both ends included: nothing in them will come any more, whatever a receiver has of
    them already stays good. ``first_seq`` and ``last_seq`` are their ends. ``dropped`` counts by kind, and is empty
    where that can't be known.
    """

    first_seq: Seq
    last_seq: Seq
    runs: Annotated[tuple[tuple[Seq, Seq], ...], Field(min_length=1)]
    dropped: dict[RecordKind, Count]
    why: Literal["outbox_full", "outbox_damaged", "expired"]


Body: TypeAlias = CountBody | ZoneBody | EventBody | GapBody

BODIES: Final[Mapping[RecordKind, type[Body]]] = {
    "count": CountBody,
    "zone": ZoneBody,
    "event": EventBody,
    "gap": GapBody,
}


@dataclass(frozen=True, slots=True, kw_only=True, config=_FROZEN)
class Record:
    """One durable record before it has a sequence number.

    Attributes:
        kind: Which body, and the last level of its topic.
        camera: The camera's name; ``None`` for a gap, which is the box's own.
        time: When it was made, UTC seconds.
        clock: Whether that time can be trusted.
        model: The model behind it; ``None`` where no model was involved.
        body: The content.
        mono_s: ``Instant.mono_s`` of the moment it was made. It stays on the box and lets a record that was made
            before the clock was set be corrected later; without it the record is sent as it is.
    """

    kind: RecordKind
    camera: str | None = None
    time: Utc
    clock: ClockState
    model: ModelRef | None = None
    body: Body
    mono_s: float | None = None


_ADAPTERS: Final[dict[type[Any], TypeAdapter[Any]]] = {}


def _adapter(of: type[Any]) -> TypeAdapter[Any]:
    if of not in _ADAPTERS:  # building one costs milliseconds, so each type's is kept
        _ADAPTERS[of] = TypeAdapter(of)
    return _ADAPTERS[of]


def dump(value: object) -> dict[str, Any]:
    """A record or a part of one as plain JSON values, without what is missing."""
    plain: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json", exclude_none=True)
    return plain


def load(of: type[Any], plain: object) -> Any:
    """The inverse of :func:`dump`.

    Raises:
        pydantic.ValidationError: The values do not fit the type.
    """
    return _adapter(of).validate_python(plain)
