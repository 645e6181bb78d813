"""The topics of the wire: what goes where under ``kentongan/v1/<device>/``.

Promises that every topic is built and taken apart here alone. A box's name is its MQTT user, so a broker's access
list can pin it to its own subtree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from agent.records import RecordKind

ROOT: Final = "kentongan/v1"

BoxLeaf: TypeAlias = Literal["status", "birth", "health", "gap", "ack", "command", "reply"]
CameraLeaf: TypeAlias = Literal["count", "zone", "event"]

BOX_LEAVES: Final[tuple[str, ...]] = get_args(BoxLeaf)
CAMERA_LEAVES: Final[tuple[str, ...]] = get_args(CameraLeaf)
RETAINED: Final = frozenset({"status", "birth"})
DURABLE: Final = frozenset({"count", "zone", "event", "gap"})
TO_BOX: Final = frozenset({"ack", "command"})

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Address:
    """A topic taken apart: whose it is, of which camera if any, and what it carries."""

    device: str
    camera: str | None
    leaf: str

    def __str__(self) -> str:
        middle = "" if self.camera is None else f"{self.camera}/"
        return f"{ROOT}/{self.device}/{middle}{self.leaf}"


def box_topic(device: str, leaf: BoxLeaf) -> str:
    """A topic of the box itself: ``kentongan/v1/pole-17/status``."""
    return f"{ROOT}/{device}/{leaf}"


def record_topic(device: str, camera: str | None, kind: RecordKind) -> str:
    """Where a durable record goes: under its camera, or under the box for a gap."""
    return str(Address(device, camera, kind))


def is_reply_topic(device: str, topic: str) -> bool:
    """Whether a box may answer there: its own ``reply`` or a level below it, without wildcards."""
    own = box_topic(device, "reply")
    return (topic == own or topic.startswith(own + "/")) and not set(topic) & set("+#\0") and len(topic) <= 256


def parse(topic: str) -> Address:
    """Take a topic apart.

    Raises:
        ValueError: It is none of this contract's.
    """
    levels = topic.removeprefix(ROOT + "/").split("/") if topic.startswith(ROOT + "/") else []
    match levels:
        case [device, leaf] if leaf in BOX_LEAVES and _NAME.fullmatch(device):
            return Address(device, None, leaf)
        case [device, camera, leaf] if leaf in CAMERA_LEAVES and _NAME.fullmatch(device) and _NAME.fullmatch(camera):
            return Address(device, camera, leaf)
        case [device, "reply", _] if _NAME.fullmatch(device):
            return Address(device, None, "reply")
        case _:
            raise ValueError(f"{topic[:100]!r} is no topic of {ROOT}")
