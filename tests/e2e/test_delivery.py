"""A subscriber on a real Mosquitto sees exactly the records the outbox held, whatever happens to the broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from agent.mqtt.topics import DURABLE
from agent.records import dump
from tests.fakes.box import QUICK, Box
from tests.fakes.clock import ManualClock
from tests.fakes.messages import HEALTH
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.records import count_record, event_record, zone_record
from tests.fakes.schema import assert_all_valid, assert_valid
from tests.fakes.subscriber import Heard, Subscriber
from tests.fakes.tcp_proxy import TcpProxy, Toxic

DURABLE_LEAVES = tuple(DURABLE)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    # A persistent queue without bounds, so that what a test counts is the box's doing alone.
    lines = ("listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0")
    with Mosquitto(tmp_path / "broker", lines) as started:
        yield started


def durable(heard: list[Heard]) -> list[Heard]:
    return [one for one in heard if one.leaf in DURABLE]


def enough(number: int) -> Callable[[list[Heard]], bool]:
    return lambda heard: len({one.plain["seq"] for one in durable(heard)}) >= number


def seqs(heard: list[Heard]) -> list[int]:
    return [one.plain["seq"] for one in durable(heard)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_given_records_then_a_subscriber_sees_exactly_these_in_order(
    tmp_path: Path, broker: Mosquitto, protocol: Literal["5", "3.1.1"]
) -> None:
    records = [make(i) for i in range(40) for make in (count_record, zone_record, event_record)]
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, protocol=protocol) as box:
        box.await_connected()
        box.put(*records)
        heard = durable(tmc.wait_for(enough(len(records))))
        box.await_empty()
    assert_all_valid(tmc.heard())
    assert seqs(heard) == list(range(1, len(records) + 1))
    for one, record in zip(heard, records, strict=True):
        body = dump(record.body)
        assert one.topic == f"kentongan/v1/pole-17/junction-3/{record.kind}"
        assert {key: one.plain[key] for key in body} == body
        assert (one.plain["boot"], one.plain["backfill"]) == (box.boot, False)


def test_status_and_birth_are_retained_and_tell_of_coming_and_going(tmp_path: Path, broker: Mosquitto) -> None:
    with Box(tmp_path, broker.port) as box:
        box.await_connected()
        box.link.publish_health(HEALTH)
        with Subscriber(broker.port, client_id="late") as late:
            late.wait_for(lambda heard: {"status", "birth"} <= {one.leaf for one in heard if one.retained})
            status = next(one for one in late.heard("status"))
            assert (status.plain["state"], status.plain["boot"]) == ("online", box.boot)
            box.link.publish_health(HEALTH)
            late.wait_for(lambda heard: any(one.leaf == "health" for one in heard))
            assert not any(one.retained for one in late.heard("health"))
            box.link.stop()
            late.wait_for(lambda heard: heard[-1].plain.get("state") == "stopped")
            assert_all_valid(late.heard())


def test_given_a_cut_connection_then_the_broker_says_offline_and_online(tmp_path: Path, broker: Mosquitto) -> None:
    with TcpProxy(broker.port) as proxy, Subscriber(broker.port) as tmc, Box(tmp_path, proxy.port) as box:
        box.await_connected()
        tmc.wait_for(lambda heard: any(one.plain.get("state") == "online" for one in heard))
        proxy.toxic = Toxic("down")
        tmc.wait_for(lambda heard: any(one.plain.get("state") == "offline" for one in heard))
        box.await_state("nothing listens there; check mqtt.host and mqtt.port")
        box.put(*(count_record(i) for i in range(10)))
        assert box.writer.flush(10)
        proxy.toxic = Toxic()
        heard = tmc.wait_for(enough(10))
        states = [one.plain["state"] for one in heard if one.leaf == "status"]
        assert states[:3] == ["online", "offline", "online"]
        assert all(one.plain["backfill"] for one in durable(heard)), "what waited for a connection says so"
        assert box.link.state().reconnects == 1
    assert_all_valid(tmc.heard())


def test_given_records_from_before_a_restart_of_the_agent_then_they_go_on_in_order(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with TcpProxy(broker.port, Toxic("down")) as proxy, Box(tmp_path, proxy.port) as box:
        box.put(*(count_record(i) for i in range(300)))
        assert box.writer.flush(5)
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, backfill_per_s=2_000) as again:
        heard = durable(tmc.wait_for(enough(300)))
        again.await_empty()
    assert seqs(heard) == list(range(1, 301))
    assert {one.plain["boot"] for one in heard} == {box.boot}
    assert len({one.plain["id"] for one in heard}) == 300


def test_given_a_killed_broker_then_nothing_is_lost_and_duplicates_carry_the_same_id(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with Box(tmp_path, broker.port, in_flight=16) as box:
        heard: list[Heard] = []
        for turn in range(3):
            # The subscriber is there before the box publishes: what a broker forgets is not this test's matter.
            with Subscriber(broker.port, client_id=f"tmc-{turn}") as tmc:
                box.await_connected()
                box.put(*(count_record(turn * 200 + i) for i in range(200)))
                tmc.wait_for(enough(20))
                if turn < 2:
                    broker.kill()
                    heard += tmc.heard()
                    box.await_state("127.0.0.1")
                    broker.start()
                else:
                    box.await_empty()
                    heard += tmc.wait_quiet()
    ids = {one.plain["seq"]: one.plain["id"] for one in durable(heard)}
    assert all(ids[one.plain["seq"]] == one.plain["id"] for one in durable(heard))
    assert box.link.state().sent >= 600


def test_given_a_frozen_broker_then_the_box_notices_and_goes_on_later(tmp_path: Path, broker: Mosquitto) -> None:
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port) as box:
        box.await_connected()
        broker.freeze()
        box.put(*(count_record(i) for i in range(50)))
        box.await_state("has not acknowledged anything for 2 s")
        broker.thaw()
        tmc.wait_for(enough(50))
        box.await_empty()
        assert sorted(set(seqs(tmc.heard()))) == list(range(1, 51))


def test_given_a_long_backlog_then_alarms_go_first_new_records_do_not_wait_and_the_rest_is_paced(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with (
        TcpProxy(broker.port, Toxic("down")) as proxy,
        Box(tmp_path, proxy.port, in_flight=10, backfill_per_s=100) as box,
    ):
        box.put(*(event_record(i) if i % 100 == 50 else count_record(i) for i in range(300)))
        assert box.writer.flush(5)
        with Subscriber(broker.port) as tmc:
            proxy.toxic = Toxic()
            box.await_connected()
            box.put(count_record(1000))
            tmc.wait_for(enough(4))
            first = durable(tmc.heard())[:3]
            assert [one.plain["seq"] for one in first] == [251, 151, 51]
            assert all(one.leaf == "event" and one.plain["backfill"] for one in first)
            tmc.wait_for(lambda heard: 301 in seqs(heard))
            assert len(durable(tmc.heard())) < 150, "the new record overtook the backlog"
            tmc.wait_for(enough(301))
            box.await_empty()
    heard = durable(tmc.heard())
    assert sorted(seqs(heard)) == list(range(1, 302)), "each exactly once"
    late = [one.plain["seq"] for one in heard if one.plain["backfill"] and one.leaf == "count"]
    assert late == sorted(late)
    assert [one.plain["backfill"] for one in heard if one.plain["seq"] == 301] == [False]


def test_given_application_delivery_then_records_are_kept_until_the_ack_covers_them(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, delivery="application") as box:
        box.put(*(count_record(i) for i in range(20)))
        heard = durable(tmc.wait_for(enough(20)))
        assert box.outbox.depth().records == 20, "a PUBACK is not enough"
        twelfth = next(one for one in heard if one.plain["seq"] == 12)
        tmc.say("kentongan/v1/pole-17/ack", {"v": 1, "seq": 12, "id": twelfth.plain["id"]})
        tmc.wait_for(lambda heard: sum(one.plain["seq"] == 20 for one in durable(heard)) >= 2)
        box.await_(lambda: box.outbox.depth().records == 8)
        again = durable(tmc.heard())[20:]
        assert all(one.plain["backfill"] for one in again)
        assert {one.plain["seq"] for one in again if one.plain["seq"] <= 12} <= set(range(1, 13))
        tmc.say("kentongan/v1/pole-17/ack", {"v": 1, "seq": 20})
        box.await_empty()


@pytest.mark.parametrize(
    ("ack", "why"),
    [
        ({"v": 1, "seq": 999}, "never sent"),
        ({"v": 1, "seq": 3, "id": "00000000-0000-0000-0000-000000000000"}, "another id"),
        ({"v": 1, "seq": -1}, "seq"),
        ({"v": 1, "seq": "all"}, "seq"),
        (b"\xff\xfe", "no JSON"),
    ],
)
def test_given_an_ack_that_cannot_be_true_then_nothing_is_forgotten(
    tmp_path: Path, broker: Mosquitto, caplog: pytest.LogCaptureFixture, ack: object, why: str
) -> None:
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, delivery="application") as box:
        box.put(*(count_record(i) for i in range(5)))
        tmc.wait_for(enough(5))
        tmc.say("kentongan/v1/pole-17/ack", ack)
        tmc.say("kentongan/v1/pole-17/command", {"command": "ping", "id": "after"})
        tmc.wait_for(lambda heard: any(one.leaf == "reply" for one in heard))
        assert box.outbox.depth().records == 5
    assert why in caplog.text


def test_given_a_wish_to_resend_then_what_is_held_comes_again(tmp_path: Path, broker: Mosquitto) -> None:
    patient = replace(QUICK, resend_s=60)
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, delivery="application", timing=patient) as box:
        box.put(*(count_record(i) for i in range(30)))
        tmc.wait_for(enough(30))
        before = len(durable(tmc.heard()))
        tmc.say("kentongan/v1/pole-17/command", {"command": "resend", "id": "1", "args": {"first": 5, "last": 7}})
        tmc.wait_for(lambda heard: len(durable(heard)) >= before + 3)
        assert seqs(tmc.heard())[before : before + 3] == [5, 6, 7]
        reply = tmc.heard("reply")[0].plain
        assert reply["ok"]
        assert reply["result"] == {"held": True, "first_held": 5}
        for args in ({"first": 9, "last": 3}, {"first": 0, "last": 3}, {"first": 1}):
            tmc.say("kentongan/v1/pole-17/command", {"command": "resend", "args": args})
        tmc.wait_for(lambda heard: sum(one.leaf == "reply" for one in heard) == 4)
        assert not any(one.plain["ok"] for one in tmc.heard("reply")[1:])


def test_commands_are_answered_where_they_ask_but_only_below_the_boxs_own_reply(
    tmp_path: Path, broker: Mosquitto
) -> None:
    command = "kentongan/v1/pole-17/command"
    with Subscriber(broker.port, "#") as tmc, Box(tmp_path, broker.port) as box:
        box.await_connected()
        tmc.say(command, {"command": "ping"}, response_topic="kentongan/v1/pole-17/reply/desk-4", correlation=b"\x01")
        tmc.say(command, {"command": "ping", "id": "2"}, response_topic="kentongan/v1/pole-99/command")
        tmc.say(command, {"command": "reboot", "id": "3"})
        tmc.say(command, {"command": "birth", "id": "4"})
        tmc.say(command, b"{")
        heard = tmc.wait_for(lambda heard: sum("/reply" in one.topic for one in heard) == 5)
    replies = [one for one in heard if "/reply" in one.topic]
    assert replies[0].topic == "kentongan/v1/pole-17/reply/desk-4"
    assert replies[0].correlation == b"\x01"
    assert {one.topic for one in replies[1:]} == {"kentongan/v1/pole-17/reply"}
    assert [one.plain["ok"] for one in replies] == [True, True, False, True, False]
    assert "knows no such command, only birth, ping, resend" in replies[2].plain["error"]
    assert sum(one.leaf == "birth" for one in heard) == 2
    for one in replies:
        assert_valid(one.topic, one.payload)


def test_given_records_made_before_the_clock_was_set_then_they_are_corrected_on_sending(
    tmp_path: Path, broker: Mosquitto
) -> None:
    clock = ManualClock(synced=False)
    wrong = count_record(0, synced=False)  # made at mono 1060, when the clock was still wrong
    with TcpProxy(broker.port, Toxic("down")) as proxy, Box(tmp_path, proxy.port, clock=clock) as box:
        box.put(wrong)
        clock.advance(3600)
        clock.step_utc(86_400.5)
        clock.set_synced(synced=True, error_ms=20)
        box.put(count_record(90))
        with Subscriber(broker.port) as tmc:
            proxy.toxic = Toxic()
            first, second = durable(tmc.wait_for(enough(2)))[:2]
    assert first.plain["clock"] == {"synced": True, "error_ms": 20, "corrected_s": 86_400.5}
    assert first.plain["time"] == "2026-01-02T00:01:00.500Z"
    assert first.plain["interval"] == {
        "start": "2026-01-02T00:00:00.500Z",
        "end": "2026-01-02T00:01:00.500Z",
        "partial": False,
    }
    assert second.plain["clock"] == {"synced": True, "error_ms": 12.5}
    assert_all_valid([first, second])


def test_given_a_record_from_another_start_of_the_machine_then_it_stays_as_it_is(
    tmp_path: Path, broker: Mosquitto
) -> None:
    with TcpProxy(broker.port, Toxic("down")) as proxy, Box(tmp_path, proxy.port, machine="before") as box:
        box.put(count_record(0, synced=False))
        assert box.writer.flush(5)
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, machine="after"):
        (one,) = durable(tmc.wait_for(enough(1)))
    assert one.plain["clock"] == {"synced": False}
    assert json.loads(one.payload)["time"] == "2026-01-01T00:01:00.000Z"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_given_a_retained_command_then_no_start_of_the_box_runs_it(
    tmp_path: Path, broker: Mosquitto, protocol: Literal["5", "3.1.1"]
) -> None:
    with Subscriber(broker.port) as tmc:
        tmc.say("kentongan/v1/pole-17/command", {"v": 1, "command": "ping", "id": "kept"}, retain=True)
        for start in range(2):
            with Box(tmp_path / str(start), broker.port, protocol=protocol) as box:
                box.await_connected()
                tmc.wait_for(lambda heard, n=start: len([one for one in heard if one.leaf == "reply"]) > n)  # type: ignore[misc]
        replies = [one.plain for one in tmc.heard("reply")]
    assert [reply["ok"] for reply in replies] == [False, False]
    assert all("retained" in reply["error"] for reply in replies)


def test_given_a_backlog_and_little_time_then_the_box_still_says_that_it_stopped(
    tmp_path: Path, broker: Mosquitto
) -> None:
    slow = replace(QUICK, drain_s=30)
    with Subscriber(broker.port) as tmc, Box(tmp_path, broker.port, timing=slow, in_flight=4, backfill_per_s=1) as box:
        box.await_connected()
        box.put(*(count_record(number) for number in range(20_000)))
        tmc.wait_for(enough(50))
        assert box.link.stop(0.8)
        assert box.outbox.depth().records > 0, "there was more to send than time"
        states = tmc.wait_for(lambda heard: any(one.plain.get("state") == "stopped" for one in heard))
    assert [one.plain["state"] for one in states if one.leaf == "status"][-1] == "stopped"


def test_given_somebody_who_asks_for_the_cost_then_each_row_is_charged(tmp_path: Path, broker: Mosquitto) -> None:
    costs: list[tuple[float, float]] = []
    with Box(tmp_path, broker.port) as box:
        box.link._sender._on_cost = lambda wall_s, cpu_s: costs.append((wall_s, cpu_s))
        box.put(*(count_record(number) for number in range(5)))
        box.await_empty()
    assert len(costs) == 5
    assert all(wall_s > 0 for wall_s, _ in costs)
