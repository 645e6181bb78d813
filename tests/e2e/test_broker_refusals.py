"""A broker that refuses, disappears or talks nonsense gets one clear sentence, and nothing already counted is lost."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config.schema import Login, Tls
from agent.mqtt.credentials import tls_context
from agent.records import EventBody
from tests.fakes.box import Box
from tests.fakes.certificates import Authority
from tests.fakes.messages import BIRTH
from tests.fakes.mosquitto import Mosquitto, add_user
from tests.fakes.ports import free_port
from tests.fakes.records import count_record, event_record, zone_record
from tests.fakes.speaker import speaker
from tests.fakes.subscriber import Subscriber
from tests.fakes.tcp_proxy import TcpProxy, Toxic

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that knows pole-17 and lets it write only its own subtree without gap and zone."""
    folder = tmp_path / "broker"
    folder.mkdir()
    add_user(folder / "passwords", "pole-17", PASSWORD)
    add_user(folder / "passwords", "tmc", "tmc")
    (folder / "acl").write_text(
        "user pole-17\n"
        "topic read kentongan/v1/pole-17/command\n"
        "topic read kentongan/v1/pole-17/ack\n"
        "topic write kentongan/v1/pole-17/status\n"
        "topic write kentongan/v1/pole-17/birth\n"
        "topic write kentongan/v1/pole-17/+/count\n"
        "user tmc\ntopic readwrite #\n"
    )
    for name in ("passwords", "acl"):
        (folder / name).chmod(0o644)
    lines = (
        "listener {port} 127.0.0.1",
        "password_file {folder}/passwords",
        "acl_file {folder}/acl",
        "max_queued_messages 0",
    )
    with Mosquitto(folder, lines) as broker:
        yield broker


def test_given_a_wrong_password_then_one_sentence_without_it_and_records_wait(
    tmp_path: Path, guarded: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Box(tmp_path, guarded.port, login=Login(user="pole-17"), password="wrong-secret") as box:
        box.put(count_record(1))
        reason = box.await_state("refuses us")
        assert "check mqtt.login" in reason
        assert f"127.0.0.1:{guarded.port}" in reason
        assert box.writer.flush(5)
    assert "wrong-secret" not in caplog.text + reason
    with (
        Subscriber(guarded.port, user="tmc", password="tmc") as tmc,
        Box(tmp_path, guarded.port, login=Login(user="pole-17"), password=PASSWORD),
    ):
        tmc.wait_for(lambda heard: any(one.leaf == "count" for one in heard))


def test_given_an_access_list_that_forbids_some_records_then_these_are_kept_and_others_go_on(
    tmp_path: Path, guarded: Mosquitto
) -> None:
    login = {"login": Login(user="pole-17"), "password": PASSWORD}
    with Subscriber(guarded.port, user="tmc", password="tmc") as tmc, Box(tmp_path, guarded.port, **login) as box:
        box.await_connected()
        box.put(count_record(1), zone_record(2), count_record(3))
        reason = box.await_state("refuses a message")
        assert "check its access list" in reason
        tmc.wait_for(lambda heard: {1, 3} <= {one.plain["seq"] for one in heard if one.leaf == "count"})
        box.put(*(count_record(i) for i in range(4, 60)))
        tmc.wait_for(lambda heard: sum(one.leaf == "count" for one in heard) >= 58)
        assert next(row.seq for row in box.outbox.pending()) == 2
        acl = guarded.folder / "acl"
        acl.write_text(acl.read_text().replace("+/count", "#"))
        guarded.reload()
        tmc.wait_for(lambda heard: any(one.leaf == "zone" for one in heard))
        box.await_empty()
        box.await_(lambda: box.link.state().reason is None)
        assert box.link.state().refused >= 1


def test_given_a_port_nobody_listens_on_then_one_sentence(tmp_path: Path) -> None:
    with Box(tmp_path, free_port()) as box:
        box.await_state("nothing listens there; check mqtt.host and mqtt.port")


def test_given_a_name_that_does_not_resolve_then_one_sentence(tmp_path: Path) -> None:
    with Box(tmp_path, 1883, host="broker.invalid") as box:
        box.await_state("the name can't be resolved; check mqtt.host")


def test_given_a_port_that_answers_nothing_then_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, Box(tmp_path, silent.getsockname()[1]) as box:
        box.await_state("takes connections but answers nothing")


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x20\xff\xff\xff\xff\xff",  # a length that never ends
        b"\x20\x03\x00\x00\xff",  # a CONNACK cut short
        b"\x00" * 64,
        b"",
    ],
    ids=["http", "length", "connack", "zeros", "nothing"],
)
def test_given_garbage_instead_of_mqtt_then_a_sentence_and_it_tries_again(tmp_path: Path, words: bytes) -> None:
    with speaker(words) as port, Box(tmp_path, port) as box:
        box.put(count_record(1))
        reason = box.await_state(f"127.0.0.1:{port}")
        assert len(reason) < 300
        assert box.writer.flush(5)
        assert box.outbox.depth().records == 1


@pytest.mark.parametrize("limit_bytes", [3, 60, 400, 900, 2_000])
def test_given_a_broker_that_closes_in_the_middle_of_a_message_then_nothing_is_lost(
    tmp_path: Path, limit_bytes: int
) -> None:
    with (
        Mosquitto(tmp_path / "broker") as broker,
        TcpProxy(broker.port, Toxic("data_limit", limit_bytes=limit_bytes)) as proxy,
        Subscriber(broker.port) as tmc,
        Box(tmp_path, proxy.port) as box,
    ):
        box.put(*(count_record(i) for i in range(30)))
        box.await_state("127.0.0.1")
        proxy.toxic = Toxic()
        box.await_empty()
        heard = tmc.wait_quiet()
    assert {one.plain["seq"] for one in heard if one.leaf == "count"} == set(range(1, 31))


def test_given_another_client_with_this_boxs_name_then_the_sentence_says_so(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker, Box(tmp_path, broker.port) as box:
        box.await_connected()
        with Subscriber(broker.port, client_id="pole-17"):
            box.await_state("somebody else may connect under this box's name")


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [(0x8E, "give each box its own device name"), (0x8B, "closed the connection (Server shutting down)")],
)
def test_given_a_broker_that_says_why_it_closes_then_the_sentence_does_too(
    tmp_path: Path, reason: int, sentence: str
) -> None:
    with speaker(b"\x20\x03\x00\x00\x00" + bytes([0xE0, 2, reason, 0])) as port, Box(tmp_path, port) as box:
        box.await_state(sentence)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (0x84, "set mqtt.protocol to 3.1.1"),
        (0x86, "check mqtt.login"),
        (0x88, "see the broker's log"),
    ],
)
def test_given_a_broker_that_says_why_it_refuses_then_the_sentence_does_too(
    tmp_path: Path, reason: int, sentence: str
) -> None:
    with speaker(bytes([0x20, 3, 0, reason, 0])) as port, Box(tmp_path, port) as box:
        box.await_state(sentence)


def test_given_a_broker_with_small_packets_then_a_sentence_and_small_records_go_on(tmp_path: Path) -> None:
    lines = ("listener {port} 127.0.0.1", "allow_anonymous true", "max_packet_size 1300")
    with Mosquitto(tmp_path / "broker", lines) as broker, Subscriber(broker.port) as tmc:
        record = event_record(2)
        assert isinstance(record.body, EventBody)
        large = replace(record, body=replace(record.body, details={"text": "x" * 2_000}))
        with Box(tmp_path, broker.port) as box:
            box.link.publish_birth(replace(BIRTH, cameras=(), models=()))
            box.await_connected()
            box.put(large, event_record(3))
            box.await_state("takes packets of 1300 bytes only")
            tmc.wait_for(lambda heard: any(one.plain.get("seq") == 2 for one in heard))
            box.await_(lambda: [row.seq for row in box.outbox.pending()] == [1])


# TLS


def tls_broker(
    folder: Path, authority: Authority, *extra: str, days: int = 2, alternative: str = "IP:127.0.0.1"
) -> Mosquitto:
    server = authority.issue(f"server-{folder.name}", alternative=alternative)
    folder.mkdir(parents=True, exist_ok=True)
    for path in (server.key, server.cert):
        path.chmod(0o600)
    lines = (
        "listener {port} 127.0.0.1",
        f"cafile {authority.cert}",
        f"certfile {server.cert}",
        f"keyfile {server.key}",
        *(extra or ("allow_anonymous true",)),
    )
    return Mosquitto(folder, lines)


def test_given_client_certificates_then_the_box_is_who_its_certificate_says(
    tmp_path: Path, authority: Authority
) -> None:
    own, desk = authority.issue("pole-17"), authority.issue("tmc")
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "acl").write_text(
        "user tmc\ntopic readwrite #\npattern write kentongan/v1/%u/#\npattern read kentongan/v1/%u/command\n"
    )
    (folder / "acl").chmod(0o644)
    extra = ("require_certificate true", "use_identity_as_username true", "acl_file {folder}/acl")
    context = tls_context(Tls(ca_file=authority.cert, cert_file=own.cert, key_file=own.key))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    tmc_context = tls_context(Tls(ca_file=authority.cert, cert_file=desk.cert, key_file=desk.key))
    with (
        tls_broker(folder, authority, *extra) as broker,
        Subscriber(broker.port, tls=tmc_context) as tmc,
        Box(tmp_path, broker.port, tls=context) as box,
    ):
        box.put(*(count_record(i) for i in range(200)))
        tmc.wait_for(lambda heard: sum(one.leaf == "count" for one in heard) >= 200)
        box.await_empty()


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("unknown authority", "its certificate can't be trusted"),
        ("wrong name", "mqtt.host is the name in the certificate"),
        ("no client certificate", "127.0.0.1"),
        ("no tls at all", "TLS"),
    ],
)
def test_given_a_broker_that_cannot_prove_itself_then_nothing_is_sent(
    tmp_path: Path, authority: Authority, case: str, sentence: str
) -> None:
    context = tls_context(Tls(ca_file=authority.cert))
    if case == "unknown authority":
        broker = tls_broker(tmp_path / "b1", Authority(tmp_path / "other"))
    elif case == "wrong name":
        broker = tls_broker(tmp_path / "b2", authority, alternative="DNS:broker.example")
    elif case == "no client certificate":
        broker = tls_broker(tmp_path / "b3", authority, "require_certificate true", "allow_anonymous true")
    else:
        broker = Mosquitto(tmp_path / "b4")
    with broker, Box(tmp_path, broker.port, tls=context) as box:
        box.put(count_record(1))
        box.await_state(sentence)
        assert box.writer.flush(5)
        assert box.outbox.depth().records == 1
        assert not box.link.state().connected


def test_given_tls_1_1_only_then_it_is_refused(tmp_path: Path, authority: Authority) -> None:
    server = authority.issue("old-server", alternative="IP:127.0.0.1")
    port = free_port()
    command = [
        "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(server.cert), "-key", str(server.key),
        "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-quiet",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as old:
        try:
            with Box(tmp_path, port, tls=tls_context(Tls(ca_file=authority.cert))) as box:
                box.await_state("TLS failed")
        finally:
            old.kill()
