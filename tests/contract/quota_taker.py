"""A process that charges one tenant's allowance as fast as it can, for tests of several at once:
`python -m … DATABASE_URL STORE_URL TENANT METER`.

Says "ready", waits for a line, charges until nothing has been left for two seconds, and prints as JSON how many charges
were served and what that took.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from dataclasses import asdict
from datetime import timedelta

from pydantic import SecretStr

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import DatabaseSettings, RedisSettings
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.schema import OUTAGE

CALLERS = 4
PATIENCE = 2.0


async def main(database_url: str, store_url: str, tenant: str, meter: str) -> None:
    database = Database(DatabaseSettings(url=SecretStr(database_url)), schema="tenant")
    await database.open()
    client = connect(RedisSettings(url=SecretStr(store_url), timeout=timedelta(seconds=5)))
    doors = Doors(database, OUTAGE)
    # Each is a service of its own: what one leases for the pool, others take and return.
    ledger = PostgresLedger(Ledger(doors, StoredReservations(doors)), name=f"service-{os.getpid()}")
    quotas = LeasedQuota(ledger, RedisQuotaPool(client))
    await quotas.start()
    tenant_id, charges, served = TenantId(uuid.UUID(tenant)), (Charge(meter),), 0

    async def caller() -> None:
        nonlocal served
        refused_since: float | None = None
        while refused_since is None or time.monotonic() - refused_since < PATIENCE:
            found = quotas.charge_now(tenant_id, charges, time.perf_counter())
            try:
                found = await quotas.charge(tenant_id, charges) if found is None else found
            except StoreUnavailable:
                continue
            if not isinstance(found, Shortage):
                served += 1
                refused_since = None
            elif refused_since is None:
                refused_since = time.monotonic()
            await asyncio.sleep(0)

    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await quotas.close()
    await client.aclose()
    await database.close()
    print(json.dumps({"served": served, **asdict(quotas.stats)}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
