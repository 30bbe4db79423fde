"""An allowance over four processes of two services: served to the last unit and never one more, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.mesh import METER, PLANS, World, answering, spend, usage_of
from tests.fixtures.processes import Four, made, ways_of
from tests.hammer import Tally, exhaust, outcome

LAST = int(os.environ.get("TENANTMESH_TEST_UNITS", "1500"))
"""Units that are served one by one; what a plan gives beyond is reserved and committed before. `make test-exactness`
serves all."""
HARMED = 1500


async def without_bursts(world: World, plan: str) -> tuple[str, int | None]:
    """A plan that gives what the named one gives, at any rate; and its allowance, None when it is unlimited."""
    priced = await world.operate(f"{PLANS}/GetPlan", {"id": plan})
    values = {each["feature"]: each["value"] for each in priced["features"]}
    allowance = None if values[METER].get("unlimited") else int(values[METER]["limit"])
    copied = await world.plan(users=10, rates={"api": (100_000, 100_000)}, **{METER: allowance})
    return copied, allowance


@pytest.mark.parametrize("plan", ["basic", "premium", "enterprise"])
async def test_every_plan_is_served_to_its_last_unit(four: Four, plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with made(four) as world:
        copied, allowance = await without_bursts(world, plan)
        assert allowance is not None
        tenant = await world.tenant("exact", plan=copied)
        ada = await world.user(tenant)
        before = allowance - LAST
        if before > 0:
            await spend(world, tenant, before)
        waited = four.counted("waited")
        async with ways_of(four, tenant, ada.token) as ways:
            tally = await exhaust(ways, longest=90 + LAST / 100)
        waited = four.counted("waited") - waited
        usage = await usage_of(world, tenant)
    with capsys.disabled():
        print(f"\n{plan}: {tally.units} of {min(LAST, allowance)} served, {waited / tally.calls:.1%} of calls waited")
    assert tally.units == min(LAST, allowance)
    assert set(tally.refused) == {"QUOTA_EXHAUSTED"}
    assert len(tally.served) == len(ways), "each process served some, and over REST too"
    assert (usage["used"], usage["remaining"]) == (str(allowance), "0")


async def test_what_is_unlimited_is_never_refused(four: Four) -> None:
    async with made(four) as world:
        copied, allowance = await without_bursts(world, "custom")
        assert allowance is None
        tenant = await world.tenant("custom", plan=copied)
        ada = await world.user(tenant)
        async with ways_of(four, tenant, ada.token) as ways:
            outcomes = [await outcome(way.call) for way in ways for _ in range(50)]
    assert set(outcomes) == {"OK"}


async def flush(four: Four) -> None:
    await asyncio.to_thread(four.mesh.stack.engines.store.flush)


async def kill_the_store(four: Four) -> None:
    four.process("valkey").send_signal(signal.SIGKILL)


async def stop_the_store_for_a_while(four: Four) -> None:
    store = four.process("valkey")
    store.suspend()
    await asyncio.sleep(1)
    store.resume()


async def kill_a_process_of_each(four: Four) -> None:
    for service, worker in (("tenant_svc", 1), ("auth_svc", 0)):
        os.kill(four.process(service).children()[worker].pid, signal.SIGKILL)


async def kill_the_process_that_is_leased_from(four: Four) -> None:
    os.kill(four.process("tenant_svc").children()[0].pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "harm",
    [
        flush,
        kill_the_store,
        stop_the_store_for_a_while,
        kill_a_process_of_each,
        kill_the_process_that_is_leased_from,
    ],
    ids=lambda harm: harm.__name__,
)
async def test_no_harm_serves_one_unit_too_many(
    doomed: Four, harm: Callable[[Four], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    async with made(doomed) as world:
        copied = await world.plan(users=10, rates={"api": (100_000, 100_000)}, **{METER: HARMED})
        tenant = await world.tenant("harmed", plan=copied)
        ada = await world.user(tenant)
        tally = Tally()
        async with ways_of(doomed, tenant, ada.token) as ways:
            spending = asyncio.create_task(exhaust(ways, tally=tally))
            while tally.units < HARMED // 4:  # what the callers were told is all there is to look at
                await asyncio.sleep(0.01)
            await harm(doomed)
            await spending
        await answering(world)
        used = int((await usage_of(world, tenant))["used"])
    with capsys.disabled():
        print(f"\n{harm.__name__}: {tally.units} of {HARMED} served, {used} used, {dict(tally.refused)}")
    assert tally.units <= used <= HARMED, "nothing is served uncharged, and what a process took with it counts"
    assert tally.units >= HARMED * 0.8, "what is lost is what was held: an eighth here, a twentieth there"
