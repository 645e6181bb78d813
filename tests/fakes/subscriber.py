"""A subscriber that remembers everything it hears, and can speak as the traffic management centre does.

Runs paho's own thread, apart from the code under test. Every wait has a timeout.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it came."""

    topic: str
    payload: bytes
    retained: bool
    correlation: bytes | None

    @property
    def plain(self) -> dict[str, Any]:
        """The JSON object in it."""
        plain: dict[str, Any] = json.loads(self.payload)
        return plain

    @property
    def leaf(self) -> str:
        """The last level of its topic."""
        return self.topic.rsplit("/", 1)[-1]


class Subscriber:
    """Connected from ``with`` to its end; reconnects by itself, and keeps its session on the broker."""

    def __init__(
        self,
        port: int,
        topic: str = "kentongan/v1/#",
        *,
        client_id: str = "subscriber",
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._topic = topic
        self._changed = threading.Condition()
        self._heard: list[Heard] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        if user is not None:
            self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        self._client.connect_async(host, port, 10, clean_start=False, properties=session)

    def __enter__(self) -> Self:
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise TimeoutError("the subscriber could not subscribe within 10 s")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def heard(self, *leaves: str) -> list[Heard]:
        """Everything so far, in order; of these last levels only, where some are named."""
        with self._changed:
            return [one for one in self._heard if not leaves or one.leaf in leaves]

    def wait_for(self, condition: Callable[[list[Heard]], bool], timeout_s: float = 15) -> list[Heard]:
        """Wait until what was heard is enough.

        Raises:
            TimeoutError: It wasn't in time; tells what was heard instead.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._heard), timeout_s):
                topics = [one.topic for one in self._heard]
                raise TimeoutError(f"not heard within {timeout_s} s; {len(topics)} messages, the last: {topics[-10:]}")
            return list(self._heard)

    def wait_quiet(self, quiet_s: float = 0.5, timeout_s: float = 20) -> list[Heard]:
        """Wait until nothing has come for a while."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while time.monotonic() < deadline_s:
                if not self._changed.wait(quiet_s):
                    break
            return list(self._heard)

    def say(
        self,
        topic: str,
        plain: object,
        *,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        retain: bool = False,
    ) -> None:
        """Publish a JSON message at QoS 1."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        payload = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
        self._client.publish(topic, payload, 1, retain, properties).wait_for_publish(10)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe(self._topic, 1)

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        one = Heard(
            message.topic, bytes(message.payload), message.retain, getattr(message.properties, "CorrelationData", None)
        )
        with self._changed:
            self._heard.append(one)
            self._changed.notify_all()
