"""Jobs that change a tenant's plan."""

from __future__ import annotations

import logging

from tenantmesh.chassis.jobs.queue import Handler
from tenantmesh.tenant_svc.operations.operation import Operation, parse_name
from tenantmesh.tenant_svc.plan_changes.executor import MigrationSteps

__all__ = ["MigrationJobs"]

_log = logging.getLogger("tenantmesh.worker")


class MigrationJobs(Handler):
    """See Handler. The subject is the operation's name."""

    def __init__(self, steps: MigrationSteps) -> None:
        self._steps = steps

    async def work(self, subject: str) -> None:
        """Takes the operation to its end. Raises Unavailable."""
        try:
            tenant_id, operation_id = parse_name(subject)
        except ValueError:
            _log.exception("a job that says nothing is dropped")  # trying again would not make it say more
            return
        _tell(subject, await self._steps.run(tenant_id, operation_id))

    async def give_up(self, subject: str) -> None:
        """Ends the operation as failed. Raises Unavailable."""
        _tell(subject, await self._steps.give_up(*parse_name(subject)))


def _tell(subject: str, operation: Operation | None) -> None:
    if operation is None:
        _log.error("a job is about an operation that does not exist", extra={"subject": subject})
        return
    change = f"{operation.from_plan} -> {operation.to_plan}"
    _log.info("a plan migration has ended", extra={"subject": subject, "state": operation.state.value, "plan": change})
