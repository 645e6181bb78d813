"""A TCP proxy on loopback that does to a connection what mobile networks do.

The eight faults are Toxiproxy's (latency, down, bandwidth, slow close, timeout, reset, slicer, data limit). Promises
that what it passes on is unchanged and in order, and that everything it saw can be looked at afterwards.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Literal, Self

from tests.fakes.ports import free_port

Fault = Literal["none", "latency", "down", "bandwidth", "slow_close", "timeout", "reset", "slicer", "data_limit"]
FAULTS: tuple[Fault, ...] = ("latency", "down", "bandwidth", "slow_close", "timeout", "reset", "slicer", "data_limit")
_CHUNK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Toxic:
    """What the proxy does now.

    Attributes:
        fault: Which of the eight.
        delay_s: latency: before each piece; slow_close: before a close is passed on; slicer: between slices.
        bytes_per_s: bandwidth.
        limit_bytes: data_limit and reset: how much passes, either way, before the connection ends.
        slice_bytes: slicer: how much goes at once.
    """

    fault: Fault = "none"
    delay_s: float = 0.1
    bytes_per_s: float = 4_000
    limit_bytes: int = 0
    slice_bytes: int = 7


@dataclass(slots=True)
class Seen:
    """One connection: how it went."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)


class TcpProxy:
    """Listens on ``port`` and passes on to ``target_port``, from ``with`` to its end."""

    def __init__(self, target_port: int, toxic: Toxic | None = None) -> None:
        self.port = free_port()
        self.seen: list[Seen] = []
        self._target = target_port
        self._toxic = toxic or Toxic()
        self._ended = threading.Event()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._mutex = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listen()
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        self._close_listener()

    @property
    def toxic(self) -> Toxic:
        """What it does now; may be set at any time and works on open connections too."""
        return self._toxic

    @toxic.setter
    def toxic(self, toxic: Toxic) -> None:
        self._toxic = toxic
        if toxic.fault == "down":
            self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Break every open connection."""
        with self._mutex:
            for sock in self._open:
                _break(sock, reset=reset)

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.05)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if self._toxic.fault == "down":
                self._close_listener()
                self._ended.wait(0.02)
                continue
            if self._listener is None:
                self._listen()
            assert self._listener is not None
            with contextlib.suppress(TimeoutError):
                near, _ = self._listener.accept()
                self._spawn(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            near.close()
            return
        seen = Seen()
        self.seen.append(seen)
        with self._mutex:
            self._open |= {near, far}
        with contextlib.suppress(OSError, ValueError):  # one end was closed under our hands
            self._relay(near, far, seen)
        with self._mutex:
            self._open -= {near, far}
            near.close()
            far.close()

    def _relay(self, near: socket.socket, far: socket.socket, seen: Seen) -> None:
        passed = 0
        # Also one that was let in at the very moment it went down is broken.
        while not self._ended.is_set() and self._toxic.fault != "down":
            readable, _, _ = select.select([near, far], [], [], 0.05)
            for source in readable:
                if self._toxic.fault == "timeout":
                    time.sleep(0.02)  # nothing gets through, nothing is closed
                    continue
                data = _read(source)
                if not data:
                    if self._toxic.fault == "slow_close":
                        self._ended.wait(self._toxic.delay_s)
                    return
                target, record = (far, seen.up) if source is near else (near, seen.down)
                data, is_over = self._limited(data, passed)
                if not self._pass_on(target, data, record):
                    return
                passed += len(data)
                if is_over:
                    _break(near, reset=self._toxic.fault == "reset")
                    return

    def _limited(self, data: bytes, passed: int) -> tuple[bytes, bool]:
        toxic = self._toxic
        if toxic.fault not in {"reset", "data_limit"} or passed + len(data) < toxic.limit_bytes:
            return data, False
        return data[: max(0, toxic.limit_bytes - passed)], True

    def _pass_on(self, target: socket.socket, data: bytes, record: bytearray) -> bool:
        toxic = self._toxic
        step, pause_s = len(data), 0.0
        if toxic.fault == "latency":
            self._ended.wait(toxic.delay_s)
        elif toxic.fault == "slicer":
            step, pause_s = toxic.slice_bytes, toxic.delay_s
        elif toxic.fault == "bandwidth":
            step = max(1, int(toxic.bytes_per_s / 20))
            pause_s = step / toxic.bytes_per_s
        for start in range(0, len(data), max(1, step)):
            piece = data[start : start + step]
            try:
                target.sendall(piece)
            except OSError:
                return False
            record += piece
            if pause_s:
                self._ended.wait(pause_s)
        return True


def _read(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _break(sock: socket.socket, *, reset: bool) -> None:
    with contextlib.suppress(OSError):
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        else:
            sock.shutdown(socket.SHUT_RDWR)
