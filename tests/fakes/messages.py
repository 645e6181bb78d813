"""One full example of every message that isn't a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.mqtt.birth import Birth, CameraBirth, LineBirth, ModelBirth, ZoneBirth
from agent.mqtt.health import CameraHealth, Health, LinkHealth, OutboxHealth, Room
from agent.mqtt.messages import Ack, Command, Reply, Status
from agent.mqtt.topics import BoxLeaf
from agent.records import ClockState
from tests.fakes.clock import START_UTC_S

DEVICE = "pole-17"
BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
BIRTH = Birth(
    device=DEVICE,
    boot=BOOT,
    time=START_UTC_S,
    version="0.1.0",
    place="Simpang Kartasura",
    delivery="application",
    cameras=(
        CameraBirth(
            name="junction-3",
            place="north-west mast",
            latitude=-7.55,
            longitude=110.74,
            heading_deg=135,
            field_of_view_deg=82,
            owner="city",
            model="street",
            lines=(LineBirth(name="north", interval_s=60, classes=("car",), a_to_b="to Klaten", b_to_a="to Solo"),),
            zones=(ZoneBirth(name="crossing", interval_s=60, rules=("crowd", "loitering")),),
        ),
    ),
    models=(ModelBirth(key="street", name="street", version="1.0.0", sha256="0" * 64, provider="cpu"),),
)
HEALTH = Health(
    device=DEVICE,
    boot=BOOT,
    time=START_UTC_S,
    clock=ClockState(synced=True, error_ms=3.5),
    uptime_s=12.5,
    temperature_c=61.0,
    throttled=("under-voltage",),
    cpu=0.5,
    memory=Room(used_mb=800, total_mb=4000),
    own_memory_mb=180.0,
    disk=Room(used_mb=5000, total_mb=32000),
    cameras={"junction-3": CameraHealth(state="live", source_fps=25.0, detect_fps=10.0, dropped=3, frame_age_s=0.04)},
    outbox=OutboxHealth(ok=True, records=3, oldest_s=1.5, room=Room(used_mb=1, total_mb=1024)),
    link=LinkHealth(connected=True, sent=10, acknowledged=7, in_flight=3),
    problems=("the disk is nearly full; free some space",),
)


@dataclass(frozen=True, slots=True)
class Example:
    """A message and the last level of its topic."""

    leaf: BoxLeaf
    message: Any


EXAMPLES = (
    Example("status", Status(device=DEVICE, boot=BOOT, state="online", time=START_UTC_S)),
    Example("status", Status(device=DEVICE, boot=BOOT, state="offline")),
    Example("birth", BIRTH),
    Example("health", HEALTH),
    Example("ack", Ack(seq=7, id=BOOT, receiver="tmc-1")),
    Example("command", Command(command="resend", id="42", args={"first": 3, "last": 9})),
    Example(
        "reply", Reply(device=DEVICE, boot=BOOT, time=START_UTC_S, command="ping", id="42", ok=True, result={"last": 9})
    ),
    Example("reply", Reply(device=DEVICE, boot=BOOT, time=START_UTC_S, ok=False, error="no JSON")),
)
