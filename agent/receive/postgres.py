"""A receiver's store in PostgreSQL, which receivers on several machines may share.

Promises that a server that goes away or restarts costs nothing but time: nothing was stored, and the next call connects
anew. The way there is verified TLS, but on the machine itself; no password is taken from an address. Needs the
``postgres`` extra.
"""

from __future__ import annotations

import ssl
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pg8000.exceptions import Error as DriverError
from pg8000.native import Connection, PreparedStatement

from agent.errors import ConfigError, OutboxError
from agent.receive.ledger import Ledger, Value, tables

PASSWORD: Final = "PGPASSWORD"  # noqa: S105 - the name of a variable, the one all tools of PostgreSQL know
_LOCK: Final = 0x6B656E74  # any number, the same for every receiver: who holds it writes
_TIMEOUT_S: Final = 10.0
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_OPTIONS: Final = ("host", "sslmode", "sslrootcert")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a database is and how to get there.

    Attributes:
        user: The role.
        host: The server's name or address; empty for a socket.
        port: Its port.
        database: The database's name.
        socket: The folder of the server's socket, instead of a host.
        is_verified: TLS, with the server's certificate and name checked.
        ca_file: Authorities to trust; empty for the system's.
        password: For the role; never part of what is shown.
    """

    user: str
    host: str
    port: int
    database: str
    socket: str = ""
    is_verified: bool = True
    ca_file: str = ""
    password: str | None = None

    @classmethod
    def read(cls, url: str, environ: Mapping[str, str]) -> PostgresAddress:
        """``postgresql://USER@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=…&host=/socket/folder]``.

        Raises:
            ConfigError: It can't be understood, or holds a password, which every user of the machine could read.
        """
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        if parts.password is not None:
            raise ConfigError(f"the store's address holds a password, which others can read; put it into {PASSWORD}")
        shown = f"the store {url.partition('?')[0]}"
        try:
            port = parts.port or 5432
        except ValueError as error:
            raise ConfigError(f"{shown}: its port is no number; write postgresql://USER@HOST:PORT/DATABASE") from error
        if not parts.username or parts.path in {"", "/"}:
            raise ConfigError(f"{shown} lacks a user or a database; write postgresql://USER@HOST/DATABASE")
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            raise ConfigError(f"{shown}: {unknown[0]!r} is not known; write one of {', '.join(_OPTIONS)}")
        socket, host = options.get("host", ""), parts.hostname or ""
        if bool(socket) == bool(host):
            raise ConfigError(f"{shown} needs a host, or host=/folder/of/its/socket, and not both")
        is_near = bool(socket) or host in _LOCAL
        mode = options.get("sslmode", "disable" if is_near else "verify-full")
        if mode not in {"disable", "verify-full"} or (mode == "disable" and not is_near):
            raise ConfigError(
                f"{shown}: sslmode={mode} would let others read along; leave it out, or write verify-full"
            )
        return cls(
            user=unquote(parts.username),
            host=host,
            port=port,
            database=unquote(parts.path[1:]),
            socket=socket,
            is_verified=mode == "verify-full",
            ca_file=options.get("sslrootcert", ""),
            password=environ.get(PASSWORD),
        )

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host or self.socket}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"PostgresAddress({self})"

    def connect(self) -> Connection:
        """A new connection; raises what the driver does."""
        return Connection(
            self.user,
            host=self.host,
            database=self.database,
            port=self.port,
            password=self.password,
            unix_sock=f"{self.socket}/.s.PGSQL.{self.port}" if self.socket else None,
            ssl_context=ssl.create_default_context(cafile=self.ca_file or None) if self.is_verified else None,
            timeout=_TIMEOUT_S,
            application_name="kentongan receive",
        )


class PostgresStore(Ledger):
    """One database; safe to use from several threads, and by receivers on several machines.

    Args:
        address: Where it is; the tables are made when missing.

    Raises:
        OutboxError: It can't be reached, or refuses.
    """

    def __init__(self, address: PostgresAddress) -> None:
        super().__init__(PostgresDatabase(address))


class PostgresDatabase:
    """A :class:`agent.receive.ledger.Database` on a server, over one connection at a time."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._mutex = threading.RLock()
        self._connection: Connection | None = None
        self._prepared: dict[str, PreparedStatement] = {}
        with self.writing():
            for statement in tables(end="", number="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", of_bytes="BYTEA"):
                self._open().run(statement)

    def close(self) -> None:
        """Let go of the server."""
        with self._mutex:
            self._drop()

    def rows(self, query: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        return [tuple(row) for row in self._run(query, values)]

    def change(self, query: str, values: Sequence[Value] = ()) -> int:
        """Insert, update or delete; how many rows that were."""
        return len(self._run(f"{query} RETURNING 1", values))  # the driver tells no number of its own

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is read within, by one thread at a time."""
        try:
            with self._mutex:
                yield
        except (DriverError, OSError, struct.error) as error:
            # Whatever state the connection is in: the server takes back what was not committed, and forgets it.
            with self._mutex:
                self._drop()
            raise OutboxError(
                f"{self._address}: can't be used ({_said(error)}); see whether it runs and lets you in"
            ) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; others, on other machines too, wait for it."""
        with self.reading():
            self._open().run("START TRANSACTION")
            try:
                self._open().run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
                yield
                self._open().run("COMMIT")
            except BaseException:
                self._drop()  # quicker to make a new one than to find out what this one still can
                raise

    def _run(self, query: str, values: Sequence[Value]) -> list[list[Any]]:
        statement = self._prepared.get(query)
        if statement is None:
            statement = self._prepared[query] = self._open().prepare(_named(query))
        return statement.run(**{f"v{number}": value for number, value in enumerate(values)}) or []

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._address.connect()
            # A server that hangs must not hang the receiver, nor one receiver the others.
            self._connection.run(f"SET lock_timeout = '{_TIMEOUT_S:g}s'")
            self._connection.run(f"SET statement_timeout = '{_TIMEOUT_S:g}s'")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared.clear()
        if connection is not None:
            with suppress(DriverError, OSError, struct.error):
                connection.close()


def _named(query: str) -> str:
    """The query as this driver wants it: ``:v0`` for the first ``?``, and so on."""
    first, *others = query.split("?")
    return first + "".join(f":v{number}{part}" for number, part in enumerate(others))


def _said(error: Exception) -> str:
    """What the server said, in one line; it sends its message as M among other fields."""
    told = error.args[0] if error.args else error
    return str(told.get("M", told) if isinstance(told, dict) else error).splitlines()[0][:300]
