"""The broker configurations that ship, on a real Mosquitto with real certificates: who may do what, and what stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.schema import Login, Tls
from agent.mqtt.credentials import tls_context
from agent.receive import Receiver, ReceiveSettings, SqliteStore
from tests.fakes.box import Box
from tests.fakes.certificates import Authority, Pair
from tests.fakes.mosquitto import Mosquitto, add_user
from tests.fakes.ports import free_port
from tests.fakes.records import count_record, event_record
from tests.fakes.subscriber import Heard, Subscriber

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "broker"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def shipped(folder: Path, name: str, port: int) -> tuple[str, ...]:
    """A configuration as it ships, its paths and port moved into a test's folder."""
    text = (SHIPPED / name).read_text(encoding="utf-8")
    text = text.replace("/etc/mosquitto/", f"{folder}/").replace("/var/lib/mosquitto/", f"{folder}/")
    return tuple(text.replace("listener 8883", f"listener {port} 127.0.0.1").splitlines())


def broker_of(
    folder: Path, authority: Authority, name: str = "mosquitto.conf", extra: tuple[str, ...] = ()
) -> Mosquitto:
    port = free_port()
    certs = folder / "certs"
    certs.mkdir(parents=True)
    server = authority.issue(f"broker-{port}", alternative="IP:127.0.0.1")
    for source, target in ((authority.cert, "ca.crt"), (server.cert, "broker.crt"), (server.key, "broker.key")):
        (certs / target).write_bytes(source.read_bytes())
    (folder / "acl").write_text((SHIPPED / "acl").read_text(encoding="utf-8"))
    (folder / "acl").chmod(0o600)
    return Mosquitto(folder, (*shipped(folder, name, port), *extra), port=port)


def context_of(authority: Authority, pair: Pair):  # noqa: ANN201 - an SSLContext
    return tls_context(Tls(ca_file=authority.cert, cert_file=pair.cert, key_file=pair.key))


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    with broker_of(tmp_path / "broker", authority) as started:
        yield started


def await_(condition: object, timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.02)


def test_a_box_delivers_to_the_centre_and_is_commanded_by_it(
    tmp_path: Path, broker: Mosquitto, authority: Authority
) -> None:
    box_tls, tmc_tls = (context_of(authority, authority.issue(name)) for name in ("pole-17", "tmc"))
    store = SqliteStore(tmp_path / "received.sqlite")
    receiver = Receiver(
        ReceiveSettings("127.0.0.1", broker.port, name="tmc-receiver", group="tmc", tls=tmc_tls, turn_s=0.02), store
    )
    receiver.start()
    receiver.await_connected(10)
    with (
        Subscriber(broker.port, client_id="desk", tls=tmc_tls) as desk,
        Box(tmp_path, broker.port, tls=box_tls, delivery="application") as box,
    ):
        box.put(*(count_record(i) for i in range(100)), event_record(1))
        box.await_empty()
        desk.say("kentongan/v1/pole-17/command", {"command": "ping", "id": "1"})
        desk.wait_for(lambda heard: any(one.leaf == "reply" for one in heard))
    receiver.stop()
    assert store.seqs("pole-17") == list(range(1, 102))
    store.close()


def test_a_stolen_box_cannot_speak_for_another_nor_listen_to_it(
    tmp_path: Path, broker: Mosquitto, authority: Authority
) -> None:
    stolen_tls, tmc_tls = (context_of(authority, authority.issue(name)) for name in ("pole-66", "tmc"))
    victim_tls = context_of(authority, authority.issue("pole-17"))
    with (
        Subscriber(broker.port, client_id="desk", tls=tmc_tls) as desk,
        Box(tmp_path, broker.port, tls=victim_tls) as box,
        Subscriber(broker.port, "#", client_id="pole-66", tls=stolen_tls) as stolen,
    ):
        box.await_connected()
        for topic in (
            "kentongan/v1/pole-17/junction-3/count", "kentongan/v1/pole-17/ack", "kentongan/v1/pole-17/command",
            "kentongan/v1/pole-17/status", "kentongan/v1/pole-66/command", "kentongan/v1/pole-66/ack", "other/x",
        ):  # fmt: skip
            stolen.say(topic, {"forged": True})
        stolen.say("kentongan/v1/pole-66/junction-3/count", {"its own": True})
        box.put(count_record(1))
        desk.say("kentongan/v1/pole-17/command", {"command": "ping", "id": "1"})
        desk.say("kentongan/v1/pole-66/command", {"command": "ping", "id": "2"})
        desk.wait_for(lambda heard: any(one.leaf == "reply" for one in heard))
        desk.wait_for(lambda heard: any("pole-66" in one.topic and one.leaf == "count" for one in heard))
        stolen.wait_for(bool)
        desk.wait_quiet()
    assert not [one for one in desk.heard() if b"forged" in one.payload]
    assert {one.topic for one in stolen.heard()} == {"kentongan/v1/pole-66/command"}


def test_nobody_enters_without_a_certificate_or_with_one_of_another_authority(
    tmp_path: Path, broker: Mosquitto, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "elsewhere").issue("pole-17")
    for context in (tls_context(Tls(ca_file=authority.cert)), context_of(authority, stranger)):
        with Box(tmp_path / "state", broker.port, tls=context) as box:
            box.put(count_record(1))
            box.await_state(f"127.0.0.1:{broker.port}")
            assert not box.link.state().connected


def test_dashboards_hear_and_say_nothing(tmp_path: Path, broker: Mosquitto, authority: Authority) -> None:
    watch_tls, box_tls = (context_of(authority, authority.issue(name)) for name in ("watch", "pole-17"))
    with (
        Subscriber(broker.port, client_id="board", tls=watch_tls) as board,
        Box(tmp_path, broker.port, tls=box_tls) as box,
    ):
        box.put(count_record(1))
        board.wait_for(lambda heard: any(one.leaf == "count" for one in heard))
        board.say("kentongan/v1/pole-17/command", {"command": "ping", "id": "1"})
        box.put(count_record(2))
        board.wait_for(lambda heard: sum(one.leaf == "count" for one in heard) == 2)
        assert not board.heard("reply", "command")


def test_users_and_passwords_over_tls(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "broker"
    broker = broker_of(folder, authority, "mosquitto-passwords.conf")
    for user in ("pole-17", "tmc"):
        add_user(folder / "passwords", user, f"{user}-secret")
    context = tls_context(Tls(ca_file=authority.cert))
    login = {"login": Login(user="pole-17"), "password": "pole-17-secret"}
    with (
        broker,
        Subscriber(broker.port, user="tmc", password="tmc-secret", tls=context) as desk,
        Box(tmp_path, broker.port, tls=context, **login) as box,
    ):
        box.put(count_record(1))
        desk.wait_for(lambda heard: any(one.leaf == "count" for one in heard))


def test_what_was_acknowledged_survives_a_kill_but_for_a_moment(
    tmp_path: Path, broker: Mosquitto, authority: Authority
) -> None:
    box_tls, tmc_tls = (context_of(authority, authority.issue(name)) for name in ("pole-17", "tmc"))
    with Subscriber(broker.port, client_id="desk", tls=tmc_tls):
        pass  # its session stays at the broker
    with Box(tmp_path, broker.port, tls=box_tls) as box:
        box.put(*(count_record(i) for i in range(300)))
        box.await_empty()
        time.sleep(0.5)
        broker.restart()
        with Subscriber(broker.port, client_id="desk", tls=tmc_tls) as desk:
            heard = desk.wait_for(lambda heard: len(_counts(heard)) >= 300)
    assert _counts(heard) == set(range(1, 301))


def _counts(heard: list[Heard]) -> set[int]:
    return {one.plain["seq"] for one in heard if one.leaf == "count"}


def test_a_bridge_carries_records_to_the_city_and_acks_and_commands_back(tmp_path: Path, authority: Authority) -> None:
    city = broker_of(tmp_path / "city", authority)
    folder = tmp_path / "district"
    quick = {"city.example.org:8883": f"127.0.0.1:{city.port}", "restart_timeout 5 60": "restart_timeout 1 2"}
    bridge = "\n".join(shipped(folder, "bridge.conf", 0))
    for shipped_text, here in quick.items():
        assert shipped_text in bridge
        bridge = bridge.replace(shipped_text, here)
    district = broker_of(folder, authority, extra=(bridge,))
    pair = authority.issue("district")
    for source, target in ((pair.cert, "bridge.crt"), (pair.key, "bridge.key")):
        (folder / "certs" / target).write_bytes(source.read_bytes())
    box_tls, tmc_tls = (context_of(authority, authority.issue(name)) for name in ("pole-17", "tmc"))
    store = SqliteStore(tmp_path / "received.sqlite")
    receiver = Receiver(
        ReceiveSettings("127.0.0.1", city.port, name="city-receiver", tls=tmc_tls, turn_s=0.02, hole_s=0.5), store
    )
    with city, district, Box(tmp_path, district.port, tls=box_tls, delivery="application") as box:
        receiver.start()
        receiver.await_connected(10)
        box.put(*(count_record(i) for i in range(50)))
        box.await_empty(30)
        city.restart()
        box.put(*(count_record(i) for i in range(50, 100)))
        await_(lambda: store.seqs("pole-17") == list(range(1, 101)), 40)
        box.await_empty(40)
        with Subscriber(city.port, client_id="desk", tls=tmc_tls) as desk:
            desk.say("kentongan/v1/pole-17/command", {"command": "ping", "id": "far"})
            desk.wait_for(lambda heard: any(one.leaf == "reply" and one.plain["id"] == "far" for one in heard))
        receiver.stop()
    store.close()
