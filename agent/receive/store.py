"""What a receiver's store is: the records as they came, the marks up to which boxes may forget, and the holes.

Promises, whichever database is behind it, that a record is stored once however often it comes, and that a mark is moved
only past what is stored, or what the box itself says will never come. The mark lives in the store, so no receiver can
acknowledge what another one still holds in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Arrival:
    """A durable record as it came.

    Attributes:
        device: The box.
        id: Unique among all records of all boxes.
        seq: Its number on this box.
        boot: The start of the agent that made it.
        kind: count, zone, event or gap.
        camera: The camera, where there is one.
        time_s: When it was made, UTC seconds.
        json: The whole message.
        fault: What about it doesn't fit the contract; it is kept all the same.
        gone: Of a gap: numbers that will never come, ranges with both ends.
        why: Of a gap: the reason.
    """

    device: str
    id: str
    seq: int
    boot: str
    kind: str
    camera: str | None
    time_s: float
    json: str
    fault: str | None = None
    gone: tuple[tuple[int, int], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a box may forget: ``seq``, and the id of that very record where it is stored."""

    device: str
    seq: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a box that have not come, both ends included."""

    device: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What is known of one box: records stored, duplicates dropped, numbers that will never come."""

    device: str
    mark: int
    stored: int
    duplicates: int
    faulty: int
    gone: int
    missing: int


class Store(Protocol):
    """Where a receiver stores: :class:`agent.receive.SqliteStore` or :class:`agent.receive.postgres.PostgresStore`.

    Safe to use from several threads; several receivers, in several processes, may share one. Every method raises
    :class:`agent.errors.OutboxError` when the database refuses; then nothing of the call was stored, and it may be
    tried again.
    """

    def store(self, arrivals: Iterable[Arrival], now_s: float) -> list[Mark]:
        """Keep what is new, all or nothing; return the marks of the boxes that sent something."""
        ...

    def refuse(self, topic: str, payload: bytes, why: str, now_s: float) -> None:
        """Keep a message that can't be understood at all, so that somebody can look at it; the oldest go."""
        ...

    def set_online(self, device: str, *, online: bool) -> None:
        """A box came or went."""
        ...

    def give_up(self, hole: Hole, now_s: float) -> Mark:
        """The box itself doesn't hold these: they will never come."""
        ...

    def marks(self) -> list[Mark]:
        """Up to where every box may forget."""
        ...

    def claim_holes(self, now_s: float, *, older_s: float, again_s: float, most: int = 5) -> list[Hole]:
        """Holes of boxes that are online which have lasted long enough; nobody else is handed the same for a while."""
        ...

    def report(self) -> list[DeviceReport]:
        """What is known of every box."""
        ...

    def seqs(self, device: str) -> list[int]:
        """The numbers stored of a box's present life, rising."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
