"""Store and forward: records are durable on disk before anyone sends them.

:class:`Outbox` is the store, :class:`OutboxWriter` the thread that commits to it. Neither knows of cameras, pixels
or networks.
"""

from agent.outbox.batch import Batch, Depth
from agent.outbox.rows import Rank, Row, record_id
from agent.outbox.store import Outbox
from agent.outbox.writer import OutboxWriter, WriterState

__all__ = ["Batch", "Depth", "Outbox", "OutboxWriter", "Rank", "Row", "WriterState", "record_id"]
