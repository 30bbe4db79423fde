"""Entitlements on a real PostgreSQL: the use cases, two tenants, and a catalog of the test's own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.checks.checks import Checks, Explanation
from tenantmesh.tenant_svc.checks.decision import Decision
from tenantmesh.tenant_svc.checks.explanation import steps
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.grants.rules import GrantDraft
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.viewers import Viewer
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import new_tenant

ACTOR = "key-of-an-operator"
METER = "api_requests"


class Rows:
    """Writes what other capabilities write, past their use cases."""

    def __init__(self, superuser: asyncpg.Connection[asyncpg.Record]) -> None:
        self.superuser = superuser

    async def spent(self, tenant: TenantId, given: int, from_plan: int, day: str = "today") -> None:
        """What the ledger has given of the API requests of a day."""
        await self.superuser.execute(
            f"""insert into tenant.quota_ledger values ($1, $2, date_trunc('day', timestamptz '{day}', 'UTC'), $3, $4,
            now()) on conflict (tenant_id, feature_id, period_start)
            do update set given = excluded.given, from_plan = excluded.from_plan""",
            tenant, METER, given, from_plan,
        )  # fmt: skip

    async def level(self, tenant: TenantId, gauge: str, level: int) -> None:
        """The level of a gauge."""
        await self.superuser.execute(
            """insert into tenant.gauges values ($1, $2, $3, null, now())
            on conflict (tenant_id, feature_id) do update set level = excluded.level""",
            tenant, gauge, level,
        )  # fmt: skip

    async def expire(self, table: str, tenant: TenantId) -> None:
        """Lets the tenant's overrides or grants have ended."""
        await self.superuser.execute(
            f"update tenant.{table} set expire_time = now() - interval '1 s' where tenant_id = $1",
            tenant,
        )

    async def feature(self, type_: str = "BOOLEAN", share: int | None = None, period: str = "") -> str:
        """A feature that no plan speaks of, but those that have all."""
        id_ = f"f_{uuid.uuid4().hex[:20]}"
        await self.superuser.execute(
            """insert into tenant.features values ($1, $2, 'A feature', '', $4, $3, '[]', now(), now(), 1)""",
            id_, type_, share, period,
        )  # fmt: skip
        return id_

    async def delete(self, tenant: TenantId) -> None:
        """Marks the tenant as deleted."""
        await self.superuser.execute("update tenant.tenants set state = 'DELETED' where tenant_id = $1", tenant)

    async def count(self, table: str, tenant: TenantId) -> int:
        """How many rows the tenant has."""
        statement = f"select count(*) from tenant.{table} where tenant_id = $1"
        return int(await self.superuser.fetchval(statement, tenant))

    async def changes(self, tenant: TenantId) -> int:
        """How many entries the tenant's history has after its first plan."""
        return await self.count("entitlement_events", tenant) - 1

    async def somebody_waits_for_the_log(self) -> bool:
        """Whether a transaction waits for the lock under which positions are drawn."""
        statement = """select count(*) from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())"""
        return bool(await self.superuser.fetchval(statement))


class Pool:
    """What lies ready, as the founder's function would say it; `down` makes it fail."""

    def __init__(self) -> None:
        self.units: dict[tuple[TenantId, str], int] = {}
        self.asked: list[tuple[TenantId, tuple[str, ...]]] = []
        self.down: Exception | None = None
        self.most_at_once = 0
        self._open = 0

    async def __call__(self, tenant_id: TenantId, meters: Sequence[str]) -> Mapping[str, int]:
        self.asked.append((tenant_id, tuple(meters)))
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        await asyncio.sleep(0)
        self._open -= 1
        if self.down is not None:
            raise self.down
        return {meter: self.units[tenant_id, meter] for meter in meters if (tenant_id, meter) in self.units}


@pytest.fixture(scope="session")
async def rows(migrated: WorkerDatabase) -> AsyncIterator[Rows]:
    superuser = await connect(migrated.admin_url)
    yield Rows(superuser)
    await superuser.close()


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def entitlements(doors: Doors, pool: Pool) -> EntitlementQueries:
    return EntitlementQueries(doors, pool)


@pytest.fixture
def checks(doors: Doors, entitlements: EntitlementQueries) -> Checks:
    return Checks(doors, entitlements)


@pytest.fixture(scope="session")
def overrides(doors: Doors) -> Overrides:
    return Overrides(doors)


@pytest.fixture(scope="session")
def grants(doors: Doors) -> Grants:
    return Grants(doors, uuid7)


@pytest.fixture(scope="session")
def history(doors: Doors) -> History:
    return History(doors)


@pytest.fixture
async def acme(tenants: Tenants) -> Tenant:
    """A tenant on premium."""
    return await tenants.create(new_tenant(), None)


@pytest.fixture
async def globex(tenants: Tenants) -> Tenant:
    """Another tenant on premium."""
    return await tenants.create(new_tenant(), None)


def override_draft(
    feature: str = "users", value: FeatureValue | None = None, *, reason: str = "why", expire: datetime | None = None
) -> OverrideDraft:
    return OverrideDraft(feature, "", value or FeatureValue.of_limit(7), reason, expire)


def grant_draft(amount: int = 100, feature: str = METER, **fields: Any) -> GrantDraft:
    defaults: dict[str, Any] = {
        "priority": 0,
        "effective_time": None,
        "expire_time": None,
        "max_rollover": None,
        "min_rollover": 0,
        "reason": "top-up",
    }
    return GrantDraft(feature=feature, amount=amount, **{**defaults, **fields})


def told_steps(explanation: Explanation) -> list[str]:
    """The sentences for an operator."""
    return steps(explanation.standing.entitlements, explanation.decision, Viewer(notes=True, every_plan=True))


def decided(answer: tuple[Standing, Decision] | MeshError) -> Decision:
    assert not isinstance(answer, MeshError), answer
    return answer[1]
