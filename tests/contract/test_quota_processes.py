"""Exactly the allowance is served, by however many processes, with the real pool and the real ledger."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.contract.takers import taken_by
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.metering import Allowances

METER = "api_requests"


@pytest.mark.parametrize("limit", [7, 1_000, 50_000])
async def test_four_processes_serve_exactly_the_allowance(postgres: WorkerDatabase, valkey: Store, limit: int) -> None:
    settings = DatabaseSettings(url=postgres.url("tenant_app"), system_url=postgres.url("tenant_directory"))
    database, superuser = Database(settings, schema="tenant"), await connect(postgres.admin_url)
    await database.open()
    allowances = Allowances(superuser, Tenants(Doors(database, OUTAGE), uuid7, record_first_plan, LifeSettings()))
    tenant = await allowances.tenant(**{METER: limit})
    urls = [each.get_secret_value() for each in (postgres.url("tenant_app"), valkey.url)]
    found = await taken_by("tests.contract.quota_taker", *urls, str(tenant), METER)
    given = await allowances.given(tenant, METER)
    out = await allowances.superuser.fetchval(
        "select sum(amount)::bigint from tenant.quota_leases where tenant_id = $1 and feature_id = $2", tenant, METER
    )
    await superuser.close()
    await database.close()
    served = sum(each["served"] for each in found)
    asked = sum(each["pool_calls"] for each in found), sum(each["ledger_calls"] for each in found)
    lost = sum(each["forfeited"] for each in found)
    print(f"limit {limit}: served {served}, asked pool and ledger {asked}, forfeited {lost}")
    assert served + lost <= limit, "never one too many"
    assert served + lost == limit, "and never one too few but for what was lost"
    assert [total for total, _ in given] == [limit]
    assert out == limit, "each unit that is given out is booked to who leased it"
