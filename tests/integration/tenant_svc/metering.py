"""Tenants with allowances and levels, made for one test each, and what the ledger says about them."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import new_tenant


class Allowances:
    """Writes what the ledger reads, past every use case but the ledger's own."""

    def __init__(self, superuser: asyncpg.Connection[asyncpg.Record], tenants: Tenants) -> None:
        self.superuser = superuser
        self._tenants = tenants

    async def tenant(self, **limits: int | None) -> TenantId:
        """A tenant with these limits, None being unlimited."""
        made = await self._tenants.create(new_tenant(), None)
        for feature, limit in limits.items():
            await self.limit(made.id, feature, limit)
        return made.id

    async def feature(self, type_: str = "METERED", period: str = "DAY") -> str:
        """A feature that no plan speaks of."""
        id_ = f"f_{uuid.uuid4().hex[:20]}"
        await self.superuser.execute(
            """insert into tenant.features (feature_id, type, display_name, unit, period, rollout_plan_ids, create_time,
            update_time, version) values ($1, $2, 'A feature', 'piece', $3, '[]', now(), now(), 1)""",
            id_, type_, period if type_ == "METERED" else "",
        )  # fmt: skip
        return id_

    async def limit(self, tenant: TenantId, feature: str, limit: int | None, expires: datetime | None = None) -> None:
        """Sets what the tenant has of a feature."""
        value = {"unlimited": True} if limit is None else {"limit": limit}
        await self.superuser.execute(
            """insert into tenant.overrides values ($1, $2, $3, 'test', $4, now())
            on conflict (tenant_id, feature_id)
            do update set value = excluded.value, expire_time = excluded.expire_time""",
            tenant, feature, json.dumps(value), expires,
        )  # fmt: skip

    async def plan(self, tenant: TenantId, plan: str) -> None:
        """Puts the tenant on the first version of a plan."""
        await self.superuser.execute(
            "update tenant.tenants set plan_id = $2, plan_version = 1 where tenant_id = $1", tenant, plan
        )

    async def grant(self, tenant: TenantId, feature: str, amount: int, **fields: Any) -> uuid.UUID:
        """A grant in force from long ago, with everything left of it."""
        values = {
            "priority": 0,
            "effective_time": datetime.fromisoformat("2020-01-01T00:00Z"),
            "expire_time": None,
            "max_rollover": amount,
            "min_rollover": 0,
            "balance": amount,
            "balance_period": datetime.fromisoformat("2020-01-01T00:00Z"),
            "create_time": datetime.fromisoformat("2020-01-01T00:00Z"),
            **fields,
        }
        id_ = uuid7()
        names = ", ".join(values)
        places = ", ".join(f"${number}" for number in range(5, 5 + len(values)))
        await self.superuser.execute(
            f"""insert into tenant.grants (tenant_id, grant_id, feature_id, amount, reason, {names})
            values ($1, $2, $3, $4, 'test', {places})""",
            tenant, id_, feature, amount, *values.values(),
        )  # fmt: skip
        return id_

    async def void(self, grant: uuid.UUID) -> None:
        """Voids a grant."""
        await self.superuser.execute("update tenant.grants set void_time = now() where grant_id = $1", grant)

    async def somebody_waits(self) -> bool:
        """Whether a transaction waits for another's lock."""
        return bool(
            await self.superuser.fetchval(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
            )
        )

    async def given(self, tenant: TenantId, feature: str) -> list[tuple[int, int]]:
        """What the ledger has given, in total and from the plan, by period."""
        rows = await self.superuser.fetch(
            """select given, from_plan from tenant.quota_ledger where tenant_id = $1 and feature_id = $2
            order by period_start""", tenant, feature,
        )  # fmt: skip
        return [(row["given"], row["from_plan"]) for row in rows]

    async def balance(self, grant: uuid.UUID) -> int:
        """What is stored as left of a grant."""
        found = await self.superuser.fetchval("select balance from tenant.grants where grant_id = $1", grant)
        return int(found)

    async def burnt(self, grant: uuid.UUID) -> list[int]:
        """What a grant has given, by period."""
        rows = await self.superuser.fetch(
            "select amount from tenant.grant_burns where grant_id = $1 order by period_start", grant
        )
        return [row["amount"] for row in rows]


@pytest.fixture(scope="session")
async def allowances(migrated: WorkerDatabase, tenants: Tenants) -> AsyncIterator[Allowances]:
    superuser = await connect(migrated.admin_url)
    yield Allowances(superuser, tenants)
    await superuser.close()


@pytest.fixture(scope="session")
def ledger(doors: Doors) -> Ledger:
    return Ledger(doors, StoredReservations(doors))


@pytest.fixture(scope="session")
def allocations(doors: Doors, ledger: Ledger) -> Allocations:
    return Allocations(doors, ledger, uuid7)


@pytest.fixture(scope="session")
def gauges(doors: Doors) -> Gauges:
    return Gauges(doors)


def ledger_at(doors: Doors, moment: datetime | None = None) -> Ledger:
    """The ledger, with another time than the database's clock."""
    return Ledger(doors, StoredReservations(doors), moment)


async def lease_one(ledger: Ledger, tenant: TenantId, meter: str, want: int, need: int = 1) -> Slice:
    """Leases from one meter."""
    (only,) = await ledger.lease(tenant, [Ask(meter, want, need)])
    return only
