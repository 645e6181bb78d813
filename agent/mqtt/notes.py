"""What a box says that is no record: status, birth, health, replies. Kept in memory, sent while connected.

Promises that the newest of it is kept when there is too much, and that each connection begins with who and where the
box is. Sends nothing itself.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from agent.clock import Clock
from agent.mqtt.birth import Birth
from agent.mqtt.coding import MessageError, encode
from agent.mqtt.fields import LinkStatus
from agent.mqtt.health import Health
from agent.mqtt.messages import Reply, Status
from agent.mqtt.topics import box_topic

_MAX_NOTES: Final = 64


@dataclass(frozen=True, slots=True)
class Note:
    """One such message."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None


class Notes:
    """Those of one box. Any thread may add some; the link's thread takes them.

    Args:
        device: The box's name.
        boot: This start of the agent.
        clock: For the time of a status.
    """

    def __init__(self, device: str, boot: str, clock: Clock) -> None:
        self._device = device
        self._boot = boot
        self._clock = clock
        self._mutex = threading.Lock()
        self._birth: Note | None = None
        self._drop_oldest: deque[Note] = deque(maxlen=_MAX_NOTES)

    def add_birth(self, birth: Birth) -> None:
        """Say who this box is: now, and at the beginning of every connection."""
        note = Note(box_topic(self._device, "birth"), _fitting(birth), retain=True)
        with self._mutex:
            self._birth = note
            self._drop_oldest.append(note)

    def add_birth_again(self) -> bool:
        """The same once more; False when it was never said."""
        with self._mutex:
            if self._birth is not None:
                self._drop_oldest.append(self._birth)
            return self._birth is not None

    def add_health(self, health: Health) -> None:
        """Say how the box fares."""
        self._add(Note(box_topic(self._device, "health"), encode(health), qos=0))

    def add_reply(self, topic: str, reply: Reply, correlation: bytes | None) -> None:
        """Answer a command."""
        self._add(Note(topic, encode(reply), correlation=correlation))

    def begin(self) -> None:
        """A new connection: forget what was meant for the last one, and say that the box is here, and who it is."""
        with self._mutex:
            self._drop_oldest.clear()
            self._drop_oldest.append(self.status("online"))
            if self._birth is not None:
                self._drop_oldest.append(self._birth)

    def take(self) -> Note | None:
        """The oldest, which is to be sent now."""
        with self._mutex:
            return self._drop_oldest.popleft() if self._drop_oldest else None

    def status(self, state: LinkStatus, qos: int = 1) -> Note:
        """A status, which is retained; it is not added."""
        time_s = None if state == "offline" else self._clock.now().utc_s  # nobody knows when a will is spoken
        status = Status(device=self._device, boot=self._boot, state=state, time=time_s)
        return Note(box_topic(self._device, "status"), encode(status), qos=qos, retain=True)

    def _add(self, note: Note) -> None:
        with self._mutex:
            self._drop_oldest.append(note)


def _fitting(birth: Birth) -> bytes:
    """The birth, without lines and zones where it would be too large with them."""
    try:
        return encode(birth)
    except MessageError:
        cameras = tuple(replace(camera, lines=(), zones=(), protected=None) for camera in birth.cameras)
        return encode(replace(birth, cameras=cameras, abridged=True))
