"""docs/wire.md shows what the code sends, and nothing that a receiver would have to refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from agent.mqtt.coding import encode
from agent.mqtt.rows import record_message
from agent.mqtt.topics import BOX_LEAVES, CAMERA_LEAVES, box_topic, parse, record_topic
from agent.outbox import record_id
from agent.records import ClockState, GapBody, Record
from tests.fakes.clock import START_UTC_S
from tests.fakes.messages import BOOT, DEVICE, EXAMPLES
from tests.fakes.records import count_record, event_record, zone_record
from tests.fakes.schema import assert_valid

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "wire.md"
_EXAMPLE = re.compile(r"^`(kentongan/v1/[a-z0-9/-]+)`\n\n```json\n(.*?)```", re.MULTILINE | re.DOTALL)
_GAP = Record(
    kind="gap",
    time=START_UTC_S,
    clock=ClockState(synced=True, error_ms=12.5),
    body=GapBody(
        first_seq=41, last_seq=72, runs=((41, 66), (70, 72)), dropped={"count": 28, "zone": 1}, why="outbox_full"
    ),
)


def generated() -> list[tuple[str, dict[str, Any]]]:
    """Topic and message of every example, as the code makes them."""
    plain = [(box_topic(DEVICE, one.leaf), json.loads(encode(one.message))) for one in EXAMPLES]
    for seq, record in enumerate((count_record(1), zone_record(1), event_record(1), _GAP), 1201):
        message = record_message(record, device=DEVICE, boot=BOOT, seq=seq, record_id=record_id(BOOT, seq))
        plain.append((record_topic(DEVICE, record.camera, record.kind), message))
    return plain


def shown() -> list[tuple[str, str]]:
    return _EXAMPLE.findall(DOCUMENT.read_text(encoding="utf-8"))


def test_every_example_fits_the_schema_of_its_topic() -> None:
    for topic, text in shown():
        assert_valid(topic, text.encode())


def test_there_is_an_example_of_every_message_and_no_other_json() -> None:
    assert {parse(topic).leaf for topic, _ in shown()} == {*BOX_LEAVES, *CAMERA_LEAVES}
    assert DOCUMENT.read_text(encoding="utf-8").count("```json") == len(shown())


def test_every_example_is_what_the_code_makes() -> None:
    made = generated()
    for topic, text in shown():
        assert (topic, json.loads(text)) in made
