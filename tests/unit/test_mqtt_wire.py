"""Topics, messages, secrets: what goes out fits, what comes in is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.clock import Instant
from agent.config.schema import Mqtt, Tls
from agent.errors import ConfigError
from agent.mqtt.birth import CameraBirth, LineBirth
from agent.mqtt.coding import MessageError, compact, decode, decode_record
from agent.mqtt.credentials import plaintext_warning, tls_context
from agent.mqtt.messages import Ack, Status
from agent.mqtt.notes import _fitting
from agent.mqtt.rows import Setting, record_message, shifted
from agent.mqtt.topics import Address, box_topic, is_reply_topic, parse, record_topic
from agent.outbox import Rank, Row
from agent.records import ClockState
from tests.fakes.certificates import Authority
from tests.fakes.messages import BIRTH
from tests.fakes.records import count_record, event_record

BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


def message(**changes: object) -> bytes:
    plain = record_message(count_record(3), device="pole-17", boot=BOOT, seq=3, record_id=BOOT)
    return json.dumps({**plain, **changes}).encode()


COUNT = Address("pole-17", "junction-3", "count")


@pytest.mark.parametrize(
    "topic",
    ["kentongan/v1/pole-17/junction-3/count", "kentongan/v1/pole-17/gap", "kentongan/v1/pole-17/status"],
)
def test_topics_are_taken_apart_and_built_alike(topic: str) -> None:
    assert str(parse(topic)) == topic


def test_a_reply_may_lie_one_level_lower() -> None:
    assert parse("kentongan/v1/pole-17/reply/desk-4") == Address("pole-17", None, "reply")


@pytest.mark.parametrize(
    "topic",
    [
        "kentongan/v2/pole-17/status", "kentongan/v1/pole-17/junction-3/status", "kentongan/v1/pole-17/count",
        "kentongan/v1/Pole/gap", "kentongan/v1/pole-17/../count", "kentongan/v1/", "", "kentongan/v1/a/b/c/d",
        "kentongan/v1/A/reply/x",
    ],
)  # fmt: skip
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(ValueError, match="no topic"):
        parse(topic)


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("kentongan/v1/pole-17/reply", True),
        ("kentongan/v1/pole-17/reply/desk-4", True),
        ("kentongan/v1/pole-17/replying", False),
        ("kentongan/v1/pole-99/reply", False),
        ("kentongan/v1/pole-17/reply/#", False),
        ("kentongan/v1/pole-17/reply/" + "x" * 300, False),
        ("$SYS/x", False),
    ],
)
def test_a_box_answers_only_below_its_own_reply(topic: str, may: bool) -> None:  # noqa: FBT001 - a table
    assert is_reply_topic("pole-17", topic) is may


def test_a_record_comes_back_as_it_went() -> None:
    got = decode_record(message(), COUNT)
    assert got.body == count_record(3).body
    assert (got.envelope.seq, got.envelope.time, got.kind) == (3, count_record(3).time, "count")


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (message(picture="x"), "picture: "),
        (message(seq=0), "seq: "),
        (message(device="other"), "names another device"),
        (message(camera="other"), "names another device or camera"),
        (message(cumulative=-1), "cumulative: "),
        (message(time="2026-01-01T00:00:00"), "time: "),
        (message(time="yesterday"), "time: "),
        (message(v=2), "v: "),
        (message(seq=10**400), "seq: "),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "no flat JSON object"),
        (b"{", "is no JSON message"),
    ],
)
def test_what_does_not_fit_is_refused_with_one_sentence(payload: bytes, sentence: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode_record(payload, COUNT)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_message_beyond_64_kb_is_not_made() -> None:
    with pytest.raises(MessageError, match="not sent"):
        compact({"x": "y" * 70_000})


def test_a_status_and_an_ack_are_checked() -> None:
    assert decode(Ack, b'{"seq": 7}', "ack") == Ack(seq=7)
    with pytest.raises(MessageError, match=r"status: state"):
        decode(Status, json.dumps({"device": "a", "boot": BOOT, "state": "asleep"}).encode(), "status")


def test_a_birth_too_large_is_abridged() -> None:
    lines = tuple(LineBirth(name=f"line-{n}", interval_s=60, a_to_b="x" * 80) for n in range(64))
    camera = CameraBirth(name="c", lines=lines)
    large = replace(BIRTH, cameras=tuple(replace(camera, name=f"c{n}") for n in range(16)))
    plain = json.loads(_fitting(large))
    assert plain["abridged"]
    assert len(plain["cameras"]) == 16
    assert not json.loads(_fitting(BIRTH))["abridged"]


def test_times_are_shifted_wherever_they_are() -> None:
    plain = {"since": "2026-01-01T00:00:00.000Z", "details": {}}
    assert shifted(plain, 1.5)["since"] == "2026-01-01T00:00:01.500Z"
    assert shifted({"x": 1}, 5) == {"x": 1}


def test_nothing_is_corrected_without_a_set_clock() -> None:
    row = Row(1, BOOT, "m", "event", "c", Rank.EVENT, 100.0, 5.0, ClockState(synced=False), None, "{}")
    assert Setting(Instant(10.0, 1000.0, synced=False), "m").shift_s(row) is None
    assert Setting(Instant(10.0, 1000.0), "other").shift_s(row) is None
    assert Setting(Instant(10.0, 1000.0), "m").shift_s(replace(row, mono_s=None)) is None
    assert Setting(Instant(10.0, 1000.0), "m").shift_s(row) == 895.0


def test_an_event_is_a_message_too() -> None:
    plain = record_message(event_record(2), device="pole-17", boot=BOOT, seq=2, record_id=BOOT)
    got = decode_record(json.dumps(plain).encode(), Address("pole-17", "junction-3", "event"))
    assert got.body == event_record(2).body
    assert record_topic("pole-17", None, "gap") == box_topic("pole-17", "gap")


# Secrets


def secret_file(folder: Path, text: str = "s3cret\n", mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    text = secret_file(tmp_path)
    with pytest.raises(ConfigError, match="holds no certificates"):
        tls_context(Tls(ca_file=text))
    with pytest.raises(ConfigError, match="holds no certificates"):
        tls_context(Tls(ca_file=tmp_path / "none"))
    pair = Authority(tmp_path / "ca").issue("pole-17")
    with pytest.raises(ConfigError, match="no certificate and its key"):
        tls_context(Tls(cert_file=pair.cert, key_file=text))
    pair.key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        tls_context(Tls(cert_file=pair.cert, key_file=pair.key))


@pytest.mark.parametrize(
    ("host", "plaintext", "warns"),
    [
        ("127.0.0.1", True, False), ("localhost", True, False), ("::1", True, False), ("tmc.example", False, False),
        ("tmc.example", True, True), ("10.0.0.7", True, True),
    ],
)  # fmt: skip
def test_plaintext_over_a_network_is_never_silent(host: str, plaintext: bool, warns: bool) -> None:  # noqa: FBT001 - a table
    assert (plaintext_warning(Mqtt(host=host, plaintext=plaintext)) is not None) is warns
