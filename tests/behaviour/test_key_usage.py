"""A service's key changes its own allowances, reservations and levels only, over every transport."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.deploy.stack import keys
from tests.fixtures.mesh import AUTH, ENTITLEMENTS, PLANS, QUOTAS, TENANTS, Mesh, Tenant, User, World
from tests.transports import Answer, GrpcTransport, Transport

METER = "api_requests"
COUNTING = ("quota.lease", "quota.allocate", "quota.gauges")


@dataclass(frozen=True)
class Services:
    """The keys of two services of an installation, and of a third that counts nothing of theirs."""

    billing: str
    files: str
    other: str
    gauge: str


@pytest.fixture(scope="module")
async def services(mesh: Mesh, world: World) -> Services:
    gauge = f"g_{uuid.uuid4().hex[:12]}"
    feature = {"id": gauge, "type": "FEATURE_TYPE_GAUGE", "displayName": "Rooms", "unit": "room", "owner": "files"}
    await world.operate(f"{PLANS}/CreateFeature", {"feature": feature})

    async def made(name: str, meters: Sequence[str], gauges: Sequence[str]) -> str:
        database = keys.settings(mesh.stack.engines.postgres)
        return await create_key(database, name, "SERVICE", COUNTING, meters=meters, gauges=gauges)

    return Services(
        await made("billing", [METER], [gauge]),
        await made("files", [METER], ["*"]),
        await made("other", ["reports"], ["seats"]),
        gauge,
    )


async def spend(world: World, user: User, calls: int) -> None:
    """Calls of a user, at both services in turn."""
    for turn in range(calls):
        method, request = (f"{AUTH}/GetMe", {}) if turn % 2 else (f"{TENANTS}/GetTenant", {"id": user.tenant.id})
        answer = await world.transport.call(method, request, token=user.token)
        assert answer.code == "OK", answer


async def used(world: World, tenant: Tenant) -> int:
    request = {"id": tenant.id, "view": "ENTITLEMENT_VIEW_FULL"}
    answer = await world.operate(f"{ENTITLEMENTS}/GetEntitlements", request)
    return next(int(each["usage"].get("used", 0)) for each in answer["entitlements"] if each["feature"] == METER)


async def settled(world: World, tenant: Tenant, calls: int) -> None:
    """Waits until processes have returned what they hold ready."""
    async with asyncio.timeout(30):
        while await used(world, tenant) != calls:
            await asyncio.sleep(0.05)


class Leases:
    """Leases and returns with keys, as processes of the mesh do it."""

    def __init__(self, transport: GrpcTransport, tenant: Tenant) -> None:
        self._transport = transport
        self._tenant = tenant
        self.start = ""

    async def lease(self, key: str, want: int, account: str = "") -> Answer:
        asks = [{"meter": METER, "want": str(want), "need": "1"}]
        request = {"id": self._tenant.id, "asks": asks, "account": account}
        answer = await self._transport.call(f"{QUOTAS}/Lease", request, token=key)
        if answer.code == "OK":
            self.start = answer.body["slices"][0]["periodStart"]
        return answer

    async def give_back(self, key: str, amount: int, *accounts: str) -> Answer:
        request: dict[str, Any] = {"id": self._tenant.id, "meter": METER, "amount": str(amount)}
        request |= {"periodStart": self.start, "accounts": accounts}
        return await self._transport.call(f"{QUOTAS}/Return", request, token=key)


async def test_units_that_users_spent_come_back_to_nobody(world: World, services: Services) -> None:
    """The key of the very service that served the users returns nothing but what was leased with the key alone."""
    plan = await world.plan(api_requests=1_000, users=10)
    victim, bystander = await world.tenant("victim", plan=plan), await world.tenant("bystander", plan=plan)
    ada, grace = await world.user(victim), await world.user(bystander)
    await spend(world, ada, 40)
    await spend(world, grace, 3)
    await settled(world, victim, 40)
    for key in (world.mesh.service_key, services.billing, services.files):
        leases = Leases(world.transport, victim)
        granted = int((await leases.lease(key, 1_000)).body["slices"][0]["granted"])
        assert granted > 900
        returned = await leases.give_back(key, 1_000)
        assert (returned.code, returned.body["returned"]) == ("OK", str(granted))
        assert await used(world, victim) == 40
        again = await leases.give_back(key, 1_000)
        assert (again.code, again.reason) == ("NOT_FOUND", "LEASE_NOT_FOUND")
        assert await used(world, victim) == 40
    assert await used(world, bystander) >= 3


async def test_units_that_another_has_leased_are_the_others(world: World, services: Services) -> None:
    leases = Leases(world.transport, await world.tenant(plan=await world.plan(api_requests=100)))
    secret = str(uuid.uuid4())
    assert (await leases.lease(services.billing, 30)).code == "OK"
    assert (await leases.lease(services.billing, 20, secret)).code == "OK"
    refused = [
        await leases.give_back(services.files, 30),
        await leases.give_back(services.files, 30, str(uuid.uuid4())),
        await leases.give_back(world.mesh.service_key, 30, ""),
    ]
    assert [(answer.code, answer.reason) for answer in refused] == [("NOT_FOUND", "LEASE_NOT_FOUND")] * 3
    assert (await leases.give_back(services.billing, 50)).body["returned"] == "30"
    assert (await leases.give_back(services.files, 5, secret)).body["returned"] == "5", "it has been told the account"
    assert (await leases.give_back(services.billing, 50, secret)).body["returned"] == "15"


async def test_a_bad_account_is_named(world: World, services: Services) -> None:
    leases = Leases(world.transport, await world.tenant(plan=await world.plan(api_requests=100)))
    await leases.lease(services.billing, 1)
    refused = [
        await leases.lease(services.billing, 1, "mine"),
        await leases.give_back(services.billing, 1, "mine"),
        await leases.give_back(services.billing, 1, *(str(uuid.uuid4()) for _ in range(9))),
    ]
    assert [answer.code for answer in refused] == ["INVALID_ARGUMENT"] * 3
    assert ["account" in str(answer.details) for answer in refused] == [True] * 3


async def test_a_meter_that_the_key_does_not_name_is_refused(
    transport: Transport, world: World, services: Services
) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    leases = Leases(world.transport, acme)
    assert (await leases.lease(services.billing, 1)).code == "OK"
    refused = [await leases.lease(services.other, 1), await leases.give_back(services.other, 1)]
    for tenant in (acme, globex):
        request = {"id": tenant.id, "amounts": [{"meter": METER, "amount": "1"}]}
        refused.append(await transport.call(f"{QUOTAS}/Allocate", request, token=services.other))
        served = await transport.call(f"{QUOTAS}/Allocate", request, token=services.billing)
        assert served.code == "OK", served
    assert [(answer.code, answer.reason) for answer in refused] == [("PERMISSION_DENIED", "METER_NOT_ALLOWED")] * 4
    for answer in refused:
        assert "key of other" in answer.message
        assert f"--meter {METER}" in answer.message
        assert {"meter": METER} in [each.get("metadata") for each in answer.details]


async def test_a_gauge_is_set_by_its_owner_whose_key_names_it(
    transport: Transport, world: World, services: Services
) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")

    async def adjust(key: str, tenant: Tenant, gauge: str = services.gauge) -> Answer:
        request = {"id": tenant.id, "gauge": gauge, "delta": "-1", "key": uuid.uuid4().hex}
        return await transport.call(f"{QUOTAS}/AdjustGauge", request, token=key)

    for tenant in (acme, globex):
        unnamed = await adjust(services.other, tenant)
        assert (unnamed.code, unnamed.reason) == ("PERMISSION_DENIED", "GAUGE_NOT_ALLOWED")
        assert f"--gauge {services.gauge}" in unnamed.message
        owned = await adjust(services.billing, tenant)
        assert (owned.code, owned.reason) == ("PERMISSION_DENIED", "GAUGE_OWNED")
        assert "The service files sets" in owned.message
        assert (await adjust(services.files, tenant)).code == "OK"
        assert (await adjust(world.mesh.operator_key, tenant)).code == "OK", "operators may mend a level"


async def test_the_level_of_users_is_set_by_auth_svc_alone(world: World, services: Services) -> None:
    """Also for a tenant of which auth_svc has reported nothing yet."""
    ada = await world.user(await world.tenant("known"))
    fresh = await world.tenant("fresh", plan=await world.plan(users=3))

    async def report(key: str, tenant: Tenant) -> Answer:
        request = {"id": tenant.id, "gauge": "users", "level": "3", "version": "99"}
        return await world.transport.call(f"{QUOTAS}/ReportGauge", request, token=key)

    await owner_is_known(world)
    for tenant in (ada.tenant, fresh):
        answer = await report(services.files, tenant)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "GAUGE_OWNED")
        request = {"id": tenant.id, "gauge": "users", "delta": "3", "key": "fill"}
        answer = await world.transport.call(f"{QUOTAS}/AdjustGauge", request, token=services.files)
        assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "GAUGE_OWNED")
    await world.user(fresh)


async def owner_is_known(world: World) -> None:
    async with asyncio.timeout(30):
        while not (await world.operate(f"{PLANS}/GetFeature", {"id": "users"})).get("owner"):
            await asyncio.sleep(0.05)


async def test_a_reservation_is_ended_by_who_made_it(transport: Transport, world: World, services: Services) -> None:
    acme = await world.tenant("acme", plan=await world.plan(api_requests=10))

    async def call(method: str, key: str, **fields: Any) -> Answer:
        return await transport.call(f"{QUOTAS}/{method}", {"id": acme.id, **fields}, token=key)

    made = await call("Allocate", services.billing, amounts=[{"meter": METER, "amount": "4"}])
    other = await call("Allocate", services.billing, amounts=[{"meter": METER, "amount": "1"}])
    for method in ("Commit", "Release"):
        refused = await call(method, services.files, allocationId=made.body["id"])
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ALLOCATION_NOT_HELD")
    committed = await call("Commit", services.billing, allocationId=made.body["id"])
    assert (committed.code, committed.body["state"]) == ("OK", "ALLOCATION_STATE_COMMITTED")
    released = await call("Release", world.mesh.operator_key, allocationId=other.body["id"])
    assert (released.code, released.body["state"]) == ("OK", "ALLOCATION_STATE_RELEASED")
