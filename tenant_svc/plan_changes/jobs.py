"""Jobs that change a tenant's plan."""

from __future__ import annotations

import structlog

from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.tenant_svc.operations.operation import Operation, parse_name
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor

__all__ = ["PlanChangeJobs"]

_log = structlog.get_logger()


class PlanChangeJobs(JobHandler):
    """See JobHandler. The subject is the operation's name."""

    def __init__(self, executor: PlanChangeExecutor) -> None:
        self._executor = executor

    async def cause(self, subject: str) -> TraceContext | None:
        """Return the trace of the call that asked for the operation. Raises Unavailable."""
        try:
            return await self._executor.cause(*parse_name(subject))
        except ValueError:  # `work` reports it
            return None

    async def work(self, subject: str) -> None:
        """Carry the operation on to its end. Raises Unavailable."""
        try:
            tenant_id, operation_id = parse_name(subject)
        except ValueError:  # a later attempt would fail in the same way
            _log.exception("dropped a job whose payload is not an operation name", payload=subject)
            return
        _report(subject, await self._executor.run(tenant_id, operation_id))

    async def give_up(self, subject: str) -> None:
        """End the operation as failed. Raises Unavailable."""
        _report(subject, await self._executor.give_up(*parse_name(subject)))


def _report(subject: str, operation: Operation | None) -> None:
    if operation is None:
        _log.error("dropped a job whose operation does not exist", subject=subject)
        return
    _log.info("a change of a plan has ended", subject=subject, state=operation.state.value)
