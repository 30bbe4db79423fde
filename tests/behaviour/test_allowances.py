"""What a user meets at the limits of a plan, over every transport: the refusal, its details, and the ways out."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from tests.fixtures.mesh import AUTH, ENTITLEMENTS, PASSWORD, QUOTAS, TENANTS, Mesh, Tenant, World
from tests.transports import Answer, RestTransport, Transport

GET = f"{TENANTS}/GetTenant"


async def read(transport: Transport, tenant: Tenant, token: str) -> Answer:
    return await transport.call(GET, {"id": tenant.id}, token=token)


def detail(answer: Answer, kind: str) -> dict[str, Any]:
    return next(each for each in answer.details if each["@type"].endswith(f"google.rpc.{kind}"))


async def served(transport: Transport, tenant: Tenant, token: str, least: int) -> int:
    """How many calls are served until the allowance is used up, with at least so many known to be left."""
    count = 0
    async with asyncio.timeout(30):
        while True:
            answer = await read(transport, tenant, token)
            if answer.code == "OK":
                count += 1
            elif count >= least:
                assert answer.reason == "QUOTA_EXHAUSTED", answer
                return count


async def test_an_allowance_is_served_to_the_last_call(transport: Transport, mesh: Mesh, world: World) -> None:
    plan = await world.plan(api_requests=5, users=10)
    acme, globex = await world.tenant("acme", plan=plan), await world.tenant("globex", plan=plan)
    ada, grace = await world.user(acme), await world.user(globex)
    answers = [await read(transport, acme, ada.token) for _ in range(7)]
    assert [answer.code for answer in answers] == ["OK"] * 5 + ["RESOURCE_EXHAUSTED"] * 2
    refused = answers[-1]
    assert refused.reason == "QUOTA_EXHAUSTED"
    metadata = detail(refused, "ErrorInfo")["metadata"]
    assert (metadata["meter"], metadata["limit"], metadata["scope"], metadata["plan"]) == (
        "api_requests",
        "5",
        "tenant",
        plan,
    )
    violation = detail(refused, "QuotaFailure")["violations"][0]
    assert violation["subject"] == f"tenant:{acme.id}"
    assert float(detail(refused, "RetryInfo")["retryDelay"].removesuffix("s")) > 0
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("5", "0")
    assert answers[4].headers["ratelimit"].startswith('"api_requests";r=0;')
    if isinstance(transport, RestTransport):
        assert answers[0].headers["ratelimit"].startswith('"api_requests";r=4;')
        assert answers[0].headers["ratelimit-policy"].startswith('"api_requests";q=5')
    assert (await read(transport, globex, grace.token)).code == "OK", "acme's allowance is acme's"
    assert (await read(transport, acme, mesh.operator_key)).code == "OK", "operators are not counted"


async def test_a_grant_opens_again_and_is_used_after_the_plan(transport: Transport, mesh: Mesh, world: World) -> None:
    plan = await world.plan(api_requests=2, users=10)
    acme = await world.tenant("acme", plan=plan)
    ada = await world.user(acme)
    assert await served(transport, acme, ada.token, 2) == 2
    grant = {
        "id": acme.id,
        "grant": {"feature": "api_requests", "amount": "3", "reason": "top-up"},
        "requestId": str(uuid.uuid4()),
    }
    made = await transport.call(f"{ENTITLEMENTS}/CreateGrant", grant, token=mesh.operator_key)
    again = await transport.call(f"{ENTITLEMENTS}/CreateGrant", grant, token=mesh.operator_key)
    assert (made.code, again.body["id"]) == ("OK", made.body["id"])
    assert await served(transport, acme, ada.token, 1) == 3
    grants = await transport.call(f"{ENTITLEMENTS}/ListGrants", {"id": acme.id}, token=ada.token)
    assert [each["remaining"] for each in grants.body["grants"]] == ["0"]
    told = await transport.call(
        f"{ENTITLEMENTS}/CheckEntitlement", {"id": acme.id, "feature": "api_requests"}, token=ada.token
    )
    assert (told.body["allowed"], told.body["reason"]) == (False, "QUOTA_EXHAUSTED")
    assert told.body["entitlement"]["usage"]["used"] == "5"


async def test_bursts_are_refused_with_when_to_come_back(transport: Transport, world: World) -> None:
    plan = await world.plan(api_requests=None, users=10, rates={"api": (0.5, 2)})
    acme = await world.tenant("acme", plan=plan)
    ada = await world.user(acme)
    await asyncio.sleep(5)  # no burst comes from a store that started less than one ago
    answers = [await read(transport, acme, ada.token) for _ in range(4)]
    assert [answer.code for answer in answers] == ["OK", "OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"]
    assert answers[-1].reason == "RATE_LIMITED"
    assert detail(answers[-1], "ErrorInfo")["metadata"]["scope"] == "tenant"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 2


async def test_users_are_limited_where_they_are_made(transport: Transport, world: World) -> None:
    plan = await world.plan(users=3, api_requests=100)
    acme = await world.tenant("acme", plan=plan)

    async def register() -> Answer:
        account = {"email": f"{uuid.uuid4().hex[:12]}@people.example", "password": PASSWORD}
        async with asyncio.timeout(60):
            while True:
                answer = await transport.call(f"{AUTH}/Register", account, metadata=[("x-tenant-slug", acme.slug)])
                if answer.reason != "HASHING_BUSY":  # another limit, of one machine's processors
                    return answer

    answers = await asyncio.gather(*(register() for _ in range(8)))
    assert sorted(answer.code for answer in answers) == ["OK"] * 3 + ["RESOURCE_EXHAUSTED"] * 5
    refused = next(answer for answer in answers if answer.code != "OK")
    assert refused.reason == "LIMIT_REACHED"
    assert detail(refused, "ErrorInfo")["metadata"]["gauge"] == "users"


async def test_costs_known_later_are_reserved_and_committed(transport: Transport, mesh: Mesh, world: World) -> None:
    plan = await world.plan(api_requests=10, users=10)
    acme = await world.tenant("acme", plan=plan)

    async def call(method: str, **request: Any) -> Answer:
        return await transport.call(f"{QUOTAS}/{method}", {"id": acme.id, **request}, token=mesh.operator_key)

    eight = [{"meter": "api_requests", "amount": "8"}]
    reserved = await call("Allocate", amounts=eight)
    assert (reserved.code, reserved.body["state"]) == ("OK", "ALLOCATION_STATE_RESERVED")
    refused = await call("Allocate", amounts=eight)
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
    part = await call("Allocate", amounts=eight, mode="ALLOCATION_MODE_BEST_EFFORT")
    assert part.body["allocated"] == [{"meter": "api_requests", "amount": "2"}]
    assert (await call("Release", allocationId=part.body["id"])).body["state"] == "ALLOCATION_STATE_RELEASED"
    three = [{"meter": "api_requests", "amount": "3"}]
    done = await call("Commit", allocationId=reserved.body["id"], amounts=three)
    assert (done.body["state"], done.body["committed"]) == ("ALLOCATION_STATE_COMMITTED", three)
    again = await call("Release", allocationId=reserved.body["id"])
    assert (again.code, again.reason) == ("FAILED_PRECONDITION", "ALLOCATION_CLOSED")
    checked = await call(
        "Allocate", amounts=[{"meter": "api_requests", "amount": "7"}], mode="ALLOCATION_MODE_CHECK_ONLY"
    )
    assert checked.code == "OK", checked


async def test_levels_of_other_services_are_adjusted_once(transport: Transport, mesh: Mesh, world: World) -> None:
    plan = await world.plan(storage_bytes=100, users=10)
    acme = await world.tenant("acme", plan=plan)

    async def adjust(delta: int, key: str) -> Answer:
        request = {"id": acme.id, "gauge": "storage_bytes", "delta": str(delta), "key": key}
        return await transport.call(f"{QUOTAS}/AdjustGauge", request, token=mesh.operator_key)

    assert [(await adjust(60, "object-1")).body["level"] for _ in range(2)] == ["60", "60"]
    refused = await adjust(60, "object-2")
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED")
    assert (await adjust(-60, "object-1-deleted")).body["level"] == "0"
    assert (await adjust(60, "object-2")).body["level"] == "60", "what was refused may be tried again"
