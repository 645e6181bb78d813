"""The link to the broker: sends what the outbox holds, and listens for acks and commands.

Promises that a record is forgotten only when it was delivered, that after any interruption sending goes on where it
stopped, and that whatever the broker does ends in a state with one clear sentence, never in an exception. Runs one
thread; knows nothing of pixels.
"""

from __future__ import annotations

import logging
import random
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from agent.clock import Clock
from agent.config.schema import Mqtt
from agent.errors import KentonganError
from agent.mqtt.commands import Commands, NoArgs, Order, Pace, ResendArgs
from agent.mqtt.connection import Answer, Connection, Incoming, LinkLost, Timing, Will
from agent.mqtt.credentials import plaintext_warning
from agent.mqtt.lanes import Lanes, Outgoing, Rows
from agent.mqtt.messages import Ack, Birth, Health, LinkHealth, LinkStatus, MessageError, Status, decode, encode
from agent.mqtt.refusals import Refusals
from agent.mqtt.rows import Setting, encode_row
from agent.mqtt.standing import Standing
from agent.mqtt.topics import box_topic, is_reply_topic, record_topic
from agent.outbox import Row
from agent.records import Scalar

_log = logging.getLogger(__name__)
_MAX_NOTES: Final = 64
_RESEND_MAX_S: Final = 600.0
_TURN_ROWS: Final = 64
_PACKET_ROOM_BYTES: Final = 512
_FLUSH_S: Final = 2.0
_LEAVING_SHARE: Final = 0.9
"""Of the time for stopping, what the thread may use: the rest is for its end."""
_LAST_WORD_S: Final = 1.0
_GRACE_S: Final = 30.0
"""A turn that takes longer is stuck: each of its waits is shorter."""


class Store(Rows, Protocol):
    """What the link reads: an :class:`agent.outbox.Outbox`."""

    def row(self, seq: int) -> Row | None:
        """One row."""
        ...


class Settler(Protocol):
    """Whom the link tells what was delivered: an :class:`agent.outbox.OutboxWriter`."""

    def done(self, seq: int) -> None:
        """One record was delivered."""
        ...

    def done_through(self, seq: int) -> None:
        """Every record up to this one was delivered."""
        ...

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was told is durable."""
        ...


@dataclass(frozen=True, slots=True)
class _Note:
    """A message that isn't a record: kept in memory only, sent while connected."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None


@dataclass(slots=True)
class _Flight:
    """What is on its way on this connection: by packet number, the row (0 for a note) and when it left."""

    sent: dict[int, tuple[int, float]] = field(default_factory=dict)

    def oldest_s(self) -> float | None:
        return next(iter(self.sent.values()))[1] if self.sent else None


class Link:
    """The box's side of the connection.

    Args:
        settings: The configuration's ``mqtt``.
        device: The box's name.
        boot: This start of the agent, a UUID.
        store: The outbox, for reading.
        settler: Its writer, for telling what was delivered. Register :meth:`wake` with its ``on_commit``.
        clock: For times on the wire.
        machine: This start of the machine, within which monotonic times can be compared.
        password: For the user in ``settings``.
        tls: From :func:`agent.mqtt.credentials.tls_context`; ``None`` sends in the clear.
        orders: Commands the application adds to ``ping``, ``birth`` and ``resend``.
        timing: How long to wait for what.
        pace: How many commands may come.
        jitter: Spreads reconnecting boxes over time.
        on_cost: Told the wall and CPU seconds that encoding and publishing each row took, in the link's thread.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        device: str,
        boot: str,
        store: Store,
        settler: Settler,
        clock: Clock,
        machine: str = "",
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        orders: Iterable[Order] = (),
        timing: Timing | None = None,
        pace: Pace | None = None,
        jitter: random.Random | None = None,
        on_cost: Callable[[float, float], None] | None = None,
    ) -> None:
        self._settings = settings
        self._device = device
        self._boot = boot
        self._store = store
        self._settler = settler
        self._clock = clock
        self._machine = machine
        self._password = password
        self._tls = tls
        self._timing = timing or Timing()
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, keeps no secret
        own = (
            Order("ping", NoArgs, self._ping),
            Order("birth", NoArgs, self._rebirth),
            Order("resend", ResendArgs, self._resend),
        )
        self._commands = Commands((*own, *orders), device=device, boot=boot, clock=clock, pace=pace)
        self._on_cost = on_cost
        self._is_application = settings.delivery == "application"
        self._mutex = threading.Lock()
        self._standing = Standing()
        self._birth: bytes | None = None
        self._acked = 0
        self._refusals = Refusals(self._pause_s)
        self._drop_oldest_notes: deque[_Note] = deque(maxlen=_MAX_NOTES)
        self._stopping = threading.Event()
        self._leave_by_s = float("inf")
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt-link", daemon=True)
        self._alive_until_s = float("inf")
        self._begin_connection_state()
        warning = plaintext_warning(settings)
        if warning is not None:
            _log.warning("%s", warning)

    # For the application

    def start(self) -> None:
        """Begin to connect and to send."""
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> bool:
        """Send what is there for a moment, publish ``stopped``, say goodbye; False when it took too long.

        However much is still to be sent, ``stopped`` goes out within the time given, if the broker takes it at all.
        """
        self._leave_by_s = time.monotonic() + timeout_s * _LEAVING_SHARE
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        is_over = not self._thread.is_alive()
        if is_over:
            self._wake_in.close()
            self._wake_out.close()
        return is_over

    def wake(self) -> None:
        """Something new is in the outbox. Any thread may call this; it never waits."""
        try:
            self._wake_in.send(b"!")
        except (BlockingIOError, OSError):
            return  # it is awake already, or gone

    def is_alive(self) -> bool:
        """Whether the thread makes its turns, for the watchdog; a broker that is away is no reason to be dead."""
        return self._thread.is_alive() and time.monotonic() < self._alive_until_s

    def state(self) -> LinkHealth:
        """How the connection fares; ``reason`` is one sentence when something is wrong."""
        return self._standing.now()

    def publish_birth(self, birth: Birth) -> None:
        """Say who this box is: now, and whenever it connects again."""
        payload = _fitting(birth)
        with self._mutex:
            self._birth = payload
            self._drop_oldest_notes.append(self._birth_note(payload))
        self.wake()

    def publish_health(self, health: Health) -> None:
        """Say how the box fares, if it is connected; otherwise it is forgotten."""
        if self.state().connected:
            with self._mutex:
                self._drop_oldest_notes.append(_Note(box_topic(self._device, "health"), encode(health), qos=0))
        self.wake()

    # The thread

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self._alive_until_s = began_s + 4 * self._timing.connect_s + _GRACE_S
            try:
                self._live()
            except KentonganError as error:
                self._set_down(str(error))
            except Exception:  # noqa: BLE001 - the link is the box's only voice: a bug in it must not silence it for ever
                _log.exception("the link failed")
                self._set_down("the link failed inside the agent and starts again; the agent's log says more")
            if time.monotonic() - began_s > self._timing.healthy_s:
                attempt = 0
            pause_s = self._pause_s(attempt)
            self._alive_until_s = time.monotonic() + pause_s + _GRACE_S
            self._stopping.wait(pause_s)
            attempt += 1

    def _pause_s(self, attempt: int) -> float:
        """Exponential back-off with equal jitter."""
        longest_s = min(self._timing.backoff_max_s, self._timing.backoff_s * 2.0 ** min(attempt, 16))
        return longest_s * (0.5 + self._jitter.random() / 2)

    def _live(self) -> None:
        """One connection from beginning to end."""
        connection = Connection(
            self._settings,
            client_id=self._device,
            will=Will(box_topic(self._device, "status"), self._status("offline")),
            tls=self._tls,
            password=self._password,
            timing=self._timing,
        )
        try:
            connection.open()
            self._greet(connection)
            self._serve(connection)
            self._part(connection)
        finally:
            connection.drop()

    def _greet(self, connection: Connection) -> None:
        connection.subscribe([box_topic(self._device, "ack"), box_topic(self._device, "command")])
        self._settler.flush(_FLUSH_S)  # or what was just delivered would be sent again
        self._begin_connection_state()
        with self._mutex:
            self._drop_oldest_notes.clear()
            self._drop_oldest_notes.append(
                _Note(box_topic(self._device, "status"), self._status("online"), retain=True)
            )
            if self._birth is not None:
                self._drop_oldest_notes.append(self._birth_note(self._birth))
        self._standing.up(self._refusals.complaint)
        _log.info("connected to %s:%d", self._settings.host, self._settings.port)
        if self._is_application and self._store.pending(0, 1):
            # A receiver answers "online" with what it has; without waiting for that, much would be sent twice.
            self._listen_until_s = time.monotonic() + self._timing.listen_s
        else:
            self._rewind(connection)

    def _begin_connection_state(self) -> None:
        self._flight = _Flight()
        self._lanes: Lanes | None = None  # none while it listens
        self._listen_until_s = 0.0
        self._refusals.begin()
        self._patience_s = self._timing.resend_s
        self._answered_s = time.monotonic()

    def _rewind(self, connection: Connection) -> None:
        self._lanes = Lanes(
            self._store,
            window=connection.window,
            backfill_per_s=self._settings.backfill_per_s,
            unanswered=self._settings.in_flight if self._is_application else None,
            now_s=time.monotonic(),
        )

    def _serve(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            self._turn(connection)

    def _part(self, connection: Connection) -> None:
        """The last words: what is still to be sent, for a moment, then ``stopped``."""
        now_s = time.monotonic()
        if self._lanes is None:
            self._rewind(connection)
        left_s = max(0.0, self._leave_by_s - now_s)
        word_s = min(_LAST_WORD_S, left_s / 2)
        drained_s = now_s + min(self._timing.drain_s, left_s - word_s)
        while time.monotonic() < drained_s and (self._send_some(connection) or self._flight.sent):
            self._receive(connection, 0.05)
        # With a full window the broker would take a further QoS 1 message for a breach of its limit.
        qos = 1 if len(self._flight.sent) < connection.window else 0
        note = _Note(box_topic(self._device, "status"), self._status("stopped"), qos=qos, retain=True)
        mid = self._send_note(connection, note)
        said_s = time.monotonic() + word_s
        while time.monotonic() < said_s and (mid in self._flight.sent or connection.wants_to_write):
            self._receive(connection, 0.05)
        connection.close()
        self._set_down("stopped")

    def _turn(self, connection: Connection) -> None:
        self._alive_until_s = time.monotonic() + _GRACE_S
        if self._lanes is None and time.monotonic() >= self._listen_until_s:
            self._start_again(connection)
        has_more = self._send_some(connection)
        self._receive(connection, 0 if has_more else self._idle_s())
        self._watch(connection)

    def _receive(self, connection: Connection, timeout_s: float) -> None:
        connection.step(timeout_s, self._wake_out)
        for answer in connection.take_answers():
            self._settle(answer)
        for incoming in connection.take_incoming():
            self._hear(incoming)

    def _idle_s(self) -> float:
        """How long nothing needs to be done unless something arrives or is committed."""
        now_s = time.monotonic()
        if self._lanes is None:
            return min(0.5, max(0.0, self._listen_until_s - now_s))
        due_s = None if self._refusals.is_held_back(now_s) else self._lanes.due_s(now_s)
        return min(0.5, due_s if due_s is not None else 0.5)

    # Sending

    def _send_some(self, connection: Connection) -> bool:
        """Send while the window allows; True when more could go at once."""
        for _ in range(_TURN_ROWS):
            if len(self._flight.sent) >= connection.window:
                return False
            with self._mutex:
                note = self._drop_oldest_notes.popleft() if self._drop_oldest_notes else None
            if note is not None:
                self._send_note(connection, note)
            elif not self._send_row(connection):
                return False
        return True

    def _send_note(self, connection: Connection, note: _Note) -> int:
        mid = connection.publish(
            note.topic, note.payload, qos=note.qos, retain=note.retain, correlation=note.correlation
        )
        if note.qos:
            self._flight.sent[mid] = (0, time.monotonic())
        return mid

    def _send_row(self, connection: Connection) -> bool:
        now_s = time.monotonic()
        if self._lanes is None or self._refusals.is_held_back(now_s):
            return False
        outgoing = self._lanes.next(now_s)
        if outgoing is None:
            return False
        row = outgoing.row
        if self._refusals.must_wait(row.seq, now_s):
            return True
        with self._charged():
            self._publish_row(connection, outgoing, now_s)
        return True

    def _publish_row(self, connection: Connection, outgoing: Outgoing, now_s: float) -> None:
        row = outgoing.row
        payload = encode_row(row, self._device, Setting(self._clock.now(), self._machine), backfill=outgoing.backfill)
        limit = connection.max_packet_bytes
        if limit is not None and len(payload) + _PACKET_ROOM_BYTES > limit:
            self._refusals.too_large()
            self._complain(f"takes packets of {limit} bytes only; raise its limit to 64 kB")
            return
        mid = connection.publish(record_topic(self._device, row.camera, row.kind), payload)
        self._flight.sent[mid] = (row.seq, now_s)
        self._count(sent=1)

    @contextmanager
    def _charged(self) -> Iterator[None]:
        if self._on_cost is None:
            yield
            return
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        self._on_cost(time.perf_counter() - wall, time.thread_time() - cpu)

    def _settle(self, answer: Answer) -> None:
        """The broker has answered for a message."""
        seq, _ = self._flight.sent.pop(answer.mid, (0, 0.0))
        if answer.refusal is not None:
            self._refuse(seq, f"refuses a message ({answer.refusal}); check its access list for this box")
            return
        if seq == 0:
            return
        self._count(acknowledged=int(not self._is_application))
        if not self._is_application:
            self._settler.done(seq)
        if self._refusals.accepted():
            self._standing.tell(None)

    def _refuse(self, seq: int, why: str) -> None:
        """Keep the record, say so, and try it again later, ever more rarely; other records go on."""
        self._complain(why)
        self._refusals.refused(seq, time.monotonic())

    def _complain(self, why: str) -> None:
        sentence = f"{self._settings.host}:{self._settings.port}: {why}; records are kept and tried again"
        if self._refusals.complain(sentence):
            _log.error("%s", sentence)
        self._standing.tell(sentence)
        self._count(refused=1)

    def _watch(self, connection: Connection) -> None:
        """Notice what does not happen: acknowledgements by the broker and by the receiver."""
        now_s = time.monotonic()
        oldest_s = self._flight.oldest_s()
        if oldest_s is not None and now_s - oldest_s > self._timing.acknowledge_s:
            raise LinkLost(
                f"{self._settings.host}:{self._settings.port}: has not acknowledged anything for "
                f"{self._timing.acknowledge_s:g} s; connecting anew"
            )
        if self._flight.sent:
            return
        self._try_deferred(now_s)
        if self._is_application:
            self._watch_receiver(connection, now_s)

    def _try_deferred(self, now_s: float) -> None:
        for seq in self._refusals.due(now_s):
            if self._lanes is None or not self._lanes.resend(seq, seq):
                break
            self._refusals.tried(seq)

    def _watch_receiver(self, connection: Connection, now_s: float) -> None:
        """Send again what no receiver has acknowledged, ever more rarely while none answers."""
        if not self._store.pending(0, 1):
            self._answered_s = now_s
        if now_s - self._answered_s > self._patience_s:
            self._answered_s = now_s
            self._patience_s = min(_RESEND_MAX_S, self._patience_s * 2)
            self._start_again(connection)

    def _start_again(self, connection: Connection) -> None:
        self._settler.flush(_FLUSH_S)
        self._rewind(connection)

    # Hearing

    def _hear(self, incoming: Incoming) -> None:
        if incoming.topic == box_topic(self._device, "ack"):
            self._hear_ack(incoming.payload)
        elif incoming.topic == box_topic(self._device, "command"):
            self._hear_command(incoming)

    def _hear_ack(self, payload: bytes) -> None:
        try:
            ack = decode(Ack, payload, "ack")
            self._check_ack(ack)
        except MessageError as error:
            _log.warning("refused an ack: %s", error)
            return
        if not self._is_application:
            return
        self._answered_s = time.monotonic()
        self._patience_s = self._timing.resend_s
        if self._lanes is not None:
            self._lanes.answered()
        self._settler.done_through(ack.seq)
        self._listen_until_s = 0.0
        if self._acked:
            self._count(acknowledged=max(0, ack.seq - self._acked))
        self._acked = max(self._acked, ack.seq)

    def _check_ack(self, ack: Ack) -> None:
        """An ack that can't be true must not delete anything.

        Raises:
            MessageError: It is about records that were never made, or about another box's.
        """
        if ack.seq > self._store.last:
            raise MessageError(f"seq {ack.seq} was never sent; the last record is {self._store.last}")
        row = self._store.row(ack.seq) if ack.id is not None else None
        if row is not None and row.id != ack.id:
            raise MessageError(f"seq {ack.seq} has another id here; the receiver knows an earlier life of this box")

    def _hear_command(self, incoming: Incoming) -> None:
        reply = self._commands.answer(incoming.payload, incoming.correlation, retained=incoming.retained)
        if reply is None:
            return
        topic = box_topic(self._device, "reply")
        if incoming.response_topic is not None and is_reply_topic(self._device, incoming.response_topic):
            topic = incoming.response_topic
        with self._mutex:
            self._drop_oldest_notes.append(_Note(topic, encode(reply), correlation=incoming.correlation))

    # The link's own commands; they run in its thread

    def _ping(self, _: NoArgs) -> Mapping[str, Scalar]:
        return {"last": self._store.last}

    def _rebirth(self, _: NoArgs) -> Mapping[str, Scalar]:
        with self._mutex:
            if self._birth is not None:
                self._drop_oldest_notes.append(self._birth_note(self._birth))
        return {"sent": self._birth is not None}

    def _resend(self, args: ResendArgs) -> Mapping[str, Scalar]:
        if args.last < args.first:
            raise MessageError(f"resend: first {args.first} comes after last {args.last}")
        # While it listens there are no lanes yet: everything it holds is about to be sent anyway.
        if self._lanes is not None and not self._lanes.resend(args.first, args.last):
            raise MessageError("resend: too many such wishes wait already; ask again later")
        held = self._store.pending(args.first - 1, 1, through=args.last)
        return {"held": bool(held), "first_held": held[0].seq} if held else {"held": False}

    # State

    def _birth_note(self, payload: bytes) -> _Note:
        return _Note(box_topic(self._device, "birth"), payload, retain=True)

    def _status(self, state: LinkStatus) -> bytes:
        time_s = None if state == "offline" else self._clock.now().utc_s  # nobody knows when a will is spoken
        return encode(Status(device=self._device, boot=self._boot, state=state, time=time_s))

    def _set_down(self, reason: str) -> None:
        is_stopping = self._stopping.is_set()
        self._standing.down(reason if is_stopping else self._refusals.reason_of(reason), is_stopping=is_stopping)

    def _count(self, *, sent: int = 0, acknowledged: int = 0, refused: int = 0) -> None:
        self._standing.count(in_flight=len(self._flight.sent), sent=sent, acknowledged=acknowledged, refused=refused)


def _fitting(birth: Birth) -> bytes:
    """The birth, without lines and zones where it would be too large with them."""
    try:
        return encode(birth)
    except MessageError:
        cameras = tuple(replace(camera, lines=(), zones=()) for camera in birth.cameras)
        return encode(replace(birth, cameras=cameras, abridged=True))
