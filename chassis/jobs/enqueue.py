"""The job queue as those see it who put jobs in: one insert in the transaction that makes the job necessary.

The tables are pgqueuer's; taking jobs out and working on them is `chassis.jobs.queue`, with that library. A job says
whose operation it is about and which, and nothing else: the operation's row is the truth.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, insert, literal_column
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.database import Connection, compiled

__all__ = ["enqueue"]

# Only the columns that the app role may fill; the library's own defaults fill the others.
_jobs = Table(
    "pgqueuer",
    MetaData(schema="jobs"),
    Column("priority", Integer),
    Column("entrypoint", Text),
    Column("payload", LargeBinary),
    Column("execute_after", TIMESTAMP(timezone=True)),
    Column("status", Text),
)
_ENQUEUE = compiled(
    insert(_jobs).values(
        priority=literal_column("0"),
        entrypoint=bindparam("kind"),
        payload=bindparam("operation"),
        execute_after=bindparam("not_before"),
        status=literal_column("'queued'"),
    )
)


async def enqueue(connection: Connection, kind: str, operation: str, not_before: datetime) -> None:
    """Puts a job about the operation of that name into the queue, to be worked on from then. The job is there when, and
    only when, this transaction commits. The tenant in the name must be the transaction's."""
    await connection.execute(_ENQUEUE, kind=kind, operation=operation.encode(), not_before=not_before)
