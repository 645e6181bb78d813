"""The reference receiver: what a traffic management centre runs to lose nothing and count nothing twice.

:class:`Receiver` subscribes, checks, stores and acknowledges; :class:`SqliteStore` is where it stores. Several may
share one store and the load.
"""

from agent.receive.receiver import Receiver, ReceiveSettings
from agent.receive.store import Arrival, DeviceReport, Hole, SqliteStore

__all__ = ["Arrival", "DeviceReport", "Hole", "ReceiveSettings", "Receiver", "SqliteStore"]
