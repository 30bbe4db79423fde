"""One tenant is flooded with sign-ins; another one's people sign in and register meanwhile, over every transport."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fixtures.mesh import AUTH, PASSWORD, Tenant, World
from tests.transports import Transport

CALLERS = 28
"""More than a tenant has places to wait, fewer than an address may have calls in flight: all come from one address."""


def login(email: str, password: str = PASSWORD) -> dict[str, str]:
    return {"email": email, "password": password}


@asynccontextmanager
async def flooded(world: World, tenant: Tenant) -> AsyncIterator[Counter[str]]:
    """Guesses at unknown accounts of the tenant, as many at once as there are callers; yields how they are refused."""
    reasons: Counter[str] = Counter()
    here = [("x-tenant-slug", tenant.slug)]

    async def guess() -> None:
        while True:
            unknown = f"{uuid.uuid4().hex}@people.example"
            answer = await world.transport.call(f"{AUTH}/Login", login(unknown), metadata=here)
            reasons[answer.reason] += 1
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(guess()) for _ in range(CALLERS)]
    try:
        async with asyncio.timeout(30):
            while not reasons["HASHING_BUSY"]:
                await asyncio.sleep(0.01)
        yield reasons
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_sign_ins_of_one_tenant_refuse_nobody_of_another(transport: Transport, world: World) -> None:
    acme, globex = await world.tenant("acme"), await world.tenant("globex")
    user = await world.user(globex)
    here = [("x-tenant-slug", globex.slug)]
    async with flooded(world, acme) as reasons:
        before = reasons["HASHING_BUSY"]
        for number in range(2):
            answer = await transport.call(f"{AUTH}/Login", login(user.email), metadata=here)
            assert answer.code == "OK", answer
            new = login(f"person{number}@people.example")
            registered = await transport.call(f"{AUTH}/Register", new, metadata=here)
            assert registered.code == "OK", registered
        assert reasons["HASHING_BUSY"] > before, "the other tenant was refused meanwhile"
