"""Three days without a network at ten records a second: that all fits, and that all arrives in order afterwards.

Fills a real outbox of the default size with records such as a box makes, on an injected clock, then lets the real
link send them through a real Mosquitto to somebody who acknowledges what has arrived without a gap. Promises that
order and completeness are judged from what arrived alone.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.config.schema import Mqtt
from agent.config.schema import Outbox as OutboxSettings
from agent.mqtt.client import Link
from agent.outbox import Outbox, OutboxWriter
from agent.records import CountBody, EventBody, Interval, Quality, Record, Speed, ZoneBody
from tests.fakes.clock import START_UTC_S, ManualClock
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.records import count_record, event_record, zone_record
from tests.faults.findings import Finding

PER_S: Final = 10
HOURS: Final = 72
RECORDS: Final = PER_S * 3600 * HOURS
BATCH: Final = 500
DEVICE: Final = "pole-17"
BROKER: Final = (
    "listener {port} 127.0.0.1",
    "allow_anonymous true",
    "max_queued_messages 0",
    "max_inflight_messages 0",
)
SEQ: Final = re.compile(rb'"seq": ?(\d+)')
IDLE_S: Final = 60.0
MOST_AHEAD: Final = 1000
"""So many alarms of a backlog come first; the rest keeps its place (decision 5)."""


def record(number: int, choose: random.Random) -> Record:
    """What a box with ten lines and zones tells at a moment: mostly counts, some zones, few events, fewer alarms."""
    at = START_UTC_S + number / PER_S
    interval = Interval(start=at - 60, end=at)
    kind = choose.random()
    made: Record
    if kind < 0.70:
        made = count_record(number, line=f"line-{number % 10}")
        motorcycles, cars, trucks = (int(choose.gammavariate(2, mean)) for mean in (12, 5, 1))
        assert isinstance(made.body, CountBody)
        body: CountBody | ZoneBody | EventBody = replace(
            made.body,
            interval=interval,
            by_class={"motorcycle": motorcycles, "car": cars, "truck": trucks},
            volume=motorcycles + cars + trucks,
            pcu=round(motorcycles * 0.25 + cars + trucks * 2, 2),
            occupancy=round(choose.random(), 3),
            speed_kmh=Speed(mean=round(choose.uniform(5, 60), 1), p85=round(choose.uniform(10, 80), 1), n=cars),
            headway_s=round(choose.uniform(1, 9), 2),
            quality=Quality(
                valid=True, watched=round(choose.uniform(0.9, 1), 3), detect_fps=round(choose.uniform(7, 10), 2)
            ),
        )
    elif kind < 0.95:
        made = zone_record(number)
        assert isinstance(made.body, ZoneBody)
        body = replace(made.body, interval=interval, entered=choose.randrange(200))
    else:
        made = event_record(number, severity="alarm" if kind > 0.995 else "warning")
        assert isinstance(made.body, EventBody)
        body = replace(made.body, event=str(uuid.UUID(int=choose.getrandbits(128))), since=at)
    return replace(made, time=at, mono_s=number / PER_S, body=body)


@dataclass(slots=True)
class Arrived:
    """What came, in which order.

    Attributes:
        through: Every number up to here has come.
        again: How many came more than once.
        unordered: What came before something older, or, of the alarms that came first, before something newer.
        alarms_first: Alarms that came before anything else; the newest of all are to.
        alarms: All there were.
        count: Different records that came.
    """

    through: int = 0
    again: int = 0
    unordered: int = 0
    alarms_first: int = 0
    alarms: int = 0
    count: int = 0


class Centre:
    """Acknowledges whatever has arrived without a gap, and notes the order; no more than that, so that it is quick."""

    def __init__(self, port: int, records: int) -> None:
        self.arrived = Arrived()
        self.moved_s = time.monotonic()
        self._has = bytearray(records + 2)
        self._newest = 0
        self._oldest_alarm = records + 1
        self._ended = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="centre", protocol=paho.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._ready.wait(20):
            raise TimeoutError("the broker accepted no subscription within 20 s")
        self._thread = threading.Thread(target=self._acknowledge, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave."""
        self._ended.set()
        self._thread.join(5)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(f"kentongan/v1/{DEVICE}/+/{leaf}", 1) for leaf in ("count", "zone", "event")])

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        found = SEQ.search(message.payload)
        assert found is not None
        seq, arrived = int(found[1]), self.arrived
        self.moved_s = time.monotonic()
        if self._has[seq]:
            arrived.again += 1
            return
        self._has[seq] = 1
        arrived.count += 1
        is_alarm = message.topic.endswith("event") and json.loads(message.payload)["severity"] == "alarm"
        arrived.alarms += is_alarm
        if is_alarm and not self._newest:
            arrived.alarms_first += 1
            arrived.unordered += seq > self._oldest_alarm
            self._oldest_alarm = seq
        else:
            arrived.unordered += seq < self._newest
            self._newest = max(self._newest, seq)
        while self._has[arrived.through + 1]:
            arrived.through += 1

    def _acknowledge(self) -> None:
        told = 0
        while not self._ended.wait(0.1):
            if self.arrived.through > told:
                told = self.arrived.through
                self._client.publish(f"kentongan/v1/{DEVICE}/ack", json.dumps({"v": 1, "seq": told}), 1)


def _fill(outbox: Outbox, clock: ManualClock, records: int, choose: random.Random) -> None:
    for start in range(1, records + 1, BATCH):
        batch = [record(number, choose) for number in range(start, min(start + BATCH, records + 1))]
        outbox.append(batch, {"counters": json.dumps({"line": start})})
        clock.advance(len(batch) / PER_S)


@contextmanager
def _sending(outbox: Outbox, clock: ManualClock, port: int) -> Iterator[None]:
    writer = OutboxWriter(outbox)
    settings = Mqtt(
        host="127.0.0.1", port=port, plaintext=True, delivery="application", in_flight=1000, backfill_per_s=10_000
    )
    link = Link(settings, device=DEVICE, boot=outbox.boot, store=outbox, settler=writer, clock=clock)
    writer.on_commit(link.wake)
    writer.start()
    link.start()
    try:
        yield
    finally:
        link.stop()
        writer.stop()


def outage(folder: Path, *, share: float, seed: int) -> Finding:
    """So much of the three days; the limit shrinks with it."""
    began_s, records = time.monotonic(), round(RECORDS * share)
    clock, choose = ManualClock(), random.Random(seed)
    limit_bytes = max(4 << 20, round((OutboxSettings().max_mb << 20) * share))
    folder.mkdir(parents=True, exist_ok=True)
    outbox = Outbox(folder / "outbox.db", boot=str(uuid.UUID(int=1)), clock=clock, max_bytes=limit_bytes)
    _fill(outbox, clock, records, choose)
    filled_s, full = time.monotonic() - began_s, outbox.depth()
    with Mosquitto(folder / "broker", BROKER) as broker:
        centre = Centre(broker.port, records)
        drain_began_s = time.monotonic()
        with _sending(outbox, clock, broker.port):
            while (outbox.depth().records or centre.arrived.through < records) and _moves(centre):
                time.sleep(0.1)
        drained_s = time.monotonic() - drain_began_s
        centre.close()
    left, dropped = outbox.depth().records, outbox.last - records
    outbox.close()
    arrived = centre.arrived
    missed = []
    if full.records != records or dropped:
        missed.append(f"it did not fit: {full.records:,} of {records:,} were held")
    if arrived.count != records or left:
        missed.append(f"{records - arrived.count:,} never arrived, {left:,} are still held")
    if arrived.unordered:
        missed.append(f"{arrived.unordered} out of order")
    if arrived.alarms_first != (due := min(arrived.alarms, MOST_AHEAD)):
        missed.append(f"{arrived.alarms_first} alarms came first and not {due}")
    return Finding(
        name="three days without a network",
        size=f"{records:,} records",
        found=(
            f"{full.used_bytes / 1e6:,.0f} of {full.max_bytes / 1e6:,.0f} MB, {arrived.count:,} arrived in order after "
            f"the newest {arrived.alarms_first:,} alarms, {records / drained_s:,.0f} a second"
        ),
        seconds=round(time.monotonic() - began_s, 1),
        missed=tuple(missed),
        figures={
            "records": records, "hours": HOURS * share, "used_bytes": full.used_bytes, "max_bytes": full.max_bytes,
            "fill_s": round(filled_s, 1), "drain_s": round(drained_s, 1), "arrived": arrived.count,
            "again": arrived.again, "unordered": arrived.unordered, "alarms": arrived.alarms,
            "alarms_first": arrived.alarms_first, "left": left,
        },
    )  # fmt: skip


def _moves(centre: Centre) -> bool:
    return time.monotonic() - centre.moved_s < IDLE_S
