"""A tenant pins the newest published version of its plan."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from sqlalchemy import Table, delete, insert, select, update

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import InternalDatabaseError, compiled
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.catalog_log.tables import catalog_events
from tenantmesh.tenant_svc.features.tables import features
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef, plan_for_tenants
from tenantmesh.tenant_svc.plans.tables import plan_versions
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import creations_repository, events_repository
from tenantmesh.tenant_svc.tenants.rows import tenant_of
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import ACTOR, plan_draft, until_waiting
from tests.integration.tenant_svc.stage import unused_slug


def new_tenant(plan_id: str) -> NewTenant:
    return NewTenant.checked(slug=unused_slug(), display_name="", plan_id=plan_id)


async def published(plans: Plans) -> str:
    draft = plan_draft()
    await plans.create(draft)
    await plans.publish(VersionRef(draft.id), ACTOR)
    return draft.id


async def test_a_tenant_stays_on_the_version_that_was_newest(plans: Plans, tenants: Tenants) -> None:
    plan_id = await published(plans)
    old = await tenants.create(new_tenant(plan_id), None)
    await plans.update(plan_draft(plan_id=plan_id), "")
    still = await tenants.create(new_tenant(plan_id), None)
    await plans.publish(VersionRef(plan_id), ACTOR)
    new = await tenants.create(new_tenant(plan_id), None)
    assert [each.plan_version for each in (old, still, new)] == [1, 1, 2]
    for tenant in (old, new):
        assert await tenants.get(tenant.id) == await tenants.find(tenant.id) == tenant
    assert (await tenants.suspend(old.id, "why", "")).plan_version == 1


async def test_an_event_remembers_the_version(plans: Plans, tenants: Tenants, doors: Doors) -> None:
    plan_id = await published(plans)
    made = await tenants.create(new_tenant(plan_id), None)
    async with doors.system("the test of events", read_only=True) as connection:
        last = (await events_repository.events_after(connection, await events_repository.head(connection) - 1, 1))[0]
    assert tenant_of(last) == made


async def test_a_plan_that_is_not_published_takes_nobody(plans: Plans, tenants: Tenants) -> None:
    draft = plan_draft()
    await plans.create(draft)
    for plan_id in (draft.id, "no_such_plan"):
        new, key = new_tenant(plan_id), RequestKey("ops", uuid.uuid4())
        for refused in (tenants.create(new, None), tenants.create(new, key), tenants.validate(new, key)):
            with pytest.raises(NotFound) as caught:
                await refused
            assert caught.value.reason == "PLAN_NOT_FOUND"
            there_are = caught.value.message.partition(": ")[2]
            assert {"basic", "custom", "enterprise"} <= set(there_are.rstrip(".").split(", "))
            assert draft.id not in there_are
        assert await tenants.find_by_name(new.slug) is None


async def test_of_very_many_plans_the_first_are_named_and_the_rest_counted(plans: Plans, tenants: Tenants) -> None:
    for _ in range(10):
        await published(plans)
    with pytest.raises(NotFound, match=r"Choose one of these: basic, .* and \d+ more\.$") as caught:
        await tenants.create(new_tenant("no_such_plan"), None)
    assert caught.value.message.count(",") == 9


async def test_a_request_that_is_repeated_answers_though_its_plan_is_closed(plans: Plans, tenants: Tenants) -> None:
    plan_id = await published(plans)
    new, key = new_tenant(plan_id), RequestKey("ops", uuid.uuid4())
    made = await tenants.create(new, key)
    await plans.archive(VersionRef(plan_id, 1), ACTOR)
    assert await tenants.create(new, key) == made
    assert await tenants.validate(new, key) == made
    with pytest.raises(NotFound):
        await tenants.create(new_tenant(plan_id), None)


async def test_nobody_lands_on_a_version_that_was_just_archived(
    plans: Plans, tenants: Tenants, doors: Doors, migrated: WorkerDatabase
) -> None:
    """Archiving waits for a creation that has begun, and a creation for an archiving that has."""
    plan_id = await published(plans)
    tenant_id = TenantId(uuid7())
    async with doors.tenant(tenant_id) as connection:
        await lock_log(connection)
        plan = await plan_for_tenants(connection, plan_id)
        archiving = asyncio.create_task(plans.archive(VersionRef(plan_id, 1), ACTOR))
        await until_waiting(migrated, 1)
        creating = asyncio.create_task(tenants.create(new_tenant(plan_id), None))
        await until_waiting(migrated, 2)
        (made,) = await creations_repository.create(connection, [(tenant_id, new_tenant(plan_id), plan.version)])
    archived = await archiving
    with pytest.raises(NotFound):
        await creating
    assert archived.archive_time is not None
    assert made.create_time < archived.archive_time


async def test_a_creation_and_many_publications_at_once_agree(plans: Plans, tenants: Tenants) -> None:
    plan_id = await published(plans)

    async def publish() -> None:
        for _ in range(5):
            await plans.update(plan_draft(plan_id=plan_id), "")
            await plans.publish(VersionRef(plan_id), ACTOR)

    async def create() -> list[int]:
        return [(await tenants.create(new_tenant(plan_id), None)).plan_version for _ in range(5)]

    publishing = asyncio.create_task(publish())
    pinned = await asyncio.gather(*(create() for _ in range(4)))
    await publishing
    for versions in pinned:
        assert versions == sorted(versions)
        assert set(versions) <= set(range(1, 7))
    assert (await tenants.create(new_tenant(plan_id), None)).plan_version == 6


@pytest.mark.parametrize("table", [features, plan_versions, catalog_events], ids=lambda table: table.name)
async def test_the_tenants_door_reads_the_catalog_and_changes_nothing(
    plans: Plans, tenants: Tenants, doors: Doors, table: Table
) -> None:
    made = await tenants.create(new_tenant(await published(plans)), None)
    column = next(iter(table.columns))
    async with doors.tenant(made.id, read_only=True) as connection:
        assert await connection.fetch(compiled(select(table).limit(1)))
    copy = insert(table).from_select([column], select(column))
    for statement in (update(table).values({column: column}), delete(table), copy):
        with pytest.raises(InternalDatabaseError):
            async with doors.tenant(made.id) as connection:
                await connection.execute(compiled(statement))


@pytest.mark.parametrize("table", [features, plan_versions, catalog_events], ids=lambda table: table.name)
async def test_nothing_of_the_catalog_is_ever_deleted(doors: Doors, table: Table) -> None:
    with pytest.raises(InternalDatabaseError):
        async with doors.system("the test of what it may not") as connection:
            await connection.execute(compiled(delete(table)))
