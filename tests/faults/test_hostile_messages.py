"""Generated nonsense from the broker: no uncaught exception, no record forgotten, no secret repeated.

``HOSTILE_MESSAGES`` in the environment sets how many; the default is a tenth of what the report asks for.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping

from agent.mqtt.commands import Commands, NoArgs, Order, Pace, ResendArgs
from agent.mqtt.messages import MESSAGES, MessageError, decode, decode_record, encode
from agent.mqtt.rows import record_message
from agent.mqtt.topics import BOX_LEAVES, CAMERA_LEAVES, Address, parse
from agent.receive.receiver import arrival_of
from agent.records import Scalar
from tests.fakes.clock import ManualClock
from tests.fakes.messages import BOOT, DEVICE, EXAMPLES
from tests.fakes.records import count_record, event_record, zone_record

NUMBER = int(os.environ.get("HOSTILE_MESSAGES", "10000"))
SECRET = "correct-horse-battery"
ATOMS: tuple[object, ...] = (
    None, True, False, 0, -1, 1, 2**53, 2**63, 10**400, -(10**400), 1e308, 1e-308, "", " ", "\u0000", "a" * 5000,
    SECRET, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "NaN", [], {},
    [[]], {"": {}}, "../../etc/passwd", "$(reboot)", "\ud800",
)  # fmt: skip
TOPIC_LEVELS = (
    "kentongan", "v1", "v2", "", "#", "+", DEVICE, "junction-3", *BOX_LEAVES, *CAMERA_LEAVES, "..", "x" * 500, "\u0000",
)  # fmt: skip


def seeds() -> list[tuple[str, dict[str, object]]]:
    """One good message of every kind, to be broken."""
    others = [(example.leaf, json.loads(encode(example.message))) for example in EXAMPLES]
    records = [
        (record.kind, record_message(record, device=DEVICE, boot=BOOT, seq=3, record_id=BOOT))
        for record in (count_record(1), zone_record(2), event_record(3))
    ]
    return [*others, *records]


def sentence_of(refused: Exception) -> str:
    """What a refusal says; it must be one short sentence that repeats no value."""
    text = str(refused)
    assert len(text) < 600
    assert "\n" not in text
    assert SECRET not in text
    return text


def broken(choose: random.Random, plain: dict[str, object]) -> bytes:
    """A message with something wrong somewhere, or bytes that are no message at all."""
    node: object = json.loads(json.dumps(plain))
    root = node
    for _ in range(choose.randint(1, 4)):
        if isinstance(node, dict) and node:
            key = choose.choice([*node, "extra"])
            if isinstance(node.get(key), dict) and choose.random() < 0.6:
                node = node[key]
                continue
            node[key] = choose.choice(ATOMS)
            if choose.random() < 0.3:
                node.pop(choose.choice(list(node)), None)
    payload = json.dumps(root, ensure_ascii=choose.random() < 0.8).encode("utf-8", "surrogatepass")
    if choose.random() < 0.2:
        place = choose.randrange(len(payload) + 1)
        payload = payload[:place] + choose.randbytes(choose.randint(0, 8)) + payload[place + choose.randint(0, 5) :]
    if choose.random() < 0.02:
        payload = payload * choose.choice([0, 2, 200])
    if choose.random() < 0.02:
        payload = b"[" * choose.randint(1, 50_000)
    return payload


def test_given_hostile_messages_then_each_is_taken_or_refused_with_one_sentence() -> None:
    choose, good = random.Random(7), seeds()
    refused = 0
    for _ in range(NUMBER):
        leaf, plain = choose.choice(good)
        payload = broken(choose, plain)
        address = Address(DEVICE, "junction-3" if leaf in CAMERA_LEAVES else None, leaf)
        try:
            if leaf in MESSAGES:
                decode(MESSAGES[leaf], payload, leaf)
            else:
                arrival_of(address, payload)
                decode_record(payload, address)
        except MessageError as error:
            refused += bool(sentence_of(error))
    assert refused > NUMBER / 3


def test_given_hostile_commands_then_nothing_runs_that_is_not_in_the_table() -> None:
    choose, ran = random.Random(8), 0

    def run(_: object) -> Mapping[str, Scalar]:
        nonlocal ran
        ran += 1
        return {}

    table = [Order("ping", NoArgs, run), Order("resend", ResendArgs, run)]
    commands = Commands(table, device=DEVICE, boot=BOOT, clock=ManualClock(), pace=Pace(burst=NUMBER + 10))
    seeds_of_commands = [plain for leaf, plain in seeds() if leaf == "command"]
    seeds_of_commands.append({"command": "ping"})
    good = 0
    for _ in range(NUMBER):
        payload = broken(choose, choose.choice(seeds_of_commands))
        reply = commands.answer(payload)
        assert reply is not None
        good += reply.ok
        assert SECRET not in (reply.error or "")
    assert 0 < ran <= good


def test_given_hostile_topics_then_each_is_taken_or_refused() -> None:
    choose = random.Random(9)
    for _ in range(NUMBER // 10):
        topic = "/".join(choose.choice(TOPIC_LEVELS) for _ in range(choose.randint(0, 7)))
        try:
            assert str(parse(topic)).startswith("kentongan/v1/")
        except ValueError as error:
            sentence_of(error)
