"""A TCP server that gives prepared answers: the camera that talks nonsense, wants a password, or says nothing.

One thread, loopback only, gone with its context. It keeps what it was asked, for the test to look at.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

TICK_S = 0.05


class AnsweringServer:
    """Answers every request with what a function makes of it; an empty answer is none."""

    def __init__(self, answer: Callable[[bytes], bytes], *, hang_up: bool = False) -> None:
        self._answer, self._hang_up = answer, hang_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._links: list[socket.socket] = []
        self.requests: list[bytes] = []
        self.port: int = self._listener.getsockname()[1]

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._accept()
            for link in list(self._links):
                self._serve_link(link)

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except TimeoutError:
            return
        link.settimeout(TICK_S)
        self._links.append(link)

    def _serve_link(self, link: socket.socket) -> None:
        try:
            request = link.recv(65_536)
            if request:
                self.requests.append(request)
                link.sendall(self._answer(request))
        except TimeoutError:
            return
        except OSError:
            request = b""
        if not request or self._hang_up:
            link.close()
            self._links.remove(link)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        for link in [*self._links, self._listener]:
            link.close()


def wait_until(true: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Wait until something is so, at most so long; say whether it came."""
    pause = threading.Event()
    for _ in range(round(timeout_s / 0.01)):
        if true():
            return True
        pause.wait(0.01)
    return true()
