"""The health message: how a box, its cameras, its outbox and its connection fare, each minute.

Never stored and never sent again: what was a minute ago is of no use to anybody.
"""

from __future__ import annotations

from dataclasses import field

from pydantic.dataclasses import dataclass

from agent.mqtt.fields import FROZEN, CameraStatus, Sentence, Uuid, Version, WireName
from agent.records import CONTRACT_VERSION, ClockState, Count, NotNegative, Share, Utc
from agent.update.status import UpdateStatus


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class Room:
    """Something of limited size, in megabytes."""

    used_mb: NotNegative
    total_mb: NotNegative


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class OutboxHealth:
    """What waits to be delivered, on disk and (``waiting``) still in memory, and whether the disk works."""

    ok: bool
    records: Count
    oldest_s: NotNegative | None = None
    room: Room | None = None
    waiting: Count = 0
    dropped: Count = 0
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
class LinkHealth:
    """How the connection to the broker fares; the counters run since the agent started."""

    connected: bool
    reconnects: Count = 0
    sent: Count = 0
    acknowledged: Count = 0
    refused: Count = 0
    in_flight: Count = 0
    reason: Sentence | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
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


@dataclass(frozen=True, slots=True, kw_only=True, config=FROZEN)
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
