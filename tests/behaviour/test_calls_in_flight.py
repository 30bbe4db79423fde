"""A tenant that floods takes nothing from another. Over gRPC and over REST, with two tenants."""

from __future__ import annotations

import asyncio
import contextlib
import random
import urllib.request
from collections import Counter

import grpc
import pytest

from tenantmesh.interceptors.concurrency import DEFAULT_CONCURRENCY
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tests.fixtures.mesh import ENTITLEMENTS, OPERATIONS, TENANTS, Mesh, User, World
from tests.transports import Answer, Transport

IN_FLIGHT = 64
CALLS = 3000


async def _user(world: World, prefix: str) -> User:
    plan = await world.plan(rates={"api": (1000, 1000)}, api_requests=None, users=10)
    return await world.user(await world.tenant(prefix, plan=plan))


@pytest.fixture(scope="module")
async def attacker(world: World) -> User:
    return await _user(world, "attacker")


@pytest.fixture(scope="module")
async def healthy(world: World) -> User:
    return await _user(world, "healthy")


@pytest.fixture(scope="module")
async def their_wait(world: World, attacker: User) -> dict[str, str]:
    return await _wait(world, attacker)


@pytest.fixture(scope="module")
async def our_wait(world: World, healthy: User) -> dict[str, str]:
    return await _wait(world, healthy)


async def _wait(world: World, user: User) -> dict[str, str]:
    """A wait for an operation that ends with the month."""
    request = {"id": user.tenant.id, "planId": "premium", "timing": "MIGRATION_TIMING_NEXT_PERIOD"}
    started = await world.operate(f"{TENANTS}/MigrateTenantPlan", request)
    return {"id": user.tenant.id, "operationId": started["name"].rpartition("/")[2], "timeout": "50s"}


async def test_one_tenants_waits_take_no_place_of_another(
    world: World,
    transport: Transport,
    attacker: User,
    healthy: User,
    their_wait: dict[str, str],
    our_wait: dict[str, str],
) -> None:
    most = DEFAULT_CONCURRENCY["watches"].per_tenant
    waited = f"{OPERATIONS}/WaitOperation"
    waits = [asyncio.ensure_future(world.transport.call(waited, their_wait, token=attacker.token)) for _ in range(most)]
    try:
        await until_in_flight(world.mesh, most)
        refused = await transport.call(waited, their_wait, token=attacker.token)
        served = await transport.call(waited, {**our_wait, "timeout": "0s"}, token=healthy.token)
        calls = await transport.call(f"{TENANTS}/GetTenant", {"id": attacker.tenant.id}, token=attacker.token)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_IN_FLIGHT")
    assert info_of(refused) == {"class": "watches", "limit": str(most), "scope": "tenant"}
    assert int(refused.headers["retry-after"]) == 1
    assert served.code == "OK"
    assert calls.code == "OK", "calls have places apart from waits"
    await until_in_flight(world.mesh, 0)


def info_of(refused: Answer) -> dict[str, str]:
    found: dict[str, str] = next(each["metadata"] for each in refused.details if "reason" in each)
    return found


def in_flight(mesh: Mesh, name: str) -> int:
    """The gauge of tenant_svc."""
    series = f'tenantmesh_calls_in_flight{{class="{name}"}}'
    with urllib.request.urlopen(f"http://127.0.0.1:{mesh.stack.ports['tenant_metrics']}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return next(int(float(line.split()[-1])) for line in lines if line.startswith(series))


async def until_in_flight(mesh: Mesh, number: int, name: str = "watches") -> None:
    """Return when so many calls are in flight; auth_svc has two watches open all the time."""
    async with asyncio.timeout(15):
        while await asyncio.to_thread(in_flight, mesh, name) not in range(number, number + 3):
            await asyncio.sleep(0.05)


async def test_cancelled_calls_of_a_tenant_break_none_of_another(
    mesh: Mesh, world: World, attacker: User, healthy: User
) -> None:
    """64 in flight with deadlines of 1 to 10 ms, at the service."""
    outcomes: Counter[str] = Counter()
    left = iter(range(CALLS))
    own_connection = [("grpc.use_local_subchannel_pool", 1)]  # streams that are refused for it are the attacker's own
    async with grpc.aio.insecure_channel(mesh.tenant_target, options=own_connection) as opened:
        stub = EntitlementServiceStub(opened)

        async def cancel_at_once() -> None:
            for _ in left:
                call = stub.GetEntitlements(
                    entitlement_service_pb2.GetEntitlementsRequest(id=attacker.tenant.id),
                    timeout=random.uniform(0.001, 0.01),
                    metadata=(("authorization", f"Bearer {attacker.token}"),),
                )
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await call
                outcomes[(await call.code()).name] += 1

        flood = asyncio.gather(*(cancel_at_once() for _ in range(IN_FLIGHT)))
        request = {"id": healthy.tenant.id}
        answers = []
        while not flood.done():
            answers.append(await world.transport.call(f"{ENTITLEMENTS}/GetEntitlements", request, token=healthy.token))
        await flood
    assert Counter(answer.code for answer in answers) == {"OK": len(answers)}
    assert outcomes["OK"] < outcomes.total() == CALLS, outcomes
    await until_in_flight(mesh, 0, "calls")


async def test_reads_of_a_user_count_against_the_burst_and_not_against_the_allowance(
    world: World, transport: Transport
) -> None:
    plan = await world.plan(rates={"api": (1, 3)}, api_requests=1000, users=10)
    user = await world.user(await world.tenant(plan=plan))
    read, request = f"{ENTITLEMENTS}/GetEntitlements", {"id": user.tenant.id}
    answers = await asyncio.gather(*(transport.call(read, request, token=user.token) for _ in range(16)))
    reasons = Counter(answer.reason for answer in answers)
    assert set(reasons) == {"", "RATE_LIMITED"}, reasons
    as_service = await transport.call(read, request, token=world.mesh.service_key)
    assert as_service.code == "OK", "services look tenants up whatever its users do"
    usage = next(each for each in as_service.body["entitlements"] if each["feature"] == "api_requests")
    assert int(usage["usage"]["used"]) == 0
