"""Invitations of first administrators: stored with the tenant, listed, counted, and hidden while it is deleted."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from dataclasses import replace

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import AlreadyExists, InvalidArgument
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.invitations import invitations as module
from tenantmesh.tenant_svc.invitations.invitations import InvitationRequests, StoredInvitations
from tenantmesh.tenant_svc.invitations.repository import InvitationRequest
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, new_tenant, unused_slug
from tests.integration.tenant_svc.world import World

ACTOR = "key-of-an-operator"
EMAIL = "ada@acme.example"


def invited(email: str = EMAIL) -> NewTenant:
    return replace(new_tenant(), first_administrator_email=email)


@pytest.fixture(scope="session")
def inviting(doors: Doors) -> Tenants:
    return Tenants(doors, uuid7, record_first_plan, LifeSettings(), StoredInvitations())


@pytest.fixture(scope="session")
def requests(doors: Doors) -> InvitationRequests:
    return InvitationRequests(doors)


async def waiting(world: World, tenant_id: TenantId) -> list[tuple[str, str, str]]:
    query = "select email, role, actor from tenant.invitation_requests where tenant_id = $1"
    return [(row["email"], row["role"], row["actor"]) for row in await world.rows(query, tenant_id)]


async def listed(requests: InvitationRequests) -> list[InvitationRequest]:
    found, token = [], ""
    while True:
        page = await requests.page(2, token)
        found += page.items
        if not (token := page.next_token):
            return found


async def test_a_request_is_stored_with_its_tenant_and_listed(
    inviting: Tenants, requests: InvitationRequests, world: World
) -> None:
    acme = await inviting.create(invited(), None, ACTOR)
    globex = await inviting.create(new_tenant(), None, ACTOR)
    initech = await inviting.create(invited("bill@initech.example"), None, ACTOR)
    assert await waiting(world, acme.id) == [(EMAIL, "owner", ACTOR)]
    assert await waiting(world, globex.id) == []
    mine = [each for each in await listed(requests) if each.tenant_id in {acme.id, globex.id, initech.id}]
    assert [(each.tenant_id, each.email) for each in mine] == [(acme.id, EMAIL), (initech.id, "bill@initech.example")]
    await requests.count()
    assert requests.waiting == len(await listed(requests)) >= 2


async def test_a_repeated_creation_invites_once_and_another_address_is_another_request(
    inviting: Tenants, world: World
) -> None:
    new, key = invited(), RequestKey("ops", uuid.uuid4())
    made = await asyncio.gather(*(inviting.create(new, key, ACTOR) for _ in range(5)))
    assert len({tenant.id for tenant in made}) == 1
    assert len(await waiting(world, made[0].id)) == 1
    for other in (
        replace(new, first_administrator_email="eve@acme.example"),
        replace(new, first_administrator_email=""),
    ):
        with pytest.raises(AlreadyExists) as caught:
            await inviting.create(other, key, ACTOR)
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_creation_that_fails_or_only_checks_invites_nobody(
    inviting: Tenants, requests: InvitationRequests
) -> None:
    made = await inviting.create(new_tenant(), None, ACTOR)
    before = len(await listed(requests))
    with pytest.raises(AlreadyExists):
        await inviting.create(replace(invited(), slug=made.slug), None, ACTOR)
    await inviting.validate(invited(), None)
    assert len(await listed(requests)) == before


@pytest.mark.parametrize("email", ["nobody", "a@b", "ada@acme.example\n", "ada\u202e@acme.example", "x" * 10_000])
def test_a_text_that_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        NewTenant.checked(slug="acme", display_name="", plan_id="", first_administrator_email=email)
    assert [violation.field for violation in caught.value.violations] == ["first_administrator_email"]


async def test_a_deleted_tenant_invites_nobody_until_it_comes_back(
    inviting: Tenants, requests: InvitationRequests, world: World
) -> None:
    acme, globex = [await inviting.create(invited(), None, ACTOR) for _ in range(2)]
    for state, left in (("DELETED", [globex.id]), ("ACTIVE", [acme.id, globex.id])):
        change = "update tenant.tenants set state = $2 where tenant_id = $1"
        await as_superuser(world.database, change, acme.id, state)
        mine = [each.tenant_id for each in await listed(requests) if each.tenant_id in {acme.id, globex.id}]
        assert mine == left
        await requests.count()
        assert requests.waiting == len(await listed(requests))


async def test_counting_ends_at_its_bound(
    inviting: Tenants, requests: InvitationRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await inviting.create(invited(), None, ACTOR)
    monkeypatch.setattr(module, "MOST_COUNTED", 2)
    await requests.count()
    assert requests.waiting == 2


async def test_tokens_of_other_lists_are_refused(requests: InvitationRequests) -> None:
    for token in ("x", "\x00", "A" * 10_000):
        with pytest.raises(InvalidArgument):
            await requests.page(1, token)


_CREATE = """
import asyncio, os, sys
from dataclasses import replace
from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.invitations.invitations import StoredInvitations
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.invitations.repository import InvitationRequest
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants

class Stopping(StoredInvitations):
    async def request(self, *arguments):
        await super().request(*arguments)
        if sys.argv[1] == "stored":
            await stop()

async def stop():
    print("stopped", flush=True)
    await asyncio.Event().wait()

async def main():
    urls = {name: os.environ["TENANTMESH_DATABASE_" + name.upper()] for name in ("url", "system_url")}
    database = Database(DatabaseSettings.model_validate(urls), schema="tenant")
    await database.open()
    new = NewTenant.checked(slug=sys.argv[2], display_name="", plan_id="", first_administrator_email=sys.argv[3])
    await Tenants(Doors(database, OUTAGE), uuid7, record_first_plan, LifeSettings(), Stopping()).create(new, None)
    await stop()

asyncio.run(main())
"""


@pytest.mark.parametrize(("place", "left"), [("stored", 0), ("committed", 1)])
async def test_a_killed_creation_leaves_both_or_neither(
    migrated: WorkerDatabase, world: World, place: str, left: int
) -> None:
    slug = unused_slug()
    urls = {
        "TENANTMESH_DATABASE_URL": migrated.url("tenant_app").get_secret_value(),
        "TENANTMESH_DATABASE_SYSTEM_URL": migrated.url("tenant_directory").get_secret_value(),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CREATE, place, slug, EMAIL),
        env={**os.environ, **urls},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"stopped\n"
    finally:
        process.kill()
        await process.communicate()
    query = (
        "select count(*) as tenants, count(r.email) as requests from tenant.tenants t "
        "left join tenant.invitation_requests r using (tenant_id) where t.slug = $1"
    )
    (row,) = await world.rows(query, slug)
    assert (row["tenants"], row["requests"]) == (left, left)
