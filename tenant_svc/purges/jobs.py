"""Jobs of purges: one for the end of the grace period, which starts a purge, and one that carries it out."""

from __future__ import annotations

import uuid

import structlog

from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.operations.operation import Operation, parse_mesh_name
from tenantmesh.tenant_svc.purges.executor import PurgeExecutor
from tenantmesh.tenant_svc.purges.purges import Purges

__all__ = ["GraceJobs", "PurgeJobs"]

_log = structlog.get_logger()


class GraceJobs(JobHandler):
    """See JobHandler. The subject is `tenants/<id>/purge`. A tenant that was brought back, or whose grace period was
    extended, is left alone: its new deletion has a job of its own."""

    def __init__(self, purges: Purges) -> None:
        self._purges = purges

    async def cause(self, subject: str) -> TraceContext | None:
        """Return no trace: the deletion was long ago."""
        del subject
        return None

    async def work(self, subject: str) -> None:
        """Start the purge, if it is due. Raises Unavailable."""
        try:
            tenant_id = _tenant_in(subject)
        except ValueError:  # a later attempt would fail in the same way
            _log.exception("dropped a job whose payload is not a tenant's purge", payload=subject)
            return
        operation = await self._purges.begin_if_due(tenant_id)
        _log.info("the grace period of a tenant", subject=subject, purge=None if operation is None else operation.name)

    async def give_up(self, subject: str) -> None:
        """Do nothing: the sweep finds a tenant that no job has started to purge."""


class PurgeJobs(JobHandler):
    """See JobHandler. The subject is the operation's name."""

    def __init__(self, executor: PurgeExecutor) -> None:
        self._executor = executor

    async def cause(self, subject: str) -> TraceContext | None:
        """Return the trace of the call that asked for the operation. Raises Unavailable."""
        try:
            return await self._executor.cause(parse_mesh_name(subject))
        except ValueError:  # `work` reports it
            return None

    async def work(self, subject: str) -> None:
        """Carry the operation on to its end. Raises Unavailable."""
        try:
            operation_id = parse_mesh_name(subject)
        except ValueError:
            _log.exception("dropped a job whose payload is not an operation name", payload=subject)
            return
        _report(subject, await self._executor.run(operation_id))

    async def give_up(self, subject: str) -> None:
        """End the operation as failed. Raises Unavailable."""
        _report(subject, await self._executor.give_up(parse_mesh_name(subject)))


def _report(subject: str, operation: Operation | None) -> None:
    if operation is None:
        _log.error("dropped a job whose operation does not exist", subject=subject)
        return
    reason = None if operation.error is None else operation.error.message
    _log.info("a purge has ended", subject=subject, state=operation.state.value, reason=reason)


def _tenant_in(subject: str) -> TenantId:
    match subject.split("/"):
        case ["tenants", tenant, "purge"]:
            return TenantId(uuid.UUID(tenant))
    raise ValueError("not the purge of a tenant")
