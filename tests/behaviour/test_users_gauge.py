"""How many users a tenant has, as an operator reads it: what auth_svc counts arrives in tenant_svc."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fixtures.mesh import AUTH, ENTITLEMENTS, PASSWORD, Mesh, Tenant, World
from tests.transports import Transport


async def used(transport: Transport, mesh: Mesh, tenant: Tenant) -> int:
    """The tenant's level of users."""
    answer = await transport.call(
        f"{ENTITLEMENTS}/GetEntitlements",
        {"id": tenant.id, "view": "ENTITLEMENT_VIEW_FULL"},
        token=mesh.operator_key,
    )
    assert answer.code == "OK", answer
    users = next(each for each in answer.body["entitlements"] if each["feature"] == "users")
    return int(users["usage"].get("used", 0))


async def becomes(transport: Transport, mesh: Mesh, tenant: Tenant, count: int) -> None:
    """Waits until the level is so high."""
    for _ in range(1500):
        if await used(transport, mesh, tenant) == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{await used(transport, mesh, tenant)} users, not {count}")


async def test_the_level_of_users_follows_registrations(transport: Transport, mesh: Mesh, world: World) -> None:
    plan = await world.plan(users=3, api_requests=100)
    acme, globex = await world.tenant("acme", plan=plan), await world.tenant("globex", plan=plan)

    async def register(tenant: Tenant, email: str) -> Any:
        account = {"email": email, "password": PASSWORD}
        return await transport.call(f"{AUTH}/Register", account, metadata=[("x-tenant-slug", tenant.slug)])

    for email in ("ada@people.example", "grace@people.example", "ada@people.example"):
        assert (await register(acme, email)).code == "OK"
    assert (await register(globex, "ada@people.example")).code == "OK"
    await becomes(transport, mesh, acme, 2)
    await becomes(transport, mesh, globex, 1)
    assert (await register(acme, "joan@people.example")).code == "OK"
    refused = [await register(acme, email) for email in ("ada@people.example", "new@people.example")]
    assert [(each.code, each.reason) for each in refused] == [("RESOURCE_EXHAUSTED", "LIMIT_REACHED")] * 2
    assert refused[0].details[0] == refused[1].details[0]
    for answer in refused:
        told = f"{answer.message} {answer.details} {answer.headers}"
        assert plan not in told, "a stranger learns no plan"
        assert acme.id not in told
        assert answer.details[0]["metadata"] == {"gauge": "users", "scope": "tenant"}
        assert not any(character.isdigit() for character in answer.message), "nor how many users the tenant has"
    await becomes(transport, mesh, acme, 3)
