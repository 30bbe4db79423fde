"""Enqueueing of jobs: one insert in the transaction that makes the job necessary.

The tables are pgqueuer's, and `chassis.jobs.queue` takes jobs with that library. A job holds the name of its subject
and nothing else: the subject's own row is the truth.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, insert, literal_column
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.database import Connection, compiled

__all__ = ["ASKED", "ROUTINE", "enqueue"]

ROUTINE, ASKED = 0, 1
"""Priorities. Jobs that somebody waits for come before those of the product's own, among jobs of the same kind."""

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
        priority=bindparam("priority"),
        entrypoint=bindparam("kind"),
        payload=bindparam("subject"),
        execute_after=bindparam("not_before"),
        status=literal_column("'queued'"),
    )
)


async def enqueue(
    connection: Connection, kind: str, subject: str, not_before: datetime, priority: int = ROUTINE
) -> None:
    """Enqueue a job about the subject of that name, to be done from `not_before` on. The job exists if and only if this
    transaction commits. The tenant in the name must be the transaction's; an operation of the mesh, which has none, is
    enqueued through the system door."""
    await connection.execute(_ENQUEUE, kind=kind, subject=subject.encode(), not_before=not_before, priority=priority)
