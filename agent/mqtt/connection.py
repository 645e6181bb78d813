"""One connection to the broker, from the first packet to the last.

Promises that whatever goes wrong ends in :class:`LinkLost` with one sentence that says what, where and what to do,
and that nothing of it outlives the connection: what was not acknowledged is still in the outbox. Runs entirely in
the thread that calls it.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.schema import Mqtt
from agent.errors import BrokerError

_log = logging.getLogger(__name__)
_RECEIVE_MAXIMUM: Final = 65_535  # MQTT 5, 3.2.2.3.3: the window when the broker names none


class LinkLost(BrokerError):  # noqa: N818 - it is an event as much as an error
    """The connection could not be made, or is gone. The message is the sentence for ``health``."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in seconds.

    Attributes:
        connect_s: For the network, TLS and the broker's answer, each.
        acknowledge_s: For the acknowledgement of a message while the connection seems to live.
        backoff_s: Before the second attempt; doubles with each one.
        backoff_max_s: Never longer than this.
        healthy_s: A connection that lived so long starts the next back-off from the beginning.
        resend_s: With application-level delivery: for an acknowledgement by the receiver; doubles while none comes.
        drain_s: On stopping, for what is still in the outbox.
        listen_s: With application-level delivery: after connecting, for the receiver to say what it has already.
    """

    connect_s: float = 10.0
    acknowledge_s: float = 30.0
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    healthy_s: float = 30.0
    resend_s: float = 30.0
    drain_s: float = 2.0
    listen_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker shall publish, retained, when the connection breaks."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the broker."""

    topic: str
    payload: bytes
    response_topic: str | None
    correlation: bytes | None
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer to a message of ours; ``refusal`` is its reason when it didn't take it."""

    mid: int
    refusal: str | None


class Connection:
    """Opened by the constructor's caller with :meth:`open`, used until it raises :class:`LinkLost`.

    Args:
        settings: Host, port, protocol, keepalive, user.
        client_id: The box's name: a second connection under it replaces the first.
        will: Said by the broker when we are cut off.
        tls: How to verify the broker; ``None`` sends in the clear.
        password: For the user in ``settings``.
        timing: How long to wait for what.
    """

    def __init__(
        self,
        settings: Mqtt,
        *,
        client_id: str,
        will: Will,
        tls: ssl.SSLContext | None,
        password: str | None,
        timing: Timing,
    ) -> None:
        self._where = f"{settings.host}:{settings.port}"
        self._settings = settings
        self._timing = timing
        self._lost: str | None = None
        self._is_granted = False
        self._answers: deque[Answer] = deque()  # no longer than what is in flight
        self._incoming: deque[Incoming] = deque()  # emptied by the caller after every step
        self.window = settings.in_flight
        self.max_packet_bytes: int | None = None
        self._client = self._build(client_id, will, tls, password)

    def open(self) -> None:
        """Connect, and wait until the broker has accepted us.

        Raises:
            LinkLost: It didn't.
        """
        clean: dict[str, Any] = {"clean_start": True} if self._settings.protocol == "5" else {}
        try:
            self._client.connect(self._settings.host, self._settings.port, self._settings.keepalive_s, **clean)
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise LinkLost(self._network_sentence(error)) from error
        deadline_s = time.monotonic() + self._timing.connect_s
        while not self._is_granted:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise LinkLost(
                    f"{self._where}: takes connections but answers nothing; is it an MQTT broker, and does it hang?"
                )
            self.step(left_s)

    def step(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        """Read and write what the network allows, waiting at most so long, or until ``wake`` has something to read.

        Raises:
            LinkLost: The connection is gone.
        """
        sock = self._client.socket()
        if sock is None:
            raise LinkLost(self._lost or f"{self._where}: closed the connection; trying again")
        is_buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        readers = [sock] if wake is None else [sock, wake]
        writers = [sock] if self._client.want_write() else []
        try:
            readable, writable, _ = select.select(readers, writers, [], 0 if is_buffered else timeout_s)
            if sock in readable or is_buffered:
                self._client.loop_read()
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
        except Exception as error:  # whatever a broker sends, the answer is a new connection
            _log.debug("the MQTT library gave up", exc_info=True)
            raise LinkLost(f"{self._where}: sent what is no MQTT ({type(error).__name__}); trying again") from error
        if wake is not None and wake in readable:
            wake.recv(4096)
        self._check()

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, correlation: bytes | None = None
    ) -> int:
        """Hand a message to the network; return its number, under which the broker answers.

        Raises:
            LinkLost: The connection is gone.
        """
        properties = None
        if correlation is not None and self._settings.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation
        info = self._client.publish(topic, payload, qos, retain, properties)
        self._check()
        return int(info.mid)

    def subscribe(self, topics: list[str]) -> None:
        """Ask for these topics, at QoS 1.

        Raises:
            LinkLost: The connection is gone.
        """
        self._client.subscribe([(topic, 1) for topic in topics])
        self._check()

    @property
    def wants_to_write(self) -> bool:
        """Something waits for the network to take it."""
        return bool(self._client.want_write())

    def take_answers(self) -> list[Answer]:
        """The broker's answers since the last call."""
        answers = list(self._answers)
        self._answers.clear()
        return answers

    def take_incoming(self) -> list[Incoming]:
        """The messages since the last call."""
        incoming = list(self._incoming)
        self._incoming.clear()
        return incoming

    def close(self) -> None:
        """Say goodbye, so that the broker keeps the will to itself, and let go of the socket."""
        if self._client.socket() is not None and self._is_granted and self._lost is None:
            self._client.on_disconnect = None
            self._client.disconnect()
        self.drop()

    def drop(self) -> None:
        """Let go of the socket without a word; the broker will publish the will."""
        client = self._client
        # Without these the client and this connection keep each other, and their descriptors, until a collection.
        client.on_connect = client.on_disconnect = client.on_publish = client.on_subscribe = client.on_message = None
        sock = client.socket()
        if sock is not None:
            sock.close()

    def _build(self, client_id: str, will: Will, tls: ssl.SSLContext | None, password: str | None) -> paho.Client:
        is_5 = self._settings.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if is_5 else True,
            protocol=paho.MQTTv5 if is_5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._timing.connect_s
        client.max_inflight_messages_set(0)  # the window is ours
        client.will_set(will.topic, will.payload, 1, retain=True)
        if self._settings.login.user is not None:
            client.username_pw_set(self._settings.login.user, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _check(self) -> None:
        if self._lost is not None:
            raise LinkLost(self._lost)

    # What paho calls, within step() and publish()

    def _on_connect(self, _: object, __: object, ___: object, code: ReasonCode, properties: Properties | None) -> None:
        if code.is_failure:
            self._lost = _refusal(self._where, str(code))
            return
        self._is_granted = True
        self.window = min(self.window, getattr(properties, "ReceiveMaximum", _RECEIVE_MAXIMUM))
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(self, _: object, __: object, flags: Any, code: ReasonCode, ___: Properties | None) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._lost = _farewell(self._where, str(code))
        elif not self._is_granted:
            self._lost = (
                f"{self._where}: closed the connection before it answered; check that it speaks MQTT "
                f"{self._settings.protocol} there, with {'no ' if self._settings.plaintext else ''}TLS"
            )
        elif "keep alive" in str(code).lower():
            self._lost = f"{self._where}: has not answered for {self._settings.keepalive_s} s; trying again"
        else:
            self._lost = (
                f"{self._where}: the connection broke; trying again; if it breaks again and again, somebody else may "
                "connect under this box's name"
            )

    def _on_publish(self, _: object, __: object, mid: int, code: ReasonCode, ___: Properties | None) -> None:
        self._answers.append(Answer(mid, str(code) if code.is_failure else None))

    def _on_subscribe(self, _: object, __: object, ___: int, codes: list[ReasonCode], ____: object) -> None:
        for code in codes:
            if code.is_failure:
                _log.error(
                    "%s: refuses to send this box its commands and acks (%s); check its access list", self._where, code
                )

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self._incoming.append(
            Incoming(
                topic=message.topic,
                payload=bytes(message.payload),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
                retained=message.retain,
            )
        )

    def _network_sentence(self, error: Exception) -> str:
        where = self._where
        match error:
            case ssl.SSLError():
                return _tls_sentence(where, error)
            case ConnectionRefusedError():
                return f"{where}: nothing listens there; check mqtt.host and mqtt.port, and that the broker runs"
            case socket.gaierror():
                return f"{where}: the name can't be resolved; check mqtt.host and the box's DNS"
            case ConnectionResetError() if not self._settings.plaintext:
                return f"{where}: broke off when TLS began; check that this port speaks TLS 1.2 or newer"
            case TimeoutError():
                return f"{where}: no answer within {self._timing.connect_s:g} s; check the network and the firewall"
            case _:
                return f"{where}: can't be reached ({error}); check the network"


def _tls_sentence(where: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{where}: its certificate can't be trusted ({error.verify_message}); check mqtt.tls.ca_file, "
            "that mqtt.host is the name in the certificate, and the box's clock"
        )
    return (
        f"{where}: TLS failed ({error.reason or error}); check that this port speaks TLS 1.2 or newer "
        "and whether it wants a client certificate"
    )


def _refusal(where: str, code: str) -> str:
    lowered = code.lower()
    if "user name" in lowered or "authori" in lowered:
        return f"{where}: refuses us ({code}); check mqtt.login and that the broker knows this box"
    if "protocol version" in lowered:
        return f"{where}: refuses this protocol ({code}); set mqtt.protocol to 3.1.1"
    return f"{where}: refuses us ({code}); trying again, see the broker's log"


def _farewell(where: str, code: str) -> str:
    if "taken over" in code.lower():
        return f"{where}: somebody else connects under this box's name; give each box its own device name"
    return f"{where}: closed the connection ({code}); trying again"
