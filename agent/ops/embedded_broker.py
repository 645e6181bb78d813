"""A broker inside this process, for `kentongan demo`: on loopback, in memory, gone with the process.

For showing only. It keeps nothing on disk and knows MQTT 3.1.1 alone; delivery is tested against a real broker.
Needs amqtt (the `demo` extra).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any, Final

from agent.errors import BrokerError, KentonganError
from agent.installation import how_to_add

_START_S: Final = 10.0
_STOP_S: Final = 5.0


class EmbeddedBroker:
    """An MQTT broker on a free port of 127.0.0.1, in a thread of its own.

    Raises:
        KentonganError: amqtt is not installed.
        BrokerError: It does not start.
    """

    def __init__(self) -> None:
        try:
            from amqtt.broker import Broker  # noqa: PLC0415 - an extra, needed only here
        except ImportError as error:
            raise KentonganError(f"the demo's own broker needs amqtt: {how_to_add('demo')}") from error
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        self.port = _free_port()
        self._class = Broker
        self._loop = asyncio.new_event_loop()
        self._broker: Any = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-broker", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_S):
            raise BrokerError(f"the demo's own broker does not start on 127.0.0.1:{self.port}; try again")

    def close(self) -> None:
        """Stop it."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(_STOP_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._begin())
        self._loop.run_forever()
        self._loop.close()

    async def _begin(self) -> None:
        self._broker = self._class(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await self._broker.start()
        self._started.set()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
