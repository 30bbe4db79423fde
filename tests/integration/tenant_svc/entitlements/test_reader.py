"""What a tenant is entitled to, read in one statement."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Database, Record, Statement
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.entitlements import reader, repository
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, PlanTerms, Source, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.standing import Spent
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.features.repository import all_features
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.plans import repository as plans
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.entitled import ACTOR, METER, Rows, grant_draft, override_draft
from tests.integration.tenant_svc.stage import as_superuser


async def load(doors: Doors, tenant: Tenant) -> TenantEntitlements:
    async with doors.tenant(tenant.id, read_only=True) as connection:
        found = await reader.load(connection, tenant.id)
    assert found is not None
    return found


async def test_a_tenant_has_what_its_plan_says(doors: Doors, acme: Tenant) -> None:
    found = await load(doors, acme)
    assert (found.plan.id, found.plan.version, found.tenant_id) == ("premium", 1, acme.id)
    assert found.rates == {"api": Rate(200, 400)}
    users, flag = found.features["users"], found.features["biometric_auth"]
    assert (users.limit, users.source, users.feature.type) == (1000, Source.PLAN, FeatureType.GAUGE)
    assert flag.enabled
    assert found.valid_for is None
    assert abs(found.now - datetime.now(UTC)) < timedelta(minutes=5)


async def test_the_catalog_is_as_its_own_repository_reads_it(doors: Doors, acme: Tenant) -> None:
    found = await load(doors, acme)
    async with doors.tenant(acme.id, read_only=True) as connection:
        assert {id_: each.feature for id_, each in found.features.items()} == await all_features(connection)
        assert found.plan == await plans.version(connection, "premium", 1)


async def test_it_costs_one_statement(doors: Doors, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Statement] = []
    fetch_row, this = Connection.fetch_row, asyncio.current_task()

    async def counted(self: Connection, statement: Statement, /, **parameters: Any) -> Record | None:
        if asyncio.current_task() is this:  # a feed that another test left running looks by itself
            ran.append(statement)
        return await fetch_row(self, statement, **parameters)

    monkeypatch.setattr(Connection, "fetch_row", counted)
    await load(doors, acme)
    assert len(ran) == 1


async def test_overrides_and_grants_are_the_tenants_own(
    doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides, grants: Grants, rows: Rows
) -> None:
    expire = datetime.now(UTC) + timedelta(hours=1)
    await overrides.set(acme.id, override_draft(expire=expire), ACTOR)
    held = await grants.create(acme.id, grant_draft(30), None, ACTOR)
    await rows.level(acme.id, "users", 8)
    mine, theirs = await load(doors, acme), await load(doors, globex)
    assert (mine.features["users"].limit, mine.features["users"].source) == (7, Source.OVERRIDE)
    assert mine.features[METER].grants == (held.grant,)
    assert mine.features[METER].granted == 30
    assert mine.over_limit == ("users",)
    assert mine.valid_for is not None
    assert timedelta(minutes=50) < mine.valid_for <= timedelta(hours=1)
    assert theirs.features["users"].limit == 1000
    assert theirs.features[METER].granted == 0
    assert (theirs.over_limit, theirs.levels) == ((), {})
    for table in ("overrides", "grants"):
        await rows.expire(table, acme.id)
    ended = await load(doors, acme)
    assert (ended.features["users"].limit, ended.features[METER].granted) == (1000, 0)
    assert (ended.over_limit, ended.valid_for) == ((), None)


async def test_terms_hold_the_old_limits_until_the_grace_ends(doors: Doors, acme: Tenant, globex: Tenant) -> None:
    async with doors.tenant(acme.id) as connection:
        old = await plans.version(connection, "enterprise", 1)
        assert old is not None
        until = datetime.now(UTC) + timedelta(hours=1)
        await repository.set_terms(connection, acme.id, PlanTerms(OverLimitPolicy.GRACE, until, (old,)))
    found = await load(doors, acme)
    assert (found.features["users"].limit, found.features["users"].source) == (10_000, Source.GRACE)
    assert found.terms == PlanTerms(OverLimitPolicy.GRACE, until, (old,))
    assert found.valid_for is not None
    assert (await load(doors, globex)).terms == PlanTerms()
    async with doors.tenant(acme.id) as connection:
        await repository.set_terms(connection, acme.id, PlanTerms(OverLimitPolicy.READ_ONLY))
    assert (await load(doors, acme)).terms == PlanTerms(OverLimitPolicy.READ_ONLY)
    async with doors.tenant(acme.id) as connection:
        await repository.set_terms(connection, acme.id, None)
    assert (await load(doors, acme)).terms == PlanTerms()


async def test_over_a_limit_a_tenant_is_read_only_where_that_was_chosen_and_heals(
    doors: Doors, acme: Tenant, rows: Rows
) -> None:
    await rows.level(acme.id, "users", 1001)
    found = await load(doors, acme)
    assert (found.over_limit, found.read_only) == (("users",), False)
    async with doors.tenant(acme.id) as connection:
        await repository.set_terms(connection, acme.id, PlanTerms(OverLimitPolicy.READ_ONLY))
    assert (await load(doors, acme)).read_only
    await rows.level(acme.id, "users", 1000)
    assert not (await load(doors, acme)).read_only


async def test_the_revision_grows_with_the_tenants_changes_and_the_catalogs(
    doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides
) -> None:
    before, other = await load(doors, acme), await load(doors, globex)
    await overrides.set(acme.id, override_draft(), ACTOR)
    after = await load(doors, acme)
    assert after.revision == before.revision + 1
    assert (await load(doors, globex)).revision == other.revision
    async with doors.system("a feature changes") as connection:
        await lock_log(connection)
        await record_catalog(connection, feature="core", actor=ACTOR, before="a", after="b")
    assert (await load(doors, acme)).revision == after.revision + 1
    assert (await load(doors, globex)).revision == other.revision + 1


async def test_a_rollout_reaches_tenants_and_the_catalog_is_not_remembered(
    doors: Doors, acme: Tenant, rows: Rows
) -> None:
    flag = await rows.feature(share=10_000)
    found = (await load(doors, acme)).features[flag]
    assert (found.enabled, found.source) == (True, Source.ROLLOUT)
    await rows.superuser.execute("update tenant.features set rollout_basis_points = 0 where feature_id = $1", flag)
    found = (await load(doors, acme)).features[flag]
    assert (found.enabled, found.source, found.available_in) == (False, Source.UNSPECIFIED, ("enterprise",))


async def test_static_values_and_large_numbers_arrive_as_they_were_stored(
    doors: Doors, acme: Tenant, rows: Rows, overrides: Overrides
) -> None:
    theme = await rows.feature("STATIC")
    value = {"colour": "grün", "sizes": [1, 2.5, True, None], "nested": {"a": "\\u0041"}}
    await overrides.set(acme.id, override_draft(theme, FeatureValue.of_static(value)), ACTOR)
    await overrides.set(acme.id, override_draft("storage_bytes", FeatureValue.of_limit(2**53 - 1)), ACTOR)
    found = (await load(doors, acme)).features
    assert found[theme].value == FeatureValue.of_static(value)
    assert found["storage_bytes"].limit == 2**53 - 1


@pytest.mark.parametrize("gone", ["never", "deleted"])
async def test_a_tenant_that_is_not_there_has_nothing(doors: Doors, acme: Tenant, rows: Rows, gone: str) -> None:
    tenant_id = TenantId(uuid.uuid4()) if gone == "never" else acme.id
    if gone == "deleted":
        await rows.delete(acme.id)
    async with doors.tenant(tenant_id, read_only=True) as connection:
        assert await reader.load(connection, tenant_id) is None
        assert await reader.load_with_spent(connection, tenant_id) is None
    async with doors.system("test", read_only=True) as connection:
        assert await reader.load_many(connection, {tenant_id: ["core"]}) == {}


async def test_a_tenants_door_shows_no_other_tenant(doors: Doors, acme: Tenant, globex: Tenant) -> None:
    async with doors.tenant(acme.id, read_only=True) as connection:
        assert await reader.load(connection, globex.id) is None


async def test_many_tenants_read_together_are_as_each_read_alone(
    doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides, grants: Grants, rows: Rows
) -> None:
    await overrides.set(acme.id, override_draft(METER, FeatureValue.of_limit(11)), ACTOR)
    await grants.create(acme.id, grant_draft(30), None, ACTOR)
    await grants.create(globex.id, grant_draft(31), None, ACTOR)
    await rows.spent(acme.id, 12, 11)
    await rows.spent(acme.id, 500, 500, "yesterday")
    await rows.spent(globex.id, 13, 13)
    async with doors.system("test", read_only=True) as connection:
        found = await reader.load_many(connection, {acme.id: [METER, "no_such"], globex.id: ["users", METER]})
    many = {tenant: loaded for tenant, loaded in found.items() if isinstance(loaded, reader.WithSpent)}
    assert many[acme.id].spent == {METER: Spent(12, 11)}
    assert many[globex.id].spent == {METER: Spent(13, 13)}
    assert set(many[acme.id].entitlements.features) == {METER}
    for tenant in (acme, globex):
        alone = await load(doors, tenant)
        together = many[tenant.id].entitlements
        assert (together.tenant_id, together.revision) == (tenant.id, alone.revision)
        for id_, each in together.features.items():
            assert each == alone.features[id_]


async def test_only_what_was_given_in_this_period_is_spent(doors: Doors, acme: Tenant, rows: Rows) -> None:
    async with doors.tenant(acme.id, read_only=True) as connection:
        found = await reader.load_with_spent(connection, acme.id)
    assert found is not None
    assert found.spent == {}
    await rows.spent(acme.id, 500, 500, "yesterday")
    await rows.spent(acme.id, 7, 5)
    async with doors.tenant(acme.id, read_only=True) as connection:
        found = await reader.load_with_spent(connection, acme.id)
    assert found is not None
    assert found.spent == {METER: Spent(7, 5)}


async def test_the_last_second_there_is_can_be_read_where_the_database_is_east_of_utc(
    migrated: WorkerDatabase, acme: Tenant, overrides: Overrides
) -> None:
    """There it is of the year 10000, which Python can't tell."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    await overrides.set(acme.id, override_draft("users", expire=end), ACTOR)
    await as_superuser(migrated, f"alter database {migrated.name} set timezone = 'Europe/Berlin'")
    east = Database(
        DatabaseSettings(url=migrated.url("tenant_app"), system_url=migrated.url("tenant_directory")), schema="tenant"
    )
    try:
        found = await load(Doors(east, OUTAGE), acme)
    finally:
        await east.close()
        await as_superuser(migrated, f"alter database {migrated.name} reset timezone")
    override = found.features["users"].override
    assert override is not None
    assert override.expire_time == end
