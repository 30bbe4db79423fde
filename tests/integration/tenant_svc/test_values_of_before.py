"""Times that were stored as infinity before they were refused: the migration makes their tenants readable again."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.row_security import verify
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.rules import FeatureCheck
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tables import metadata
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.earlier import empty_database, migrations_through, tenant_of_before
from tests.integration.tenant_svc.entitled import METER
from tests.integration.tenant_svc.stage import as_superuser

LAST_ACCEPTED = datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1)
LAST_BEFORE = "0014"
GRANT = """insert into tenant.grants (tenant_id, grant_id, feature_id, amount, priority, effective_time, expire_time,
    max_rollover, min_rollover, reason, balance, balance_period, create_time)
    values ($1, $2, 'api_requests', 5, 0, $3::text::timestamptz, $4::text::timestamptz, 5, 0, '', 5,
    date_trunc('day', now()), now())"""
OPERATION = """insert into tenant.operations (tenant_id, operation_id, type, state, request, progress,
    cancel_requested, actor, effective_time, create_time)
    values ($1, $2, 'MIGRATE_TENANT_PLAN', 'APPLYING', $3, $4, false, 'key', now(), now())"""
REQUEST = {
    "plan_id": "basic",
    "plan_version": 0,
    "timing": "IMMEDIATE",
    "over_limit_policy": "GRACE",
    "grace_until": datetime.max.replace(tzinfo=UTC).isoformat(),
    "reason": "",
}
BEGUN = {"from_plan": {"id": "premium", "version": 1}, "to_plan": {"id": "basic", "version": 1}, "over_limits": []}


class Old:
    """A tenant in a database from before, in which times may be infinite."""

    def __init__(self, database: WorkerDatabase, opened: Database, tenant_id: TenantId) -> None:
        self.database = database
        self.opened = opened
        self.doors = Doors(opened, OUTAGE)
        self.tenant_id = tenant_id

    async def stored(self, statement: str, *arguments: object) -> None:
        await as_superuser(self.database, statement, self.tenant_id, *arguments)

    async def grant(self, effective: str, expire: str | None) -> uuid.UUID:
        grant_id = uuid7()
        await self.stored(GRANT, grant_id, effective, expire)
        return grant_id


@pytest.fixture
async def old(postgres: WorkerDatabase, tmp_path: Path) -> AsyncIterator[Old]:
    with empty_database(postgres) as own, migrations_through(LAST_BEFORE, tmp_path) as before:
        await migrations.upgrade(before, own.url("tenantmesh_migrate"), "tenant_owner")
        tenant_id = TenantId(await tenant_of_before(own))
        settings = DatabaseSettings(url=own.url("tenant_app"), system_url=own.url("tenant_directory"))
        database = Database(settings, schema="tenant")
        await database.open()
        yield Old(own, database, tenant_id)
        await database.close()


async def upgraded(old: Old) -> None:
    await migrations.upgrade("tenantmesh.tenant_svc", old.database.url("tenantmesh_migrate"), "tenant_owner")
    await verify(old.opened, metadata, package="tenantmesh.tenant_svc")


async def test_a_tenant_with_infinite_times_is_read_again(old: Old) -> None:
    never_ends = await old.grant("now", "infinity")
    never_begins = await old.grant("infinity", None)
    always = await old.grant("-infinity", None)
    override = "insert into tenant.overrides values ($1, 'users', '{\"limit\": 7}', '', 'infinity', now())"
    await old.stored(override)
    terms = """insert into tenant.plan_terms values ($1, 'GRACE', 'infinity', '[{"id": "premium", "version": 1}]')"""
    await old.stored(terms)
    queries = EntitlementQueries(old.doors)
    await upgraded(old)
    page = await Grants(old.doors, uuid7).page(old.tenant_id, "", 0, "")
    grants = {listed.grant.id: listed.grant for listed in page.items}
    assert grants[never_ends].expire_time is None
    assert (grants[never_begins].effective_time, grants[never_begins].expire_time) == (LAST_ACCEPTED, None)
    assert grants[always].effective_time == grants[always].create_time
    found = (await queries.get(old.tenant_id)).entitlements
    assert found.features[METER].granted == 10, "one begins at the end of time only"
    assert (found.terms.grace_until, found.valid_for is None) == (LAST_ACCEPTED, False)
    (kept,) = (await Overrides(old.doors).page(old.tenant_id, 0, "")).items
    assert (kept.expire_time, found.features["users"].limit) == (None, 7)
    (answer,) = await Checks(old.doors, queries).check_many([FeatureCheck(str(old.tenant_id), METER, 1)])
    assert isinstance(answer, tuple)


async def test_a_plan_change_that_was_tried_again_and_again_is_made(old: Old) -> None:
    operation_id = uuid7()
    await old.stored(OPERATION, operation_id, json.dumps(REQUEST), json.dumps(BEGUN))
    await upgraded(old)
    ended = await PlanChangeExecutor(old.doors).run(old.tenant_id, operation_id)
    assert ended is not None
    assert ended.error is None
    terms = (await EntitlementQueries(old.doors).get(old.tenant_id)).entitlements.terms
    assert terms.grace_until == LAST_ACCEPTED


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("grants", "expire_time = 'infinity'"),
        ("grants", "effective_time = '-infinity'"),
        ("grants", "expire_time = '9999-12-31 23:59:59.999999+00'"),
        ("grants", "effective_time = '0044-03-15 12:00+00 BC'"),
        ("grants", "amount = 9007199254740992"),
        ("grants", "balance = 6"),
        ("grants", "max_rollover = 6"),
        ("grants", "priority = 1001"),
        ("overrides", "expire_time = 'infinity'"),
        ("overrides", """value = '{"limit": 9007199254740992}'"""),
        ("overrides", """value = '{"limit": -1}'"""),
        ("plan_terms", "grace_until = 'infinity'"),
        ("gauges", "level = 9007199254740992"),
        ("quota_ledger", "given = 4611686018427387905"),
    ],
)
async def test_the_tables_refuse_what_the_rules_refuse(
    migrated: WorkerDatabase, acme: Tenant, table: str, change: str
) -> None:
    rows: dict[str, tuple[str, list[Any]]] = {
        "grants": (GRANT, [uuid7(), "now", None]),
        "overrides": ("""insert into tenant.overrides values ($1, 'users', '{"limit": 7}', '', null, now())""", []),
        "plan_terms": ("insert into tenant.plan_terms values ($1, 'GRACE', now(), '[]')", []),
        "gauges": ("insert into tenant.gauges values ($1, 'users', 1, null, now())", []),
        "quota_ledger": ("insert into tenant.quota_ledger values ($1, 'api_requests', now(), 1, 1, now())", []),
    }
    statement, arguments = rows[table]
    await as_superuser(migrated, statement, acme.id, *arguments)
    with pytest.raises(asyncpg.CheckViolationError):
        await as_superuser(migrated, f"update tenant.{table} set {change} where tenant_id = $1", acme.id)
