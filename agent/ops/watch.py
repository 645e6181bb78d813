"""`kentongan watch`: subscribe to a broker and show what comes, live.

Reads only: it never acknowledges records, so it can't make a box forget one. On a terminal it shows a table that
changes; into a file or pipe it writes a line a message.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import queue
import sys
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError
from rich.console import Console
from rich.live import Live

from agent.config.schema import Login, Mqtt, Tls
from agent.config.secrets import password_of
from agent.errors import BrokerError, ConfigError
from agent.mqtt.credentials import cleartext_warning, tls_context
from agent.mqtt.topics import ROOT
from agent.ops.board import Board
from agent.ops.broker_arguments import add_broker_arguments

_LOG: Final = logging.getLogger("kentongan.watch")
_QUEUE: Final = 10_000
_CONNECT_S: Final = 10.0
_REFRESH_HZ: Final = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("host", help="the broker")
    add_broker_arguments(parser)
    parser.add_argument("--device", default="+", help="only this box")
    parser.add_argument("--seconds", type=float, help="stop after so long")


def execute(args: argparse.Namespace) -> int:
    """Show until Ctrl-C, or for so many seconds."""
    try:
        settings = Mqtt(
            host=args.host,
            port=args.port or (1883 if args.plaintext else 8883),
            plaintext=args.plaintext,
            tls=Tls(ca_file=args.ca_file, cert_file=args.cert_file, key_file=args.key_file),
            login=Login(user=args.user, password_file=args.password_file),
        )
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in fault["loc"])
        raise ConfigError(f"{place + ': ' if place else ''}{fault['msg']}; see kentongan watch --help") from error
    warning = cleartext_warning(args.host, "--plaintext") if args.plaintext else None
    if warning is not None:
        _LOG.warning("%s", warning)
    subscription = Subscription(settings, f"{ROOT}/{args.device}/#")
    try:
        show(subscription, Board(), seconds=args.seconds)
    except KeyboardInterrupt:
        return 0
    finally:
        subscription.close()
    return 0


class Subscription:
    """Messages of a topic filter, in the order they came.

    Args:
        settings: How to reach the broker.
        topics: The filter.

    Raises:
        BrokerError: The broker can't be reached or refuses.
    """

    def __init__(self, settings: Mqtt, topics: str) -> None:
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue(_QUEUE)
        self._answer: queue.Queue[str] = queue.Queue()
        self._topics = topics
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        if not settings.plaintext:
            self._client.tls_set_context(tls_context(settings.tls))
        password = password_of(settings.login, os.environ)
        if settings.login.user is not None:
            self._client.username_pw_set(settings.login.user, password)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        where = f"the broker at {settings.host}:{settings.port}"
        try:
            self._client.connect(settings.host, settings.port)
        except OSError as error:
            raise BrokerError(f"{where} can't be reached: {error}; check the address and that it runs") from error
        self._client.loop_start()
        try:
            refusal = self._answer.get(timeout=_CONNECT_S)
        except queue.Empty:
            refusal = "no answer"
        if refusal:
            self.close()
            raise BrokerError(f"{where} refuses the connection: {refusal}; check user and password")

    def next(self, timeout_s: float) -> tuple[str, bytes] | None:
        """The next topic and payload, or ``None`` when none came in time."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *rest: object) -> None:
        code = rest[2]
        if getattr(code, "is_failure", False):
            self._answer.put(str(code))
            return
        client.subscribe(self._topics, qos=1)
        self._answer.put("")

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        try:
            self._messages.put_nowait((message.topic, bytes(message.payload)))
        except queue.Full:  # the terminal is slower than the city: show what is newest
            with contextlib.suppress(queue.Empty, queue.Full):
                self._messages.get_nowait()
                self._messages.put_nowait((message.topic, bytes(message.payload)))


def show(
    subscription: Subscription,
    board: Board,
    *,
    seconds: float | None = None,
    every_second: Callable[[], object] = lambda: None,
    transient: bool = False,
) -> None:
    """Feed a board and show it until the time is up.

    Args:
        subscription: Where messages come from.
        board: What takes them in.
        seconds: How long; for ever by default.
        every_second: Called about once a second meanwhile.
        transient: Take the table away at the end; lines stay.
    """
    console = Console()
    end_s = time.monotonic() + (seconds if seconds is not None else float("inf"))
    beat_s = time.monotonic()
    live = None
    if sys.stdout.isatty():
        live = Live(board.render(), console=console, refresh_per_second=_REFRESH_HZ, transient=transient)
        live.start()
    try:
        while (now_s := time.monotonic()) < end_s:
            if now_s >= beat_s:
                beat_s = now_s + 1
                every_second()
            message = subscription.next(min(0.25, end_s - now_s))
            line = board.take(*message) if message is not None else None
            if live is not None:
                live.update(board.render())
            elif line is not None:
                print(line, flush=True)
    finally:
        if live is not None:
            live.stop()
