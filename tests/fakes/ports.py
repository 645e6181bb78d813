"""Ports of the loopback for what a test starts, or for where nobody is to listen.

Promises that nobody else gets a port in the meantime: they lie below those that Linux gives out by itself, and every
process of a suite that runs side by side has a share of its own. A port comes again only when all of a share were used.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import socket
from collections.abc import Iterator
from typing import Final

FIRST: Final = 20_000
SHARE: Final = 700
SHARES: Final = 16


def share_of(worker: str) -> range:
    """The ports of a process of the suite, by the name that pytest-xdist gives it; of one that runs alone by ``""``."""
    number = re.search(r"\d+$", worker)
    start = FIRST + SHARE * ((int(number[0]) + 1) % SHARES if number else 0)
    return range(start, start + SHARE)


def _candidates() -> Iterator[int]:
    own = share_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
    # Somewhere in the share: another suite on this machine begins elsewhere.
    begin = random.SystemRandom().randrange(SHARE)
    return itertools.cycle((*own[begin:], *own[:begin]))


_NEXT: Final = _candidates()


def free_port() -> int:
    """A TCP port on which nothing listens at the moment, and which only the caller will be given for a long while.

    Raises:
        RuntimeError: All of this process's share are in use.
    """
    for port in itertools.islice(_NEXT, SHARE):
        with socket.socket() as probe:
            # As servers do: a port whose last connection only lingers is free to listen on.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"all {SHARE} ports of this process are in use; does an earlier run still hold them?")
