"""A box without cameras: the real outbox, writer and link, fed by a test.

Promises short waits, so that tests of reconnecting take seconds. Everything between the records put in and the
network is the code that runs in production.
"""

from __future__ import annotations

import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from agent.clock import Clock
from agent.config.schema import Mqtt
from agent.mqtt.client import Link
from agent.mqtt.commands import Order
from agent.mqtt.connection import Timing
from agent.outbox import Outbox, OutboxWriter
from agent.records import Record
from tests.fakes.clock import ManualClock
from tests.fakes.messages import BIRTH, DEVICE

QUICK = Timing(
    connect_s=3, acknowledge_s=2, backoff_s=0.1, backoff_max_s=0.4, healthy_s=5, resend_s=1.0, drain_s=2, listen_s=0.5
)


class Box:
    """One box named pole-17, from ``with`` to its end."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        clock: Clock | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        timing: Timing = QUICK,
        orders: Iterable[Order] = (),
        machine: str = "machine-1",
        max_bytes: int = 64 << 20,
        **settings: Any,
    ) -> None:
        self.boot = str(uuid.uuid4())
        self.clock = clock or ManualClock()
        self.settings = Mqtt(**{"host": "127.0.0.1", "port": port, "plaintext": tls is None, **settings})
        self.outbox = Outbox(
            folder / "outbox.sqlite", boot=self.boot, clock=self.clock, machine=machine, max_bytes=max_bytes
        )
        self.writer = OutboxWriter(self.outbox, commit_s=0.02, done_s=0.05, retry_s=0.1)
        self.link = Link(
            self.settings,
            device=DEVICE,
            boot=self.boot,
            store=self.outbox,
            settler=self.writer,
            clock=self.clock,
            machine=machine,
            password=password,
            tls=tls,
            orders=orders,
            timing=timing,
            jitter=random.Random(7),
        )
        self.writer.on_commit(self.link.wake)
        self.link.publish_birth(BIRTH)

    def __enter__(self) -> Self:
        self.writer.start()
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()
        self.writer.stop()
        self.outbox.close()

    def put(self, *records: Record) -> None:
        """Hand records to the writer, as the application does."""
        self.writer.put(records)

    def await_state(self, reason: str, timeout_s: float = 15) -> str:
        """Wait until the link's sentence contains this.

        Raises:
            TimeoutError: It never did; tells the last one.
        """
        return str(self.await_(lambda: self._reason_with(reason), timeout_s))

    def await_connected(self, timeout_s: float = 15) -> None:
        """Wait until the broker has accepted the box."""
        self.await_(lambda: self.link.state().connected, timeout_s)

    def await_empty(self, timeout_s: float = 20) -> None:
        """Wait until everything was delivered."""
        self.await_(lambda: self.writer.flush(0.1) and self.outbox.depth().records == 0, timeout_s)

    def await_(self, condition: Callable[[], object], timeout_s: float = 15) -> object:
        """Wait until this is true, and return it.

        Raises:
            TimeoutError: It never was; tells how the link and the outbox fare.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            found = condition()
            if found:
                return found
            time.sleep(0.01)
        raise TimeoutError(f"not within {timeout_s} s; {self.link.state()}, {self.outbox.depth()}")

    def _reason_with(self, part: str) -> str:
        reason = self.link.state().reason or ""
        return reason if part in reason else ""
