"""Jobs that import tenants."""

from __future__ import annotations

import structlog

from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.tenant_svc.bulk.import_executor import ImportExecutor
from tenantmesh.tenant_svc.operations.operation import Operation, parse_mesh_name

__all__ = ["ImportJobs"]

_log = structlog.get_logger()


class ImportJobs(JobHandler):
    """See JobHandler. The subject is the operation's name."""

    def __init__(self, executor: ImportExecutor) -> None:
        self._executor = executor

    async def cause(self, subject: str) -> TraceContext | None:
        """Return the trace of the call that asked for the import. Raises Unavailable."""
        try:
            return await self._executor.cause(parse_mesh_name(subject))
        except ValueError:  # `work` reports it
            return None

    async def work(self, subject: str) -> None:
        """Carry the import on to its end. Raises Unavailable."""
        try:
            operation_id = parse_mesh_name(subject)
        except ValueError:  # a later attempt would fail in the same way
            _log.exception("dropped a job whose payload is not the name of an operation of the mesh", payload=subject)
            return
        _report(subject, await self._executor.run(operation_id))

    async def give_up(self, subject: str) -> None:
        """End the import as failed. Raises Unavailable."""
        _report(subject, await self._executor.give_up(parse_mesh_name(subject)))


def _report(subject: str, operation: Operation | None) -> None:
    if operation is None:
        _log.error("dropped a job whose operation does not exist", subject=subject)
        return
    _log.info("an import of tenants has ended", subject=subject, state=operation.state.value)
