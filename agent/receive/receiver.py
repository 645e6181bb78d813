"""The receiver: subscribes, checks, stores, acknowledges, and asks for what is missing.

Promises that the broker is told a message was taken only after it is on disk, and that a box is told to forget only
what the shared store holds. Run several with one ``group`` and one store to share the load.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.errors import BrokerError, OutboxError
from agent.mqtt.coding import MessageError, decode, decode_record, encode, parse_json
from agent.mqtt.messages import Ack, Command, Envelope, Reply, Status
from agent.mqtt.topics import DURABLE, ROOT, Address, box_topic, parse
from agent.receive.alone import HearingAlone, topics_of
from agent.receive.store import Arrival, Hole, Mark, Store
from agent.records import GapBody, utc_seconds

_log = logging.getLogger(__name__)
_BATCH: Final = 500
_SESSION_S: Final = 86_400  # the broker keeps for a day what comes while the receiver is away
_ENVELOPE: Final = tuple(Envelope.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class ReceiveSettings:
    """How to reach the broker, and how patient to be.

    Attributes:
        host: The broker.
        port: Its port.
        name: This receiver's own name: its MQTT client id, and in acks.
        group: Receivers of one group share the messages (MQTT 5 shared subscription); empty for one alone.
        user: For the broker.
        password: The same.
        tls: How to verify it; ``None`` goes in the clear.
        in_flight: Messages the broker may send before the first is stored.
        hole_s: How long a number may be missing before the box is asked.
        ask_again_s: How long before it is asked again.
        turn_s: The longest a message waits to be stored with others.
    """

    host: str
    port: int = 8883
    name: str = "receiver"
    group: str = ""
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    in_flight: int = 1000
    hole_s: float = 5.0
    ask_again_s: float = 15.0
    turn_s: float = 0.1


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message that waits to be stored, and the connection it came over."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    connection: int


class Receiver:
    """One receiver.

    Args:
        settings: The broker and the patience.
        store: Where records go; several receivers may have the same.
        now: UTC seconds.
    """

    def __init__(self, settings: ReceiveSettings, store: Store, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._store = store
        self._now = now
        self._changed = threading.Condition()
        self._waiting: deque[_Taken] = deque()  # no longer than in_flight: the broker waits for our PUBACKs
        self._connection = 0
        self._is_connected = False
        self._reason: str | None = "not connected yet"
        self._stopping = False
        self._told: dict[str, tuple[int, str | None]] = {}
        self._client = self._build()
        self._alone = HearingAlone(self._client, 4 * settings.ask_again_s)
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    @property
    def reason(self) -> str | None:
        """One sentence when it doesn't work; ``None`` when it does."""
        return self._reason

    def start(self) -> None:
        """Begin to connect and to receive; it reconnects by itself."""
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = _SESSION_S
        session.ReceiveMaximum = self._settings.in_flight
        self._client.connect_async(self._settings.host, self._settings.port, 30, clean_start=False, properties=session)
        self._client.loop_start()
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Store what has come, and leave; the broker keeps the session."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._client.disconnect()
        self._client.loop_stop()

    def await_connected(self, timeout_s: float) -> None:
        """Wait until the broker has accepted the subscription.

        Raises:
            BrokerError: It didn't in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_connected, timeout_s):
                raise BrokerError(f"{self._settings.host}:{self._settings.port}: {self._reason}; check the address")

    # The thread that stores

    def _run(self) -> None:
        last_look_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._stopping, self._settings.turn_s)
                batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
                is_over = self._stopping and not batch
            if is_over:
                return
            try:
                if batch:
                    self._take(batch)
                if time.monotonic() - last_look_s > min(1.0, self._settings.hole_s):
                    last_look_s = time.monotonic()
                    self._look_for_holes()
                self._reason = None if self._is_connected else self._reason
            except OutboxError as error:
                self._fail(error)

    def _fail(self, error: OutboxError) -> None:
        if self._reason != str(error):
            _log.error("%s; messages wait at the broker", error)
        self._reason = str(error)
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, 1.0)
            if self._stopping:
                self._waiting.clear()  # never acknowledged, so the broker still has them

    def _take(self, batch: list[_Taken]) -> None:
        """Store a batch, then tell the broker, then tell the boxes."""
        arrivals: list[Arrival] = []
        words: list[_Taken] = []
        for taken in batch:
            with self._keeping_aside(taken):
                address = parse(taken.topic)
                if address.leaf in DURABLE:
                    arrivals.append(arrival_of(address, taken.payload))
                else:
                    words.append(taken)
        marks = self._store.store(arrivals, self._now()) if arrivals else []
        for taken in words:  # after the records that came before them, so that the box hears of those too
            with self._keeping_aside(taken):
                self._heed(parse(taken.topic), taken.payload)
        with self._changed:
            for _ in batch:
                self._waiting.popleft()
            current = self._connection
        for taken in batch:
            if taken.connection == current:
                self._client.ack(taken.mid, taken.qos)
        for mark in marks:
            self._tell(mark)

    @contextmanager
    def _keeping_aside(self, taken: _Taken) -> Iterator[None]:
        """What breaks the contract is kept with its fault, and acknowledged: it would never get better."""
        try:
            yield
        except (MessageError, ValueError) as error:
            _log.warning("refused a message on %s: %s", taken.topic[:200], error)
            self._store.refuse(taken.topic, taken.payload, str(error), self._now())

    def _heed(self, address: Address, payload: bytes) -> None:
        if address.leaf == "status":
            self._note_status(address.device, payload)
        elif address.leaf == "reply":
            self._note_reply(address.device, payload)

    def _note_status(self, device: str, payload: bytes) -> None:
        """A box that comes online is told what is here, so that it need not send that again."""
        status = decode(Status, payload, "status")
        self._store.set_online(device, online=status.state == "online")
        self._told.pop(device, None)
        for mark in self._store.marks():
            if mark.device == device and status.state == "online":
                self._tell(mark)

    def _note_reply(self, device: str, payload: bytes) -> None:
        """A box's answer to our wish to resend: what it doesn't hold any more will never come."""
        reply = decode(Reply, payload, "reply")
        if not reply.ok or reply.command != "resend" or reply.id is None or reply.id.count("-") != 1:
            return
        first, last = (int(part) for part in reply.id.split("-"))
        held = reply.result.get("first_held")
        gone_to = int(held) - 1 if reply.result.get("held") and isinstance(held, int) else last
        if first <= gone_to:
            _log.warning("%s: records %d to %d are lost", device, first, gone_to)
            self._tell(self._store.give_up(Hole(device, first, gone_to), self._now()))

    def _look_for_holes(self) -> None:
        if not self._is_connected:
            return
        holes = self._store.claim_holes(self._now(), older_s=self._settings.hole_s, again_s=self._settings.ask_again_s)
        if self._settings.group:
            self._alone.hear({hole.device for hole in holes})
        for hole in holes:
            _log.info("%s: asking for records %d to %d", hole.device, hole.first, hole.last)
            command = Command(
                command="resend", id=f"{hole.first}-{hole.last}", args={"first": hole.first, "last": hole.last}
            )
            self._client.publish(box_topic(hole.device, "command"), encode(command), 1)

    def _tell(self, mark: Mark) -> None:
        """Tell a box up to where it may forget, unless it was told."""
        if mark.seq == 0 or self._told.get(mark.device) == (mark.seq, mark.id):
            return
        self._told[mark.device] = (mark.seq, mark.id)
        ack = Ack(seq=mark.seq, id=mark.id, receiver=self._settings.name)
        self._client.publish(box_topic(mark.device, "ack"), encode(ack), 1)

    # What paho's thread calls

    def _build(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self._settings.name, protocol=paho.MQTTv5, manual_ack=True
        )
        client.reconnect_delay_set(1, 30)
        client.max_queued_messages_set(10_000)
        if self._settings.user is not None:
            client.username_pw_set(self._settings.user, self._settings.password)
        if self._settings.tls is not None:
            client.tls_set_context(self._settings.tls)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _topics(self) -> list[str]:
        share = f"$share/{self._settings.group}/" if self._settings.group else ""
        # Retained messages don't come over a shared subscription, so every receiver hears who is there.
        return [f"{ROOT}/+/status", *(f"{share}{topic}" for topic in topics_of("+"))]

    def _on_connect(self, client: paho.Client, _: object, __: object, code: ReasonCode, ___: object) -> None:
        if code.is_failure:
            self._reason = f"the broker refuses this receiver ({code}); check its user and password"
            _log.error("%s:%d: %s", self._settings.host, self._settings.port, self._reason)
            return
        with self._changed:
            self._connection += 1
            # What waits from an earlier connection is stored all the same, but the broker will send it again.
            self._changed.notify_all()
        client.subscribe([(topic, 1) for topic in self._topics()])
        if self._settings.group:
            self._alone.forget({mark.device for mark in self._store.marks()})

    def _on_subscribe(self, _: object, __: object, ___: int, codes: list[ReasonCode], ____: object) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        with self._changed:
            if refused:
                self._reason = f"the broker refuses the subscription ({refused[0]}); check its access list"
                _log.error("%s", self._reason)
                return
            self._is_connected = True
            self._reason = None
            self._told.clear()
            self._changed.notify_all()
        for mark in self._store.marks():
            self._tell(mark)

    def _on_connect_fail(self, *_: object) -> None:
        self._reason = "can't be reached"

    def _on_disconnect(self, _: object, __: object, ___: object, code: ReasonCode, ____: object) -> None:
        if self._is_connected:  # otherwise the reason why it never was is the one to tell
            self._reason = f"the connection to the broker ended ({code}); trying again"
        self._is_connected = False

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            self._waiting.append(
                _Taken(message.topic, bytes(message.payload), message.mid, message.qos, self._connection)
            )
            self._changed.notify_all()


def arrival_of(address: Address, payload: bytes) -> Arrival:
    """A durable record from the wire; one that doesn't fit the contract is kept with its fault, if it has a number.

    Raises:
        MessageError: It has no number, or lies about where it comes from.
    """
    try:
        message = decode_record(payload, address)
    except MessageError as error:
        return _faulty(address, payload, str(error))
    envelope, body = message.envelope, message.body
    gone = body.runs if isinstance(body, GapBody) else ()
    return Arrival(
        device=envelope.device,
        id=envelope.id,
        seq=envelope.seq,
        boot=envelope.boot,
        kind=address.leaf,
        camera=envelope.camera,
        time_s=envelope.time,
        json=payload.decode(),
        gone=gone,
        why=body.why if isinstance(body, GapBody) else "",
    )


def _faulty(address: Address, payload: bytes, fault: str) -> Arrival:
    plain: dict[str, Any] = parse_json(payload, str(address))
    try:
        seq, record_id, boot = plain["seq"], plain["id"], plain["boot"]
        time_s = utc_seconds(plain["time"])
        is_numbered = isinstance(seq, int) and 0 < seq < 1 << 53 and plain["device"] == address.device
        is_named = str(UUID(record_id)) == record_id and str(UUID(boot)) == boot
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MessageError(fault) from error
    if not is_numbered or not is_named:
        raise MessageError(fault)
    return Arrival(
        device=address.device,
        id=record_id,
        seq=seq,
        boot=boot,
        kind=address.leaf,
        camera=address.camera,
        time_s=time_s,
        json=payload.decode(),
        fault=fault[:1000],
    )
