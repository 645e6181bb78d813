"""Box, real Mosquitto, receiver: nothing lost and nothing doubled, with one receiver or several."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import BrokerError, OutboxError
from agent.outbox import Batch
from agent.receive import Receiver, ReceiveSettings, SqliteStore
from tests.fakes.box import QUICK, Box
from tests.fakes.mosquitto import Mosquitto, add_user
from tests.fakes.ports import free_port
from tests.fakes.records import count_record, event_record
from tests.fakes.speaker import speaker
from tests.fakes.subscriber import Subscriber
from tests.fakes.tcp_proxy import TcpProxy, Toxic

DEVICE = "pole-17"
BOOT = "7d444840-9dc0-41d1-b245-5ffdce74fad2"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@contextmanager
def receiver(store: SqliteStore, port: int, name: str = "tmc-1", group: str = "") -> Iterator[Receiver]:
    settings = ReceiveSettings("127.0.0.1", port, name=name, group=group, hole_s=0.3, ask_again_s=0.5, turn_s=0.02)
    one = Receiver(settings, store)
    one.start()
    try:
        one.await_connected(10)
        yield one
    finally:
        one.stop()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    one = SqliteStore(tmp_path / "tmc" / "received.sqlite")
    yield one
    one.close()


def await_(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.02)


def test_given_application_delivery_then_all_is_stored_and_the_box_may_forget(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port), Box(tmp_path, broker.port, delivery="application") as box:
        box.put(*(count_record(i) for i in range(500)))
        box.await_empty()
    (report,) = store.report()
    assert (report.device, report.mark, report.stored, report.missing, report.gone) == (DEVICE, 500, 500, 0, 0)
    assert store.seqs(DEVICE) == list(range(1, 501))


def test_given_a_receiver_that_was_away_then_it_gets_everything_and_duplicates_are_dropped(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with Box(tmp_path, broker.port, delivery="application", in_flight=32) as box:
        box.put(*(count_record(i) for i in range(200)))
        box.await_(lambda: box.link.state().sent > 60)
        with receiver(store, broker.port):
            box.await_empty(40)
    assert store.seqs(DEVICE) == list(range(1, 201))


def test_given_a_box_that_heard_no_ack_then_it_listens_first_and_sends_nothing_twice(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port):
        pass  # its session stays at the broker
    # On a loaded machine a receiver needs longer than half a second to answer, and a box longer than one to leave.
    patient = replace(QUICK, listen_s=10, resend_s=60)
    with Box(tmp_path, broker.port, delivery="application", timing=patient) as box:
        box.put(*(count_record(i) for i in range(50)))
        box.await_(lambda: box.link.state().sent >= 50 and box.link.state().in_flight == 0)
    with receiver(store, broker.port):
        await_(lambda: store.report()[0].mark == 50)  # its acks go to a box that is not there
        assert box.outbox.depth().records == 50
        with Box(tmp_path, broker.port, delivery="application", timing=patient) as again:
            again.await_connected()
            again.await_empty()
            again.put(count_record(50))
            again.await_empty()
            assert again.link.state().sent == 1
    (report,) = store.report()
    assert (report.stored, report.duplicates) == (51, 0)


def test_given_a_box_that_stops_while_it_listens_then_what_waits_is_sent_before_it_leaves(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with Box(tmp_path, broker.port, delivery="application") as box:
        box.put(count_record(1))
        assert box.writer.flush(5)
        box.await_(lambda: box.link.state().sent == 1)
    with Subscriber(broker.port) as tmc:
        with Box(tmp_path, broker.port, delivery="application", timing=replace(QUICK, listen_s=60)) as again:
            again.await_connected()
            assert again.link.state().sent == 0, "nobody has said yet what is there"
        tmc.wait_for(lambda heard: any(one.leaf == "count" for one in heard))
        assert [one.plain["state"] for one in tmc.wait_quiet() if one.leaf == "status"][-1] == "stopped"


@pytest.mark.parametrize("delivery", ["application", "broker"])
def test_given_a_killed_broker_with_a_queue_then_application_delivery_loses_nothing_and_broker_delivery_tells(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore, delivery: str
) -> None:
    # The receiver is away, so the broker holds its messages in memory; then the broker is killed.
    with receiver(store, broker.port):
        pass
    with Box(tmp_path, broker.port, delivery=delivery) as box:
        box.put(*(count_record(i) for i in range(50)))
        box.await_(lambda: box.link.state().sent >= 50 and box.link.state().in_flight == 0)
        box.writer.flush(5)
        broker.restart()
        box.put(*(count_record(i) for i in range(50, 100)))
        with receiver(store, broker.port):
            box.await_connected()
            box.await_empty(40)
            await_(lambda: store.report()[0].mark == 100)
    (report,) = store.report()
    if delivery == "application":
        assert (report.stored, report.gone) == (100, 0)
    else:
        assert report.gone >= 50, "what the broker lost is known to be lost"
        assert report.stored + report.gone == 100


def test_given_two_receivers_that_share_the_load_and_one_dies_then_nothing_is_lost(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    other = SqliteStore(tmp_path / "tmc" / "received.sqlite")  # a second connection, as of a second process
    with Box(tmp_path, broker.port, delivery="application") as box:
        with receiver(store, broker.port, "tmc-1", "tmc"), TcpProxy(broker.port) as proxy:
            dying = Receiver(
                ReceiveSettings("127.0.0.1", proxy.port, name="tmc-2", group="tmc", hole_s=0.3, turn_s=0.02), other
            )
            dying.start()
            dying.await_connected(10)
            box.put(*(count_record(i) for i in range(200)))
            await_(lambda: len(store.seqs(DEVICE)) > 100)
            proxy.toxic = Toxic("timeout")  # tmc-2 is still a member, but what it is sent goes nowhere
            box.put(*(count_record(i) for i in range(200, 400)))
            box.await_empty(60)
            proxy.toxic = Toxic("down")
            dying.stop()
        assert store.seqs(DEVICE) == list(range(1, 401))
    other.close()


def test_given_a_gap_then_the_receiver_does_not_wait_for_what_never_comes(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port), Box(tmp_path, broker.port, delivery="application") as box:
        box.put(count_record(1))
        box.await_empty()
        box.outbox.commit(Batch(records=[event_record(2)], skipped={"count": 7}))
        box.put(count_record(3))
        box.await_empty()
        await_(lambda: store.report()[0].mark == 11)
    (report,) = store.report()
    assert (report.stored, report.gone, report.missing) == (4, 7, 0)


def test_given_a_box_whose_disk_was_replaced_then_its_new_records_are_no_duplicates(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port):
        with Box(tmp_path / "old", broker.port, delivery="application") as box:
            box.put(*(count_record(i) for i in range(60)))
            box.await_empty()
        shutil.rmtree(tmp_path / "old")
        with Box(tmp_path / "old", broker.port, delivery="application") as box:
            box.put(*(count_record(i) for i in range(100, 140)))
            box.await_empty(40)
            assert box.outbox.last == 40
    assert store.seqs(DEVICE) == list(range(1, 41))
    with closing(sqlite3.connect(tmp_path / "tmc" / "received.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (100,)


def test_given_what_does_not_fit_the_contract_then_it_is_kept_aside_and_acknowledged(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    topic = f"kentongan/v1/{DEVICE}/junction-3/count"
    head = {"device": DEVICE, "boot": BOOT, "seq": 1, "id": BOOT, "time": "2026-01-01T00:00:00Z"}
    with receiver(store, broker.port), Subscriber(broker.port) as rogue:
        rogue.say(topic, {**head, "picture": "x"})
        broken = ({**head, "seq": -1}, {**head, "device": "other"}, {**head, "id": "7"}, {**head, "id": 7})
        for payload in (b"\xff\xd8\xff", b"[]", b"{}", *broken):
            rogue.say(topic, payload)
        rogue.say(f"kentongan/v1/{DEVICE}/reply", {"id": "1-x", "command": "resend", "ok": True})
        rogue.wait_for(lambda heard: any(one.leaf == "ack" for one in heard))
        await_(lambda: _refused(tmp_path) == 8)
    (report,) = store.report()
    assert (report.stored, report.faulty, report.mark) == (1, 1, 1)


def _refused(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "tmc" / "received.sqlite")) as db:
        return int(db.execute("SELECT count(*) FROM refused").fetchone()[0])


def test_given_a_store_that_refuses_then_the_broker_keeps_the_messages(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port) as one, Box(tmp_path, broker.port, delivery="application") as box:
        with closing(sqlite3.connect(tmp_path / "tmc" / "received.sqlite", isolation_level=None)) as intruder:
            store._db.rows("PRAGMA busy_timeout = 50")
            intruder.execute("BEGIN IMMEDIATE")
            box.put(*(count_record(i) for i in range(20)))
            await_(lambda: one.reason is not None)
            assert "can't be used (database is locked)" in (one.reason or "")
            assert box.outbox.depth().records == 20
        box.await_empty()
        await_(lambda: one.reason is None)
    assert store.seqs(DEVICE) == list(range(1, 21))


def test_given_no_broker_then_it_says_so(store: SqliteStore) -> None:
    one = Receiver(ReceiveSettings("127.0.0.1", free_port()), store)
    one.start()
    with pytest.raises(BrokerError, match="check the address"):
        one.await_connected(0.3)
    one.stop()


def test_what_is_stored_is_the_message_as_it_came(tmp_path: Path, broker: Mosquitto, store: SqliteStore) -> None:
    with receiver(store, broker.port), Subscriber(broker.port) as tmc, Box(tmp_path, broker.port) as box:
        box.put(count_record(7))
        tmc.wait_for(lambda heard: any(one.leaf == "count" for one in heard))
        await_(lambda: store.seqs(DEVICE) == [1])
    with closing(sqlite3.connect(tmp_path / "tmc" / "received.sqlite")) as db:
        text = db.execute("SELECT json FROM records").fetchone()[0]
    assert json.loads(text) == tmc.heard("count")[0].plain


def test_given_a_wrong_password_or_a_forbidden_subscription_then_it_says_so(tmp_path: Path, store: SqliteStore) -> None:
    folder = tmp_path / "guarded"
    folder.mkdir()
    add_user(folder / "passwords", "tmc", "right")
    lines = ("listener {port} 127.0.0.1", "password_file {folder}/passwords")
    with Mosquitto(folder, lines) as guarded:
        one = Receiver(ReceiveSettings("127.0.0.1", guarded.port, user="tmc", password="wrong"), store)
        one.start()
        await_(lambda: "check its user and password" in (one.reason or ""))
        one.stop()
    # A broker without shared subscriptions refuses those of a group, with SUBACK reason 0x9E (MQTT 5, 3.9.3).
    connack, suback = b"\x20\x03\x00\x00\x00", b"\x90\x09\x00\x01\x00" + b"\x01" + b"\x9e" * 5
    with speaker(connack + suback) as port:
        one = Receiver(ReceiveSettings("127.0.0.1", port, group="tmc"), store)
        one.start()
        await_(lambda: "refuses the subscription" in (one.reason or ""))
        one.stop()


def test_given_a_reply_about_something_else_then_nothing_is_given_up(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    topic = f"kentongan/v1/{DEVICE}/reply"
    head = {"v": 1, "device": DEVICE, "boot": BOOT, "time": "2026-01-01T00:00:00Z", "result": {}}
    with receiver(store, broker.port), Subscriber(broker.port) as box:
        status = {key: value for key, value in head.items() if key != "result"}
        box.say(f"kentongan/v1/{DEVICE}/status", {**status, "state": "online"})
        for plain in (
            {"command": "ping", "id": "1-9", "ok": True},
            {"command": "resend", "id": "1-9", "ok": False, "error": "no"},
            {"command": "resend", "id": "9-1", "ok": True},
            {"command": "resend", "ok": True},
        ):
            box.say(topic, {**head, **plain})
        box.say(f"kentongan/v1/{DEVICE}/ack/deeper", {})
        box.say(topic, {**head, "command": "resend", "id": "1-4", "ok": True, "result": {"held": False}})
        await_(lambda: store.report() and store.report()[0].mark == 4)
    assert store.report()[0].gone == 4


def test_given_a_file_that_is_no_database_then_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "received.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(OutboxError, match="can't be used"):
        SqliteStore(tmp_path / "received.sqlite")


def test_given_a_store_that_refuses_for_ever_then_stopping_takes_no_longer(
    tmp_path: Path, broker: Mosquitto, store: SqliteStore
) -> None:
    with receiver(store, broker.port) as one, Box(tmp_path, broker.port, delivery="application") as box:
        store._db.rows("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(tmp_path / "tmc" / "received.sqlite", isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            box.put(count_record(1))
            await_(lambda: one.reason is not None)
            began_s = time.monotonic()
            one.stop()
            assert time.monotonic() - began_s < 5
    assert store.seqs(DEVICE) == []
