"""A network that comes and goes leaves nothing behind: descriptors, threads and memory end where they began."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.fakes.box import QUICK, Box
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.records import count_record
from tests.fakes.tcp_proxy import TcpProxy, Toxic


@pytest.mark.timeout(180)
def test_given_a_network_that_flaps_then_nothing_grows(tmp_path: Path) -> None:
    process = psutil.Process()
    eager = replace(QUICK, backoff_s=0.02, backoff_max_s=0.05)  # seventy times a pause is a long wait for nothing
    with (
        Mosquitto(tmp_path / "broker") as broker,
        TcpProxy(broker.port) as proxy,
        Box(tmp_path, proxy.port, timing=eager) as box,
    ):

        def flap(times: int) -> None:
            for number in range(times):
                proxy.toxic = Toxic()
                box.await_connected()
                box.put(count_record(number))
                proxy.toxic = Toxic("down")
                box.await_(lambda: not box.link.state().connected)

        def measure() -> tuple[int, int, int]:
            proxy.toxic = Toxic()
            box.await_connected()
            proxy.seen.clear()
            gc.collect()
            return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), process.memory_info().rss

        flap(10)
        before = measure()
        flap(60)
        after = measure()
    assert after[0] <= before[0] + 1, "descriptors"
    assert after[1] <= before[1] + 1, "threads"
    assert after[2] <= before[2] * 1.02, "memory"
    assert box.link.state().reconnects >= 60
