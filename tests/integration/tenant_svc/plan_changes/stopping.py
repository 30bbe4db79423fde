"""`python -m … <where> <operation id>`: a worker that stops at a place of the migration, says so on a line, and goes on
when it is sent one. What it stops at is the product's own code; only this subclass knows how to wait there."""

from __future__ import annotations

import asyncio
import sys
import uuid
from typing import Any, cast

from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.process import run
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.telemetry import setup
from tenantmesh.tenant_svc.allowances.wiring import pooled_units
from tenantmesh.tenant_svc.entitlements.entitlement import TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.jobs import PlanChangeJobs
from tenantmesh.tenant_svc.plan_changes.plan_changes import PLAN_CHANGE_JOB
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.settings import TenantWorkerSettings
from tenantmesh.tenant_svc.worker.app import WorkerApp

PLACES = ("taken", "begun", "checked", "changed", "committed")
"""Taken from the queue; after the first and the second commit; before the third; after it, before the queue knows."""


class StoppingSteps(PlanChangeExecutor):
    def __init__(self, doors: Doors, pooled: Pooled | None, place: str, operation_id: uuid.UUID) -> None:
        super().__init__(doors, pooled)
        self._place = place
        self._operation_id = operation_id

    async def begin(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        await self._stop("taken", operation_id)
        operation = await super().begin(tenant_id, operation_id)
        await self._stop("begun", operation_id)
        return operation

    async def check(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        operation = await super().check(tenant_id, operation_id)
        await self._stop("checked", operation_id)
        return operation

    async def apply(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        operation = await super().apply(tenant_id, operation_id)
        await self._stop("committed", operation_id)
        return operation

    async def change(self, connection: Connection, operation: Operation, before: TenantEntitlements) -> Operation:
        changed = await super().change(connection, operation, before)
        await self._stop("changed", operation.id)
        return changed

    async def _stop(self, place: str, operation_id: uuid.UUID) -> None:
        if (place, operation_id) == (self._place, self._operation_id):
            print(f"stopped where it is {place}", flush=True)  # read by the test
            await asyncio.to_thread(sys.stdin.readline)


def main() -> int:
    place, operation_id = sys.argv[1], uuid.UUID(sys.argv[2])
    settings = cast("type[Any]", TenantWorkerSettings)()  # pydantic reads the environment
    telemetry = setup(settings.telemetry, "stopping")

    def capabilities(resources: TenantResources) -> list[Capability]:
        steps = StoppingSteps(resources.doors, pooled_units(resources), place, operation_id)
        return [Capability(name="plan_changes", jobs={PLAN_CHANGE_JOB: PlanChangeJobs(steps)})]

    app = WorkerApp(settings, telemetry, capabilities)
    return run(app, telemetry, settings.worker.grace)


if __name__ == "__main__":
    sys.exit(main())
