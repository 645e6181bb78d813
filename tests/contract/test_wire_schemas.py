"""The files under configs/schema say exactly what the code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from agent.mqtt.coding import encode
from agent.mqtt.messages import MESSAGES, Envelope
from agent.mqtt.rows import record_message
from agent.mqtt.topics import BOX_LEAVES, CAMERA_LEAVES, DURABLE, RETAINED, TO_BOX, box_topic, parse, record_topic
from agent.ops.schemas import asyncapi, files, schema_of, write
from agent.outbox import record_id
from agent.records import BODIES, GapBody, Record
from tests.fakes.messages import EXAMPLES
from tests.fakes.records import count_record, event_record, zone_record
from tests.fakes.schema import SCHEMAS, assert_valid

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
LEAVES = (*BOX_LEAVES, *CAMERA_LEAVES)


def _gap() -> Record:
    body = GapBody(first_seq=1, last_seq=9, runs=((1, 3), (7, 9)), dropped={"count": 6}, why="outbox_full")
    return Record(kind="gap", camera=None, time=1.0, clock=count_record(0).clock, body=body)


def _resolve(document: dict[str, Any], reference: str) -> Any:
    node: Any = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


@pytest.mark.parametrize("name", sorted(files()))
def test_when_the_types_change_then_the_file_must_be_written_anew(name: str) -> None:
    assert (SCHEMAS / name).read_text(encoding="utf-8") == files()[name], "run: kentongan schema --write configs/schema"


def test_given_a_folder_when_written_then_it_holds_every_file(tmp_path: Path) -> None:
    assert {path.name for path in write(tmp_path / "new")} == set(files())


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_schema_is_draft_7_and_closed(leaf: str) -> None:
    schema = schema_of(leaf)
    Draft7Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert '"null"' not in json.dumps(schema), "a missing value is absent"


def test_the_envelope_and_the_bodies_share_no_field() -> None:
    envelope = set(Envelope.__dataclass_fields__)
    for body in BODIES.values():
        assert not envelope & set(body.__dataclass_fields__)


@pytest.mark.parametrize("record", [count_record(3), zone_record(3), event_record(3), _gap()], ids=lambda r: r.kind)
def test_given_a_record_when_sent_then_it_fits_its_schema(record: Record) -> None:
    message = record_message(record, device="pole-17", boot=BOOT, seq=3, record_id=record_id(BOOT, 3))
    assert_valid(record_topic("pole-17", record.camera, record.kind), json.dumps(message).encode())


def test_given_a_record_with_a_field_too_many_then_the_schema_refuses_it() -> None:
    message = record_message(count_record(3), device="pole-17", boot=BOOT, seq=3, record_id=record_id(BOOT, 3))
    with pytest.raises(AssertionError, match="picture"):
        assert_valid("kentongan/v1/pole-17/junction-3/count", json.dumps({**message, "picture": "x"}).encode())


def test_every_channel_of_the_document_is_a_topic_of_the_code_and_the_other_way_round() -> None:
    document = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
    addresses = {
        leaf: channel["address"].format(device="pole-17", camera="junction-3")
        for leaf, channel in document["channels"].items()
    }
    assert set(addresses) == set(LEAVES) == set(MESSAGES) | set(BODIES)
    for leaf, address in addresses.items():
        assert parse(address).leaf == leaf
        camera = "junction-3" if leaf in CAMERA_LEAVES else None
        built = record_topic("pole-17", camera, leaf) if leaf in DURABLE else box_topic("pole-17", leaf)
        assert built == address


def test_every_operation_of_the_document_names_its_channel_direction_and_retention() -> None:
    document = asyncapi()
    for name, operation in document["operations"].items():
        leaf = name.split("_", 1)[1]
        assert operation["action"] == ("receive" if leaf in TO_BOX else "send")
        assert operation["bindings"]["mqtt"]["retain"] == (leaf in RETAINED)
        message = _resolve(document, _resolve(document, operation["messages"][0]["$ref"])["$ref"])
        assert (SCHEMAS / message["payload"]["schema"]["$ref"]).exists()
    command = document["operations"]["receive_command"]
    assert _resolve(document, command["reply"]["channel"]["$ref"])["address"].endswith("/reply")


def test_messages_that_are_no_records_fit_their_schemas() -> None:
    assert {example.leaf for example in EXAMPLES} == set(MESSAGES)
    for example in EXAMPLES:
        assert_valid(box_topic("pole-17", example.leaf), encode(example.message))
