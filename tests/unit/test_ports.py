"""The ports that tests take: nobody else gets them, also while the suite runs side by side."""

from __future__ import annotations

import itertools
import socket

from tests.fakes.ports import SHARE, free_port, share_of

LOWEST_OF_LINUX = 32_768  # where net.ipv4.ip_local_port_range begins, unless somebody set it


def test_given_the_processes_of_a_suite_then_each_has_ports_of_its_own_that_linux_gives_to_nobody() -> None:
    shares = [share_of(""), *(share_of(f"gw{number}") for number in range(15))]
    ports = list(itertools.chain.from_iterable(shares))
    assert len(ports) == len(set(ports)) == 16 * SHARE
    assert 1024 < min(ports) < max(ports) < LOWEST_OF_LINUX


def test_given_many_that_are_asked_for_then_none_comes_again_soon_and_never_one_that_somebody_listens_at() -> None:
    soon = [free_port() for _ in range(SHARE // 2)]
    assert len(soon) == len(set(soon))
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert port not in [free_port() for _ in range(2 * SHARE)]
