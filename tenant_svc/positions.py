"""Positions in the event logs of this service. They follow commit order, over all logs together.

A writer locks the log before it draws a position, and holds the lock until its transaction is visible. A reader that
has seen a position has therefore seen every event before it.
"""

from __future__ import annotations

from sqlalchemy import Sequence

from tenantmesh.chassis.locks import hold
from tenantmesh.runtime import locks
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.schema import SCHEMA, metadata

__all__ = ["lock_log", "positions"]

positions = Sequence("tenant_event_positions", schema=SCHEMA, metadata=metadata)
"""Draw the next value only after `lock_log`. The sequence caches none ahead."""


async def lock_log(connection: Connection) -> None:
    """Make this transaction the only one that writes events until it ends. Call this before drawing a position, and
    after every other lock."""
    await hold(connection, locks.EVENT_LOG)
