"""Allowances while the ledger is slow, stopped or killed: what is served then was charged before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import pytest

from tests.behaviour.test_propagation import until
from tests.fixtures.mesh import METER, Tenant, World, answering, spend, usage_of
from tests.fixtures.processes import Four, made, ways_of
from tests.hammer import Way, exhaust, outcome

LIMIT = 30_000
"""Its hundredth, the reserve, is more than these tests ask for while nobody answers."""
UNANSWERED = {"QUOTA_EXHAUSTED", "QUOTA_UNAVAILABLE"}
"""How calls end that nothing is left for, as far as the process knows. Every process has met the tenant before."""


@asynccontextmanager
async def tenant_with(
    four: Four, world: World, left: int
) -> AsyncIterator[tuple[Tenant, Sequence[Way], Sequence[Way]]]:
    """A tenant with so much left, and the ways to spend it: at tenant_svc, and at auth_svc, over REST last."""
    plan = await world.plan(users=10, rates={"api": (100_000, 100_000)}, **{METER: LIMIT})
    tenant = await world.tenant("away", plan=plan)
    user = await world.user(tenant)
    if left < LIMIT:
        await spend(world, tenant, LIMIT - left)
    others = {target for name, target in four.targets if name == "auth_svc"} | {"REST at auth_svc"}
    async with ways_of(four, tenant, user.token) as ways:
        yield tenant, [way for way in ways if way.name not in others], [way for way in ways if way.name in others]


async def outcomes(ways: Sequence[Way], seconds: float) -> Counter[str]:
    """How calls by all ways end in this time."""
    found: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found.update(await asyncio.gather(*(outcome(way.call) for way in ways for _ in range(5))))
        await asyncio.sleep(0.02)
    return found


async def flood(ways: Sequence[Way], seconds: float) -> int:
    """Give up calls after two milliseconds each, from many tasks. Returns how many."""
    until = time.monotonic() + seconds

    async def give_up(way: Way) -> int:
        given_up = 0
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    await outcome(way.call)
            given_up += 1
        return given_up

    return sum(await asyncio.gather(*(give_up(way) for way in ways for _ in range(40))))


@contextmanager
def stopped(four: Four) -> Iterator[None]:
    """No process of tenant_svc answers, and none has gone."""
    parent = four.process("tenant_svc")
    processes = [*parent.children(), parent]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


async def units(way: Way, least: int) -> int:
    """Call until so many calls are served: a ledger that was stopped may answer late at first."""
    served = 0
    async with asyncio.timeout(30):
        while served < least:
            served += await outcome(way.call) == "OK"
    return served


async def used(world: World, tenant: Tenant) -> int:
    return int((await usage_of(world, tenant))["used"])


async def test_a_tenant_with_nothing_left_gets_nothing_while_the_ledger_is_slow_or_stopped(
    four: Four, capsys: pytest.CaptureFixture[str]
) -> None:
    async with made(four) as world, tenant_with(four, world, left=40) as (tenant, at_ledger, ways):
        assert (await exhaust(ways, longest=60)).units == 40
        for way in ways:
            await until(way, "QUOTA_EXHAUSTED")
        flooding = asyncio.create_task(flood(at_ledger, seconds=3))
        slow = await outcomes(ways, seconds=3)
        given_up = await flooding
        with stopped(four):
            away = await outcomes(ways, seconds=3)
        await answering(world)
        assert await used(world, tenant) == LIMIT
    with capsys.disabled():
        print(f"\n{given_up} calls given up: {dict(slow)}; tenant_svc stopped: {dict(away)}")
    assert set(slow) | set(away) <= UNANSWERED
    assert away["QUOTA_EXHAUSTED"], "a process that knows says so"


async def test_what_is_served_while_the_ledger_is_away_has_been_charged(
    four: Four, capsys: pytest.CaptureFixture[str]
) -> None:
    async with made(four) as world, tenant_with(four, world, left=LIMIT) as (tenant, _, ways):
        served = sum([await units(way, 5) for way in ways])
        with stopped(four):
            away = [await outcome(way.call) for way in ways for _ in range(5)].count("OK")
        assert away, "the tenant has a reserve"
        await answering(world)
        killed = asyncio.create_task(outcomes(ways, seconds=4))
        await asyncio.sleep(1)
        for process in four.process("tenant_svc").children():
            os.kill(process.pid, signal.SIGKILL)
        served += away + (await killed)["OK"]
        await answering(world)
        counted = await used(world, tenant)
    with capsys.disabled():
        print(f"\nstopped, then killed under load: {served} served, {counted} used, {dict(killed.result())}")
    assert served <= counted <= LIMIT
