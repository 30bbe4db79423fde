"""`python -m … <place> <token> <name>`: redeems a link, stops at a place and says so on a line. It is killed there."""

from __future__ import annotations

import asyncio
import os
import sys

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Database
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.setup_links.setup_link import SetupIntent
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.setup_links.steps import StepResult
from tests.integration.tenant_svc.setup_links.steps import KeysOfMakers, RecordingStep

PLACES = ("done", "committed")
"""After the step, before its commit; and after the commit, before the answer."""


async def stop(place: str) -> None:
    print(f"stopped where it is {place}", flush=True)  # read by the test
    await asyncio.Event().wait()


class StoppingStep(RecordingStep):
    async def run(self, connection: Connection, tenant_id: TenantId, name: str, actor: str) -> StepResult:
        result = await super().run(connection, tenant_id, name, actor)
        if sys.argv[1] == "done":
            await stop("done")
        return result


async def main() -> None:
    urls = {name: os.environ[f"TENANTMESH_DATABASE_{name.upper()}"] for name in ("url", "system_url")}
    database = Database(DatabaseSettings.model_validate(urls), schema="tenant")
    await database.open()
    steps = {SetupIntent.LOGIN_HOST: StoppingStep()}
    await SetupLinks(Doors(database, OUTAGE), steps, KeysOfMakers()).redeem(*sys.argv[2:])
    await stop("committed")


if __name__ == "__main__":
    asyncio.run(main())
