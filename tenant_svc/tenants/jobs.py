"""The job that ends former slugs when their time is over."""

from __future__ import annotations

import structlog

from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates, former_slugs_subject

__all__ = ["FormerSlugJobs"]

_log = structlog.get_logger()


class FormerSlugJobs(JobHandler):
    """See JobHandler. The subject is that of `former_slugs_subject`."""

    def __init__(self, updates: TenantUpdates) -> None:
        self._updates = updates

    async def cause(self, _subject: str) -> TraceContext | None:
        """Return None: the change of the slug is long ago."""
        return None

    async def work(self, subject: str) -> None:
        """End the former slugs whose time is over. Raises Unavailable."""
        tenant_id = _tenant_of(subject)
        if tenant_id is None:  # a later attempt would fail in the same way
            _log.error("dropped a job whose payload names no tenant's slugs", payload=subject)
            return
        await self._updates.end_former_slugs(tenant_id)

    async def give_up(self, subject: str) -> None:
        """Log it: the slugs lead nowhere in the database, but processes may still know them."""
        _log.error("former slugs were not ended", subject=subject)


def _tenant_of(subject: str) -> TenantId | None:
    tenant_id = parse_tenant_id(subject.removeprefix("tenants/").partition("/")[0])
    return tenant_id if tenant_id is not None and former_slugs_subject(tenant_id) == subject else None
