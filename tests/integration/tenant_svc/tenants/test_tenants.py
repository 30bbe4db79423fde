"""The use cases on a real database."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import Aborted, AlreadyExists, NotFound, Unavailable
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants import repository
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.listed import everybody, query
from tests.integration.tenant_svc.stage import as_superuser, new_tenant


async def test_a_tenant_is_created_and_found_by_every_way(tenants: Tenants) -> None:
    new = new_tenant()
    made = await tenants.create(new, None)
    assert (made.slug, made.display_name, made.plan_id) == (new.slug, new.display_name, new.plan_id)
    assert (made.state, made.version) == (TenantState.ACTIVE, 1)
    assert made.id.version == 7
    assert made.create_time == made.update_time
    assert await tenants.get(made.id) == made
    assert await tenants.find(made.id) == made
    assert await tenants.find_by_name(made.slug) == made


async def test_a_slug_is_taken_once(tenants: Tenants) -> None:
    made = await tenants.create(new_tenant(), None)
    with pytest.raises(AlreadyExists) as caught:
        await tenants.create(new_tenant(made.slug), None)
    assert caught.value.reason == "SLUG_TAKEN"
    assert made.display_name not in caught.value.message


async def test_what_is_missing_is_not_found(tenants: Tenants) -> None:
    nobody = TenantId(uuid7())
    for refused in (tenants.get(nobody), tenants.suspend(nobody, "why", ""), tenants.resume(nobody, "")):
        with pytest.raises(NotFound):
            await refused
    assert await tenants.find(nobody) is None
    for slug in ("never-made", "", "NOT A SLUG", "x\x00y", "'; drop table tenants; --", "é" * 10, "a" * 100_000):
        assert await tenants.find_by_name(slug) is None


async def test_suspending_and_resuming_change_state_version_and_etag_once(tenants: Tenants) -> None:
    made = await tenants.create(new_tenant(), None)
    suspended = await tenants.suspend(made.id, "unpaid", "")
    again = await tenants.suspend(made.id, "still unpaid", "")
    assert suspended.state is TenantState.SUSPENDED
    assert suspended == again == await tenants.get(made.id)
    assert (suspended.version, suspended.etag != made.etag) == (2, True)
    assert suspended.update_time > made.update_time
    resumed = await tenants.resume(made.id, "")
    assert (resumed.state, resumed.version) == (TenantState.ACTIVE, 3)
    assert await tenants.resume(made.id, "") == resumed


async def test_an_etag_must_be_the_current_one(tenants: Tenants) -> None:
    made, other = await tenants.create(new_tenant(), None), await tenants.create(new_tenant(), None)
    for wrong in ("x", other.etag):
        with pytest.raises(Aborted) as caught:
            await tenants.suspend(made.id, "why", wrong)
        assert caught.value.reason == "ETAG_MISMATCH"
    suspended = await tenants.suspend(made.id, "why", made.etag)
    with pytest.raises(Aborted):
        await tenants.resume(made.id, made.etag)
    assert (await tenants.resume(made.id, suspended.etag)).state is TenantState.ACTIVE


async def test_of_parallel_changes_with_one_etag_one_wins(tenants: Tenants) -> None:
    made = await tenants.create(new_tenant(), None)
    outcomes = await asyncio.gather(
        *(tenants.suspend(made.id, f"reason {number}", made.etag) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Aborted) for outcome in outcomes) == 9
    assert (await tenants.get(made.id)).version == 2


async def test_a_deleted_tenant_is_neither_changed_nor_listed(
    tenants: Tenants, lists: TenantLists, migrated: WorkerDatabase
) -> None:
    key = RequestKey("ops", uuid.uuid4())
    new = new_tenant()
    made = await tenants.create(new, key)
    await as_superuser(migrated, "update tenant.tenants set state = 'DELETED' where tenant_id = $1", made.id)
    for refused in (tenants.suspend(made.id, "why", ""), tenants.resume(made.id, "")):
        with pytest.raises(NotFound):
            await refused
    for found in (await tenants.get(made.id), await tenants.find(made.id), await tenants.find_by_name(made.slug)):
        assert found is not None
        assert found.state is TenantState.DELETED, "operators and the chain see that it is deleted"
    assert made.id not in {tenant.id for tenant in await everybody(lists)}
    with pytest.raises(AlreadyExists) as caught:
        await tenants.create(new_tenant(made.slug), None)
    assert caught.value.reason == "SLUG_TAKEN"
    with pytest.raises(AlreadyExists) as caught:
        await tenants.create(new, key)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_validating_says_what_creating_would_and_creates_nothing(tenants: Tenants) -> None:
    new, key = new_tenant(), RequestKey("ops", uuid.uuid4())
    assert await tenants.validate(new, key) == new
    assert await tenants.find_by_name(new.slug) is None
    made = await tenants.create(new, key)
    assert await tenants.validate(new, key) == made
    with pytest.raises(AlreadyExists) as caught:
        await tenants.validate(new, None)
    assert caught.value.reason == "SLUG_TAKEN"
    with pytest.raises(AlreadyExists) as caught:
        await tenants.validate(new_tenant(), key)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_text_is_stored_as_it_came(tenants: Tenants) -> None:
    name = "Ünïcode 👩‍👩‍👧 '; drop table tenants; -- \\ %s {x}"
    new = NewTenant.checked(slug=new_tenant().slug, display_name=name, plan_id="custom")
    assert (await tenants.get((await tenants.create(new, None)).id)).display_name == name


async def test_without_a_database_every_use_case_is_unavailable() -> None:
    nowhere = DatabaseSettings.model_validate(
        {"url": "postgresql://x:y@127.0.0.1:1/x", "system_url": "postgresql://x:y@127.0.0.1:1/x"}
    )
    doors = Doors(Database(nowhere, schema="tenant"), OUTAGE)
    tenants, listed = Tenants(doors, uuid7, record_first_plan, LifeSettings()), TenantLists(doors).page(query(), 1, "")
    for refused in (tenants.get(TenantId(uuid7())), tenants.create(new_tenant(), None), listed):
        with pytest.raises(Unavailable) as caught:
            await refused
        assert caught.value.retry_after is not None
        assert "127.0.0.1" not in caught.value.message


async def test_a_tenant_that_stays_locked_is_unavailable_and_not_internal(doors: Doors, tenants: Tenants) -> None:
    made = await tenants.create(new_tenant(), None)
    async with doors.tenant(made.id) as connection:
        await repository.get_locked(connection, made.id)
        waiting = asyncio.create_task(tenants.suspend(made.id, "why", ""))
        with pytest.raises(Unavailable):
            await waiting
    assert await tenants.get(made.id) == made
