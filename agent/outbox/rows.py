"""A record as it lies on disk: a row with a sequence number, and what the sender needs without decoding more.

Promises that a row gives back exactly the body it was made of, and that the id of a row follows from its boot and
its sequence number alone. Never holds anything but numbers and JSON text.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final
from uuid import UUID, uuid5

from agent.records import ClockState, EventBody, Record, RecordKind, dump

# Bodies repeat the same few words, so a preset dictionary packs them three times tighter than JSON alone. It is part of
# the format on disk: a change to it needs a new schema version in store.py.
_WORDS: Final = (
    b'{"kind":"aggression","loitering","surge","crowd","wrong_way","stopped_vehicle","queue","congestion",'
    b'"asset_changed","vandalism","camera_tampered","camera_lost","phase":"update","phase":"end","phase":"start",'
    b'"event":"","where":"","severity":"alarm","severity":"warning","severity":"info","confidence":1.0,"since":"2026-'
    b'details":{}}{"zone":"","interval":{"start":"2026-","end":"","partial":false},"present":{"mean":0.0,"max":0,"n":},'
    b'"by_class":{"person":0,"bicycle":0,"motorcycle":0,"car":0,"bus":0,"truck":0,"other":0},"entered":0,"left":0,'
    b'"dwell_s":{"mean":0.0,"max":0.0,"n":0},"density_per_km":,"density_per_m2":,"level_of_service":"A","origins":{},'
    b'"quality":{"valid":false,"watched":0.0,"detect_fps":0.0,"reasons":["starting","stopping","camera_lost",'
    b'"camera_frozen","overloaded","low_rate","dark","blurred","covered","moved","clock_unset","clock_stepped",'
    b'"model_failed"]}}{"line":"","direction":"b_to_a","direction":"a_to_b","interval":{"start":"2026-01-01T00:00:00.000Z'
    b'","end":"2026-01-01T00:01:00.000Z","partial":false},"by_class":{"motorcycle":1,"car":1,"truck":1},"volume":1,'
    b'"pcu":1.0,"occupancy":0.0,"speed_kmh":{"mean":0.0,"p85":0.0,"n":1},"headway_s":1.0,"gap_s":1.0,"cumulative":1,'
    b'"quality":{"valid":true,"watched":1.0,"detect_fps":10.0,"reasons":[]}}'
)
_WINDOW_BITS: Final = -12  # raw deflate over 4 kB: the dictionary and a body fit, and setting it up stays cheap
_MAX_BODY_BYTES: Final = 1 << 20
_MAX_BODY_CHARS: Final = 15_000  # at most 60 kB in UTF-8, which leaves room for the envelope in 64 kB


class Rank(IntEnum):
    """How long a row is held on to when the store is full: the lowest go first, gaps never."""

    COUNT = 0
    EVENT = 1
    ALARM = 2
    GAP = 3


def rank_of(record: Record) -> Rank:
    """Counts and zone reports go first, alarms last."""
    if record.kind == "gap":
        return Rank.GAP
    if isinstance(record.body, EventBody):
        return Rank.ALARM if record.body.severity == "alarm" else Rank.EVENT
    return Rank.COUNT


@dataclass(frozen=True, slots=True)
class Row:
    """One durable record, in the order of ``seq``.

    Attributes:
        seq: Rises by one per device, for ever.
        boot: The agent's start that made it, a UUID.
        machine: The machine's start that made it; ``mono_s`` can be compared only within one.
        kind: Which body, and the last level of its topic.
        camera: The camera's name; ``None`` for a gap.
        rank: How long it is held on to.
        time_s: UTC seconds as the agent believed when it was made.
        mono_s: The same moment on the monotonic clock, where it is known.
        clock: Whether ``time_s`` can be trusted.
        model: The model behind it as JSON text, where there was one.
        body: The content as JSON text.
    """

    seq: int
    boot: str
    machine: str
    kind: RecordKind
    camera: str | None
    rank: Rank
    time_s: float
    mono_s: float | None
    clock: ClockState
    model: str | None
    body: str

    @property
    def id(self) -> str:
        """Unique, and the same whenever the row is sent: UUID version 5 of ``seq`` in the namespace ``boot``."""
        return record_id(self.boot, self.seq)


def record_id(boot: str, seq: int) -> str:
    """The id of the record with this sequence number made by this start of the agent."""
    return str(uuid5(UUID(boot), str(seq)))


def compact_json(value: object) -> str:
    """JSON text without spaces, in the order of the fields."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def body_text(record: Record) -> str:
    """The record's body as JSON text; an event whose details would not fit a message loses them, and says so."""
    text = compact_json(dump(record.body))
    if len(text) > _MAX_BODY_CHARS and isinstance(record.body, EventBody):
        text = compact_json(dump(replace(record.body, details={"truncated": True})))
    return text


def model_text(record: Record) -> str | None:
    """The record's model as JSON text."""
    return None if record.model is None else compact_json(dump(record.model))


def pack(text: str) -> bytes:
    """JSON text as it lies on disk."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, 5, zlib.Z_DEFAULT_STRATEGY, _WORDS)
    return squeeze.compress(text.encode()) + squeeze.flush()


def unpack(packed: bytes) -> str:
    """The inverse of :func:`pack`.

    Raises:
        ValueError: The bytes are damaged.
    """
    try:
        expand = zlib.decompressobj(_WINDOW_BITS, _WORDS)
        text = expand.decompress(packed, _MAX_BODY_BYTES)
    except zlib.error as error:
        raise ValueError("a stored record's body is damaged") from error
    if not expand.eof:
        raise ValueError("a stored record's body is cut short")
    return text.decode()


def joined(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in any order as the fewest ranges that cover the same numbers, rising."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
