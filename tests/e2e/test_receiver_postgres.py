"""The receiver on a real PostgreSQL: what is shared, what a restart costs, how the way there is protected."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.config.redact import redact
from agent.errors import ConfigError, OutboxError
from agent.receive import Receiver, ReceiveSettings, Store
from agent.receive.postgres import PASSWORD, PostgresAddress, PostgresStore
from tests.fakes.agent_process import await_true
from tests.fakes.box import Box
from tests.fakes.certificates import Authority
from tests.fakes.command import assert_one_sentence, command
from tests.fakes.mosquitto import Mosquitto
from tests.fakes.ports import free_port
from tests.fakes.postgres import WORD, Postgres, why_unavailable
from tests.fakes.records import count_record

needs_server = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable() or "available")
ENVIRON = {PASSWORD: WORD}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def one_server(authority: Authority) -> Iterator[Postgres]:
    with Postgres(authority.issue("postgres", alternative="IP:127.0.0.1")) as started:
        yield started


@pytest.fixture
def server(one_server: Postgres) -> Postgres:
    """The one server of all these tests, running again whatever the test before did to it."""
    one_server.start()
    return one_server


@contextmanager
def receiver(store: Store, port: int, name: str) -> Iterator[Receiver]:
    settings = ReceiveSettings("127.0.0.1", port, name=name, group="tmc", hole_s=0.5, ask_again_s=0.5, turn_s=0.02)
    one = Receiver(settings, store)
    one.start()
    try:
        one.await_connected(15)
        yield one
    finally:
        one.stop()


@needs_server
@pytest.mark.timeout(120)
def test_two_receivers_share_one_database_and_its_restart_loses_nothing(tmp_path: Path, server: Postgres) -> None:
    address = PostgresAddress.read(server.new_database(), ENVIRON)
    stores = [PostgresStore(address) for _ in range(2)]
    with (
        Mosquitto(tmp_path / "broker") as broker,
        receiver(stores[0], broker.port, "tmc-1") as first,
        receiver(stores[1], broker.port, "tmc-2"),
        Box(tmp_path, broker.port, delivery="application") as box,
    ):
        box.put(*(count_record(number) for number in range(200)))
        box.await_empty(40)
        server.stop()
        box.put(*(count_record(number) for number in range(200, 260)))
        assert box.writer.flush(20)
        await_true(lambda: first.reason is not None, 30, lambda: "it noticed nothing")
        assert "see whether it runs and lets you in" in (first.reason or "")
        assert box.outbox.depth().records == 60
        server.start()
        box.await_empty(60)
        await_true(lambda: first.reason is None, 30, lambda: str(first.reason))
    assert stores[0].seqs("pole-17") == list(range(1, 261))
    (report,) = stores[1].report()
    assert (report.stored, report.missing, report.gone) == (260, 0, 0)
    for store in stores:
        store.close()


@needs_server
def test_the_command_reports_what_the_database_holds(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.new_database()
    monkeypatch.setenv(PASSWORD, WORD)
    assert command("receive", "127.0.0.1", url, "--report").code == 0
    monkeypatch.setenv(PASSWORD, "wrong")
    done = command("receive", "127.0.0.1", url, "--report")
    assert_one_sentence(done, 74, "password authentication failed", "lets you in")
    assert "wrong" not in done.said


@needs_server
def test_tls_is_verified(server: Postgres, authority: Authority, tmp_path: Path) -> None:
    url = f"{server.new_database()}?sslmode=verify-full&sslrootcert="
    PostgresStore(PostgresAddress.read(f"{url}{authority.cert}", ENVIRON)).close()
    stranger = Authority(tmp_path / "elsewhere", "a stranger")
    with pytest.raises(OutboxError, match="certificate verify failed"):
        PostgresStore(PostgresAddress.read(f"{url}{stranger.cert}", ENVIRON))


def test_given_no_server_then_one_sentence_and_soon() -> None:
    began_s = time.monotonic()
    with pytest.raises(OutboxError, match=r"^postgresql://tmc@127.0.0.1:\d+/k: can't be used .*see whether it runs"):
        PostgresStore(PostgresAddress.read(f"postgresql://tmc@127.0.0.1:{free_port()}/k", ENVIRON))
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"postgresql://tmc:{WORD}@db/k", "holds a password.*put it into PGPASSWORD"),
        ("postgresql://db/k", "lacks a user or a database"),
        ("postgresql://tmc@db/", "lacks a user or a database"),
        ("postgresql://tmc@db:many/k", "its port is no number"),
        ("postgresql://tmc@db/k?sslmode=disable", "would let others read along"),
        ("postgresql://tmc@db/k?sslmode=require", "would let others read along"),
        ("postgresql://tmc@127.0.0.1/k?colour=red", "'colour' is not known; write one of host, sslmode, sslrootcert"),
        ("postgresql://tmc@db/k?host=/run/postgresql", "and not both"),
        ("postgresql://tmc@/k", "needs a host"),
    ],
)
def test_an_address_that_cannot_be_right_gets_one_sentence_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        PostgresAddress.read(url, {})
    assert WORD not in str(caught.value)


def test_an_address_says_where_it_leads_and_nothing_secret() -> None:
    far = PostgresAddress.read("postgresql://tmc@db.example.org/kentongan", ENVIRON)
    near = PostgresAddress.read("postgresql://tmc@/k?host=/run/postgresql", ENVIRON)
    assert (far.is_verified, near.is_verified, near.socket) == (True, False, "/run/postgresql")
    assert str(near) == "postgresql://tmc@/run/postgresql:5432/k"
    assert WORD not in redact(f"{far} {far!r}")
