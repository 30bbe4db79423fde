"""The kind of job that checks a login host."""

from __future__ import annotations

from datetime import datetime

from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.runtime.database import Connection

__all__ = ["CHECK_LOGIN_HOST", "schedule_check"]

CHECK_LOGIN_HOST = "check_login_host"


async def schedule_check(connection: Connection, subject: str, not_before: datetime, priority: int) -> None:
    """Enqueue a check of the host, to be made from that time on."""
    await enqueue(connection, CHECK_LOGIN_HOST, subject, not_before, priority)
