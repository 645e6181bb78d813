"""Every message a test produces goes through here: it must fit the published schema and the types.

Promises to judge by the files under ``configs/schema``, as a stranger would, and then as strictly as the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from jsonschema import Draft7Validator, FormatChecker

from agent.mqtt.coding import MAX_PAYLOAD_BYTES, decode, decode_record
from agent.mqtt.messages import MESSAGES
from agent.mqtt.topics import DURABLE, parse
from tests.fakes.subscriber import Heard

SCHEMAS = Path(__file__).resolve().parents[2] / "configs" / "schema"


@cache
def _validator(leaf: str) -> Draft7Validator:
    schema = json.loads((SCHEMAS / f"{leaf}.schema.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema, format_checker=FormatChecker())


def assert_valid(topic: str, payload: bytes) -> None:
    """Fail unless the topic is of the contract and the payload fits it."""
    address = parse(topic)
    assert len(payload) <= MAX_PAYLOAD_BYTES, f"{topic}: {len(payload)} bytes"
    faults = [
        f"{topic}: {fault.json_path}: {fault.message}"
        for fault in _validator(address.leaf).iter_errors(json.loads(payload))
    ]
    assert not faults, faults
    if address.leaf in DURABLE:
        decode_record(payload, address)
    else:
        decode(MESSAGES[address.leaf], payload, topic)


def assert_all_valid(heard: Iterable[Heard]) -> None:
    """The same for everything a subscriber heard."""
    for one in heard:
        assert_valid(one.topic, one.payload)
