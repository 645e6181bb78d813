"""`kentongan receive`: the reference receiver of a traffic management centre.

Subscribes, checks every record against the contract, stores it in SQLite or PostgreSQL before it acknowledges, drops
duplicates, asks boxes for what is missing. Several may run beside each other on one store with the same --group.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from agent.config.schema import Login, Tls
from agent.config.secrets import password_of
from agent.errors import KentonganError
from agent.installation import how_to_add
from agent.mqtt.credentials import cleartext_warning, tls_context
from agent.ops.broker_arguments import add_broker_arguments
from agent.receive import Receiver, ReceiveSettings, SqliteStore, Store

_LOG: Final = logging.getLogger("kentongan.receive")
_CONNECT_S: Final = 15.0
_OUT: Final = Console()


def configure(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("host", help="the broker")
    parser.add_argument(
        "store",
        help="where records go: an SQLite file, made when missing, or postgresql://USER@HOST/DATABASE (password in "
        "PGPASSWORD)",
    )
    add_broker_arguments(parser)
    parser.add_argument("--name", default="receiver", help="unique among receivers; its session at the broker")
    parser.add_argument("--group", default="", help="share the load with the receivers that give the same group")
    parser.add_argument("--seconds", type=float, help="stop after so long (default: at SIGTERM or Ctrl-C)")
    parser.add_argument("--report", action="store_true", help="say what the store holds, and end")


def execute(args: argparse.Namespace) -> int:
    """Receive until told to stop, then say what the store holds."""
    store = open_store(args.store, os.environ)
    try:
        if not args.report:
            _receive(args, store)
        _OUT.print(_table(store))
    finally:
        store.close()
    return 0


def open_store(place: str, environ: Mapping[str, str]) -> Store:
    """The store at a path or an address.

    Raises:
        ConfigError: The address can't be understood.
        KentonganError: The ``postgres`` extra is missing.
        OutboxError: The store can't be opened.
    """
    if not place.startswith(("postgresql://", "postgres://")):
        return SqliteStore(Path(place))
    try:
        from agent.receive.postgres import PostgresAddress, PostgresStore  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise KentonganError(f"a store in PostgreSQL needs one more package: {how_to_add('postgres')}") from error
    return PostgresStore(PostgresAddress.read(place, environ))


def _receive(args: argparse.Namespace, store: Store) -> None:
    warning = cleartext_warning(args.host, "--plaintext") if args.plaintext else None
    if warning is not None:
        _LOG.warning("%s", warning)
    receiver = Receiver(_settings(args), store)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    receiver.start()
    try:
        receiver.await_connected(_CONNECT_S)
        over.wait(args.seconds)
    finally:
        receiver.stop()


def _settings(args: argparse.Namespace) -> ReceiveSettings:
    tls = Tls(ca_file=args.ca_file, cert_file=args.cert_file, key_file=args.key_file)
    login = Login(user=args.user, password_file=args.password_file)
    return ReceiveSettings(
        host=args.host,
        port=args.port or (1883 if args.plaintext else 8883),
        name=args.name,
        group=args.group,
        user=args.user,
        password=password_of(login, os.environ),
        tls=None if args.plaintext else tls_context(tls),
    )


def _table(store: Store) -> Table:
    """One row a box: what is stored, what is missing, what came twice."""
    reports = store.report()
    table = Table(title="Records stored")
    names = [field for field in type(reports[0]).__dataclass_fields__] if reports else ["device"]  # noqa: C416
    for name in names:
        table.add_column(name.replace("_", " "))
    for report in reports:
        table.add_row(*(str(getattr(report, name)) for name in names))
    return table
