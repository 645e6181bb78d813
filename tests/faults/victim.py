"""An agent without cameras that counts until it is killed: what the campaigns run in processes of their own.

Promises that record ``n`` carries ``cumulative == n``, that the counter is committed with the records, and that a
number is only reported as durable after the disk has it.
"""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from agent.clock import SystemClock
from agent.config.schema import Mqtt
from agent.mqtt.client import Link
from agent.mqtt.connection import Timing
from agent.outbox import Outbox, OutboxWriter
from agent.records import CountBody, Record
from tests.fakes.records import count_record

COMMIT_S = 0.01
TIMING = Timing(connect_s=3, acknowledge_s=5, backoff_s=0.05, backoff_max_s=0.5, healthy_s=2, drain_s=5)


@dataclass(frozen=True, slots=True)
class Orders:
    """What a victim is told.

    Attributes:
        folder: Its outbox lives there, through all its lives.
        device: Its name.
        port: Of the broker, or of a proxy before it.
        delivery: When a record is done.
        per_s: Records a second; 0 only delivers what is left, and ends by itself when nothing is.
        resend_s: How long it waits for a receiver's word before it sends again.
    """

    folder: Path
    device: str
    port: int
    delivery: str
    per_s: float
    resend_s: float = 2.0


def live(orders: Orders, durable: Connection) -> None:
    """Count and send, until killed; send the highest durable number through the pipe as it grows."""
    logging.getLogger("agent").setLevel(logging.CRITICAL)  # whoever kills it knows what it would say
    boot = str(uuid.uuid4())
    clock = SystemClock()
    outbox = Outbox(orders.folder / "outbox.sqlite", boot=boot, clock=clock)
    writer = OutboxWriter(outbox, commit_s=COMMIT_S, done_s=COMMIT_S, retry_s=0.1)
    settings = Mqtt(host="127.0.0.1", port=orders.port, plaintext=True, delivery=orders.delivery, backfill_per_s=5_000)
    link = Link(
        settings,
        device=orders.device,
        boot=boot,
        store=outbox,
        settler=writer,
        clock=clock,
        timing=replace(TIMING, resend_s=orders.resend_s),
        jitter=random.Random(boot),
    )
    writer.on_commit(link.wake)
    writer.start()
    link.start()
    if orders.per_s:
        _count(orders, outbox, writer, durable)
    deadline_s = time.monotonic() + 120
    while outbox.depth().records and time.monotonic() < deadline_s:
        time.sleep(0.05)
    link.stop()
    writer.stop()
    durable.send(outbox.last)
    outbox.close()


def _count(orders: Orders, outbox: Outbox, writer: OutboxWriter, durable: Connection) -> None:
    counter = json.loads(outbox.load_state().get("counter", "0"))
    began_s, made = time.monotonic(), 0
    reported_s = began_s
    while True:
        due = int((time.monotonic() - began_s) * orders.per_s) - made
        if due > 0:
            records = [numbered(counter + n) for n in range(1, due + 1)]
            counter += due
            made += due
            writer.put(records, {"counter": json.dumps(counter)})
        if time.monotonic() - reported_s > 0.1 and writer.flush(1):
            durable.send(counter)
            reported_s = time.monotonic()
        time.sleep(0.002)


def numbered(number: int) -> Record:
    """Record ``number`` of this device, which says so."""
    record = count_record(number)
    assert isinstance(record.body, CountBody)
    return replace(record, body=replace(record.body, cumulative=number))
