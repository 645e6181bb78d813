"""The reference receiver: what a traffic management centre runs to lose nothing and count nothing twice.

:class:`Receiver` subscribes, checks, stores and acknowledges. A :class:`Store` is where it stores: an
:class:`SqliteStore`, or with the ``postgres`` extra an :class:`agent.receive.postgres.PostgresStore`. Several receivers
may share one store and the load.
"""

from agent.receive.receiver import Receiver, ReceiveSettings
from agent.receive.sqlite import SqliteStore
from agent.receive.store import Arrival, DeviceReport, Hole, Store

__all__ = ["Arrival", "DeviceReport", "Hole", "ReceiveSettings", "Receiver", "SqliteStore", "Store"]
