"""The jobs that a worker runs after the caller's requests: checks of hosts, plan changes and purges."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.operations.operation import OperationState
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.integration.tenant_svc.domain_proofs.conftest import Names
from tests.integration.tenant_svc.purges.purging import Purging


@dataclass(frozen=True, kw_only=True)
class Work:
    plan_changes: PlanChangeExecutor
    hosts: Names
    purges: Purging

    async def prove(self, tenant_id: str, host: str) -> None:
        """Adds the host to the tenant and proves it."""
        await self.hosts.verified(TenantId(uuid.UUID(tenant_id)), host)

    async def change_plan(self, name: str) -> str:
        """Carries the operation of that name out; returns its id."""
        _, tenant, _, operation = name.split("/")
        ended = await self.plan_changes.run(TenantId(uuid.UUID(tenant)), uuid.UUID(operation))
        assert ended is None or ended.done, ended
        return operation

    async def purge(self, name: str) -> None:
        """Carries the purge of that name out."""
        purged = await self.purges.executor().run(uuid.UUID(name.removeprefix("operations/")))
        assert purged is not None
        assert purged.state is OperationState.SUCCEEDED, purged
