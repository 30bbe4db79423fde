"""Former slugs: how long they lead to their tenant, and that they are nobody else's afterwards."""

from __future__ import annotations

import uuid
from datetime import timedelta
from unittest.mock import ANY

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import AlreadyExists, FailedPrecondition
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants import slugs_repository
from tenantmesh.tenant_svc.tenants.edits import TenantEdit
from tenantmesh.tenant_svc.tenants.jobs import FormerSlugJobs
from tenantmesh.tenant_svc.tenants.profile import Profile
from tenantmesh.tenant_svc.tenants.refusals import MOST_SLUGS
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates, former_slugs_subject
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, new_tenant, unused_slug

OVER = "update tenant.tenant_slugs set resolve_until = now() - interval '1 s' where slug = $1"
OVER_IN_TENANT = """update tenant.tenants set former_slugs = jsonb_build_array(
    jsonb_build_object('slug', $2::text, 'until', '2001-01-01T00:00:00+00:00')) where tenant_id = $1"""


def renaming(slug: str) -> TenantEdit:
    return TenantEdit.checked(slug=slug, display_name="", profile=Profile(), mask=["slug"], etag="", by_user=False)


@pytest.fixture
def updates(doors: Doors) -> TenantUpdates:
    return TenantUpdates(doors, LifeSettings())


async def renamed(tenants: Tenants, updates: TenantUpdates) -> tuple[Tenant, Tenant]:
    made = await tenants.create(new_tenant(), None)
    return made, await updates.update(made.id, renaming(unused_slug()))


async def test_its_end_is_told_to_the_mesh_and_it_stays_taken(
    tenants: Tenants, updates: TenantUpdates, migrated: WorkerDatabase
) -> None:
    before, after = await renamed(tenants, updates)
    assert after.record.names == {before.slug}
    jobs = FormerSlugJobs(updates)
    await jobs.work(former_slugs_subject(before.id))
    assert await tenants.get(before.id) == after, "its time is not over"
    await as_superuser(migrated, OVER, before.slug)
    await as_superuser(migrated, OVER_IN_TENANT, before.id, before.slug)
    assert await tenants.find_by_name(before.slug) is None
    await jobs.work(former_slugs_subject(before.id))
    ended = await tenants.get(before.id)
    assert (ended.former_slugs, ended.record.names, ended.version) == ((), frozenset(), after.version + 1)
    await jobs.work(former_slugs_subject(before.id))
    assert (await tenants.get(before.id)).version == ended.version, "once is enough"
    with pytest.raises(AlreadyExists) as caught:
        await tenants.create(new_tenant(before.slug), None)
    assert caught.value.reason == "SLUG_TAKEN"
    back = await updates.update(before.id, renaming(before.slug))
    assert (back.slug, back.former_slugs) == (before.slug, (ANY,)), "it is the tenant's own"


async def test_its_end_waits_in_the_queue_with_the_change(
    tenants: Tenants, updates: TenantUpdates, migrated: WorkerDatabase
) -> None:
    before, after = await renamed(tenants, updates)
    (former,) = after.former_slugs
    subject = former_slugs_subject(before.id).encode()
    found = "update jobs.pgqueuer set priority = 0 where payload = $1 and execute_after = $2"
    assert await as_superuser(migrated, found, subject, former.until) == "UPDATE 1"


async def test_without_grace_it_leads_nowhere_at_once(tenants: Tenants, doors: Doors) -> None:
    made = await tenants.create(new_tenant(), None)
    at_once = TenantUpdates(doors, LifeSettings(slug_grace=timedelta()))
    changed = await at_once.update(made.id, renaming(unused_slug()))
    assert (changed.former_slugs, await tenants.find_by_name(made.slug)) == ((), None)


async def test_a_tenant_takes_a_bounded_number(tenants: Tenants, updates: TenantUpdates, doors: Doors) -> None:
    made = await tenants.create(new_tenant(), None)
    async with doors.tenant(made.id) as connection:
        for _ in range(MOST_SLUGS - 1):
            await slugs_repository.take_slug(connection, made.id, unused_slug())
    with pytest.raises(FailedPrecondition) as caught:
        await updates.update(made.id, renaming(unused_slug()))
    assert caught.value.reason == "TOO_MANY_SLUGS"
    assert (await tenants.get(made.id)).slug == made.slug
    async with doors.tenant(made.id) as connection:
        former = next(slug for slug, _ in await slugs_repository.slugs_of(connection, made.id) if slug != made.slug)
    assert (await updates.update(made.id, renaming(former))).slug == former, "it is the tenant's own"


async def test_a_job_about_something_else_is_dropped(tenants: Tenants, updates: TenantUpdates) -> None:
    _before, after = await renamed(tenants, updates)
    for subject in ("", "tenants/x/slugs", f"tenants/{after.id}", f"tenants/{uuid.uuid4()}/slugs"):
        await FormerSlugJobs(updates).work(subject)
    assert await tenants.get(after.id) == after
