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
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from agent.clock import Clock
from agent.config.schema import Mqtt
from agent.errors import KentonganError
from agent.mqtt.birth import Birth
from agent.mqtt.coding import MessageError, decode
from agent.mqtt.commands import Commands, NoArgs, Order, Pace, ResendArgs
from agent.mqtt.connection import Connection, Incoming, Timing, Will
from agent.mqtt.credentials import plaintext_warning
from agent.mqtt.health import Health, LinkHealth
from agent.mqtt.messages import Ack
from agent.mqtt.notes import Notes
from agent.mqtt.refusals import Refusals
from agent.mqtt.sender import Sender, Settler, Store
from agent.mqtt.standing import Standing
from agent.mqtt.topics import box_topic, is_reply_topic
from agent.records import Scalar

_log = logging.getLogger(__name__)
_LEAVING_SHARE: Final = 0.9
"""Of the time for stopping, what the thread may use: the rest is for its end."""
_LAST_WORD_S: Final = 1.0
_GRACE_S: Final = 30.0
"""A turn that takes longer is stuck: each of its waits is shorter."""


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
        self._store = store
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
        self._is_application = settings.delivery == "application"
        self._standing = Standing()
        self._acked = 0
        self._refusals = Refusals(self._pause_s)
        self._notes = Notes(device, boot, clock)
        self._sender = Sender(
            settings,
            device=device,
            store=store,
            settler=settler,
            clock=clock,
            machine=machine,
            timing=self._timing,
            notes=self._notes,
            refusals=self._refusals,
            standing=self._standing,
            on_cost=on_cost,
        )
        self._stopping = threading.Event()
        self._leave_by_s = float("inf")
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt-link", daemon=True)
        self._alive_until_s = float("inf")
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
        self._notes.add_birth(birth)
        self.wake()

    def publish_health(self, health: Health) -> None:
        """Say how the box fares, if it is connected; otherwise it is forgotten."""
        if self.state().connected:
            self._notes.add_health(health)
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
        last = self._notes.status("offline")
        connection = Connection(
            self._settings,
            client_id=self._device,
            will=Will(last.topic, last.payload),
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
        self._sender.begin(connection)
        self._notes.begin()
        self._standing.up(self._refusals.complaint)
        _log.info("connected to %s:%d", self._settings.host, self._settings.port)
        self._sender.listen()

    def _serve(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            self._turn(connection)

    def _part(self, connection: Connection) -> None:
        """The last words: what is still to be sent, for a moment, then ``stopped``."""
        now_s = time.monotonic()
        self._sender.finish()
        left_s = max(0.0, self._leave_by_s - now_s)
        word_s = min(_LAST_WORD_S, left_s / 2)
        drained_s = now_s + min(self._timing.drain_s, left_s - word_s)
        while time.monotonic() < drained_s and (self._sender.send_some() or self._sender.in_flight):
            self._receive(connection, 0.05)
        # With a full window the broker would take a further QoS 1 message for a breach of its limit.
        qos = 1 if self._sender.in_flight < connection.window else 0
        mid = self._sender.send_note(self._notes.status("stopped", qos))
        said_s = time.monotonic() + word_s
        while time.monotonic() < said_s and (self._sender.awaits(mid) or connection.wants_to_write):
            self._receive(connection, 0.05)
        connection.close()
        self._set_down("stopped")

    def _turn(self, connection: Connection) -> None:
        self._alive_until_s = time.monotonic() + _GRACE_S
        has_more = self._sender.send_some()
        self._receive(connection, 0 if has_more else self._sender.idle_s())
        self._sender.watch()

    def _receive(self, connection: Connection, timeout_s: float) -> None:
        connection.step(timeout_s, self._wake_out)
        for answer in connection.take_answers():
            self._sender.settle(answer)
        for incoming in connection.take_incoming():
            self._hear(incoming)

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
        self._sender.hear(ack.seq)
        if self._acked:
            self._standing.count(in_flight=self._sender.in_flight, acknowledged=max(0, ack.seq - self._acked))
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
        self._notes.add_reply(topic, reply, incoming.correlation)

    # The link's own commands; they run in its thread

    def _ping(self, _: NoArgs) -> Mapping[str, Scalar]:
        return {"last": self._store.last}

    def _rebirth(self, _: NoArgs) -> Mapping[str, Scalar]:
        return {"sent": self._notes.add_birth_again()}

    def _resend(self, args: ResendArgs) -> Mapping[str, Scalar]:
        if args.last < args.first:
            raise MessageError(f"resend: first {args.first} comes after last {args.last}")
        if not self._sender.resend(args.first, args.last):
            raise MessageError("resend: too many such wishes wait already; ask again later")
        held = self._store.pending(args.first - 1, 1, through=args.last)
        return {"held": bool(held), "first_held": held[0].seq} if held else {"held": False}

    def _set_down(self, reason: str) -> None:
        is_stopping = self._stopping.is_set()
        self._standing.down(reason if is_stopping else self._refusals.reason_of(reason), is_stopping=is_stopping)
