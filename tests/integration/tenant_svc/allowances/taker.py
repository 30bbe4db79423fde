"""A process that takes from an allowance, for tests of several at once: `python -m … URL TENANT METER`.

Leases one to seven units at a time until nothing is left, gives some back, and prints how many it kept.
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import SecretStr

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.schema import OUTAGE
from tests.integration.tenant_svc.metering import ledger_at

_TASKS = 4
Answer = TypeVar("Answer")


async def take(ledger: Ledger, tenant: TenantId, meter: str) -> int:
    kept = 0
    while (given := (await insisted(ledger.lease, tenant, [Ask(meter, random.randint(1, 7), 1)]))[0]).granted:
        back = random.randint(0, given.granted - 1)
        if back:
            await insisted(ledger.give_back, tenant, meter, back, given.period_start)
        kept += given.granted - back
    return kept


async def insisted(call: Callable[..., Awaitable[Answer]], *arguments: Any) -> Answer:
    """The answer, however busy the database is. No contact is lost here, so Unavailable means that nothing was done."""
    while True:
        try:
            return await call(*arguments)
        except Unavailable:
            continue


async def main(url: str, tenant: str, meter: str) -> None:
    database = Database(DatabaseSettings(url=SecretStr(url)), schema="tenant")
    ledger, tenant_id = ledger_at(Doors(database, OUTAGE)), TenantId(uuid.UUID(tenant))
    print("ready", flush=True)
    sys.stdin.readline()
    kept = await asyncio.gather(*(take(ledger, tenant_id, meter) for _ in range(_TASKS)))
    await database.close()
    print(sum(kept), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
