"""The kind of job that checks an e-mail domain."""

from __future__ import annotations

from datetime import datetime

from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.runtime.database import Connection

__all__ = ["CHECK_EMAIL_DOMAIN", "schedule_check"]

CHECK_EMAIL_DOMAIN = "check_email_domain"


async def schedule_check(connection: Connection, subject: str, not_before: datetime, priority: int) -> None:
    """Enqueue a check of the domain, to be made from that time on."""
    await enqueue(connection, CHECK_EMAIL_DOMAIN, subject, not_before, priority)
