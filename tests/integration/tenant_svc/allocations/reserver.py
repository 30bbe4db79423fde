"""A process that reserves 15 for two seconds, takes 5 more in a transaction that it never ends, and waits to be killed:
`python -m … URL TENANT`."""

from __future__ import annotations

import asyncio
import sys
import uuid
from datetime import timedelta

from pydantic import SecretStr

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.allocations.allocation import Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances import accounts
from tenantmesh.tenant_svc.schema import OUTAGE
from tests.integration.tenant_svc.metering import ledger_at


async def main(url: str, tenant: str) -> None:
    tenant_id = TenantId(uuid.UUID(tenant))
    doors = Doors(Database(DatabaseSettings(url=SecretStr(url)), schema="tenant"), OUTAGE)
    allocations = Allocations(doors, ledger_at(doors), uuid7)
    new = NewAllocation({"api_requests": 15}, Mode.NORMAL, timedelta(seconds=2))
    await allocations.allocate(tenant_id, new, None)
    print("reserved 15", flush=True)
    async with doors.tenant(tenant_id) as connection:
        found = await accounts.lock(connection, tenant_id, ["api_requests"], None, open_all=True)
        found = await accounts.with_grants(connection, tenant_id, found, ["api_requests"], None)
        await accounts.take(connection, tenant_id, found, {"api_requests": 5})
        print("uncommitted 5", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
