"""Sends over one connection after another: notes at once, records in the order of their lanes, and watches for answers.

Promises that a record is settled only when the broker, or the receiver where its word counts, has it; that what is
refused is kept and tried again; and that silence ends the connection or sends again. Runs in the link's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from agent.clock import Clock
from agent.config.schema import Mqtt
from agent.mqtt.connection import Answer, Connection, LinkLost, Timing
from agent.mqtt.lanes import Lanes, Outgoing, Rows
from agent.mqtt.notes import Note, Notes
from agent.mqtt.refusals import Refusals
from agent.mqtt.rows import Setting, encode_row
from agent.mqtt.standing import Standing
from agent.mqtt.topics import record_topic
from agent.outbox import Row

_log = logging.getLogger(__name__)
_RESEND_MAX_S: Final = 600.0
_TURN_ROWS: Final = 64
_PACKET_ROOM_BYTES: Final = 512
FLUSH_S: Final = 2.0
"""For what was just delivered to become durable, so that it isn't sent again."""


class Store(Rows, Protocol):
    """What is read: an :class:`agent.outbox.Outbox`."""

    def row(self, seq: int) -> Row | None:
        """One row."""
        ...


class Settler(Protocol):
    """Who is told what was delivered: an :class:`agent.outbox.OutboxWriter`."""

    def done(self, seq: int) -> None:
        """One record was delivered."""
        ...

    def done_through(self, seq: int) -> None:
        """Every record up to this one was delivered."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was told is durable."""
        ...


class Sender:
    """The link's sending half.

    Args:
        settings: The configuration's ``mqtt``.
        device: The box's name.
        store: The outbox, for reading.
        settler: Its writer.
        clock: For times on the wire.
        machine: This start of the machine.
        timing: How long to wait for what.
        notes: What is sent beside records.
        refusals: What brokers refused.
        standing: Where it is told how sending fares.
        on_cost: Told the wall and CPU seconds that encoding and publishing each row took.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        device: str,
        store: Store,
        settler: Settler,
        clock: Clock,
        machine: str,
        timing: Timing,
        notes: Notes,
        refusals: Refusals,
        standing: Standing,
        on_cost: Callable[[float, float], None] | None,
    ) -> None:
        self._settings = settings
        self._device = device
        self._store = store
        self._settler = settler
        self._clock = clock
        self._machine = machine
        self._timing = timing
        self._notes = notes
        self._refusals = refusals
        self._standing = standing
        self._on_cost = on_cost
        self._is_application = settings.delivery == "application"
        self._connection: Connection
        self._lanes: Lanes | None = None  # none while it listens
        self._listen_until_s = 0.0
        self._listen_for = 0
        self._sent: dict[int, tuple[int, float]] = {}  # by packet number: the row, 0 for a note, and when it left

    @property
    def in_flight(self) -> int:
        """Messages on their way that the broker has not answered for."""
        return len(self._sent)

    # One connection

    def begin(self, connection: Connection) -> None:
        """A new connection: nothing is on its way, and nothing was refused yet."""
        self._settler.flush(FLUSH_S)
        self._connection = connection
        self._sent = {}
        self._lanes = None
        self._listen_until_s = 0.0
        self._refusals.begin()
        self._patience_s = self._timing.resend_s
        self._answered_s = time.monotonic()

    def listen(self) -> None:
        """Before anything is sent twice: a receiver answers ``online`` with what it has."""
        if self._is_application and self._store.pending(0, 1):
            self._listen_for = self._store.last  # a busy receiver acknowledges what came earlier before it is through
            self._listen_until_s = time.monotonic() + self._timing.listen_s
        else:
            self._rewind()

    def idle_s(self) -> float:
        """How long nothing needs to be done unless something arrives or is committed."""
        now_s = time.monotonic()
        if self._lanes is None:
            return min(0.5, max(0.0, self._listen_until_s - now_s))
        due_s = None if self._refusals.is_held_back(now_s) else self._lanes.due_s(now_s)
        return min(0.5, due_s if due_s is not None else 0.5)

    def finish(self) -> None:
        """The end is near: there is no time left to listen."""
        if self._lanes is None:
            self._rewind()

    def send_some(self) -> bool:
        """Send while the window allows; True when more could go at once."""
        if self._lanes is None and time.monotonic() >= self._listen_until_s:
            self._start_again()
        for _ in range(_TURN_ROWS):
            if self.in_flight >= self._connection.window:
                return False
            note = self._notes.take()
            if note is not None:
                self.send_note(note)
            elif not self._send_row():
                return False
        return True

    def send_note(self, note: Note) -> int:
        """Send one; the number of its packet."""
        mid = self._connection.publish(
            note.topic, note.payload, qos=note.qos, retain=note.retain, correlation=note.correlation
        )
        if note.qos:
            self._sent[mid] = (0, time.monotonic())
        return mid

    def awaits(self, mid: int) -> bool:
        """Whether this packet is still on its way."""
        return mid in self._sent

    # Records

    def _rewind(self) -> None:
        self._lanes = Lanes(
            self._store,
            window=self._connection.window,
            backfill_per_s=self._settings.backfill_per_s,
            unanswered=self._settings.in_flight if self._is_application else None,
            now_s=time.monotonic(),
        )

    def _start_again(self) -> None:
        self._settler.flush(FLUSH_S)
        self._rewind()

    def _send_row(self) -> bool:
        now_s = time.monotonic()
        if self._lanes is None or self._refusals.is_held_back(now_s):
            return False
        outgoing = self._lanes.next(now_s)
        if outgoing is None:
            return False
        if self._refusals.must_wait(outgoing.row.seq, now_s):
            return True
        with self._charged():
            self._publish_row(outgoing, now_s)
        return True

    def _publish_row(self, outgoing: Outgoing, now_s: float) -> None:
        row = outgoing.row
        payload = encode_row(row, self._device, Setting(self._clock.now(), self._machine), backfill=outgoing.backfill)
        limit = self._connection.max_packet_bytes
        if limit is not None and len(payload) + _PACKET_ROOM_BYTES > limit:
            self._refusals.too_large()
            self._complain(f"takes packets of {limit} bytes only; raise its limit to 64 kB")
            return
        mid = self._connection.publish(record_topic(self._device, row.camera, row.kind), payload)
        self._sent[mid] = (row.seq, now_s)
        self._standing.count(in_flight=self.in_flight, sent=1)

    @contextmanager
    def _charged(self) -> Iterator[None]:
        if self._on_cost is None:
            yield
            return
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        self._on_cost(time.perf_counter() - wall, time.thread_time() - cpu)

    # Answers

    def settle(self, answer: Answer) -> None:
        """The broker has answered for a message."""
        seq, _ = self._sent.pop(answer.mid, (0, 0.0))
        if answer.refusal is not None:
            self._refuse(seq, f"refuses a message ({answer.refusal}); check its access list for this box")
            return
        if seq == 0:
            return
        self._standing.count(in_flight=self.in_flight, acknowledged=int(not self._is_application))
        if not self._is_application:
            self._settler.done(seq)
        if self._refusals.accepted():
            self._standing.tell(None)

    def hear(self, seq: int) -> None:
        """The receiver has every record up to this one."""
        self._answered_s = time.monotonic()
        self._patience_s = self._timing.resend_s
        self._settler.done_through(seq)
        if self._lanes is not None:
            self._lanes.answered()
        elif seq >= self._listen_for:
            self._listen_until_s = 0.0

    def resend(self, first: int, last: int) -> bool:
        """Send these again; False when too many such wishes wait already."""
        # While it listens there are no lanes yet: everything it holds is about to be sent anyway.
        return self._lanes is None or self._lanes.resend(first, last)

    def _refuse(self, seq: int, why: str) -> None:
        """Keep the record, say so, and try it again later, ever more rarely; other records go on."""
        self._complain(why)
        self._refusals.refused(seq, time.monotonic())

    def _complain(self, why: str) -> None:
        sentence = f"{self._settings.host}:{self._settings.port}: {why}; records are kept and tried again"
        if self._refusals.complain(sentence):
            _log.error("%s", sentence)
        self._standing.tell(sentence)
        self._standing.count(in_flight=self.in_flight, refused=1)

    # What does not happen

    def watch(self) -> None:
        """Notice missing acknowledgements by the broker and by the receiver.

        Raises:
            LinkLost: The broker has not answered for too long.
        """
        now_s = time.monotonic()
        if self._sent:
            oldest_s = next(iter(self._sent.values()))[1]
            if now_s - oldest_s > self._timing.acknowledge_s:
                raise LinkLost(
                    f"{self._settings.host}:{self._settings.port}: has not acknowledged anything for "
                    f"{self._timing.acknowledge_s:g} s; connecting anew"
                )
            return
        self._try_deferred(now_s)
        if self._is_application:
            self._watch_receiver(now_s)

    def _try_deferred(self, now_s: float) -> None:
        for seq in self._refusals.due(now_s):
            if self._lanes is None or not self._lanes.resend(seq, seq):
                break
            self._refusals.tried(seq)

    def _watch_receiver(self, now_s: float) -> None:
        """Send again what no receiver has acknowledged, ever more rarely while none answers."""
        if not self._store.pending(0, 1):
            self._answered_s = now_s
        if now_s - self._answered_s > self._patience_s:
            self._answered_s = now_s
            self._patience_s = min(_RESEND_MAX_S, self._patience_s * 2)
            self._start_again()
