"""Refresh tokens under parallel use: the use cases on PostgreSQL, without the chain and its limits."""

from __future__ import annotations

import asyncio

import pytest

from tenantmesh.interceptors.errors import Unauthenticated
from tests.integration.auth_svc.world import World

SESSIONS = 8
PARALLEL = 50


@pytest.fixture(autouse=True)
async def alice(world: World) -> None:
    await world.register()


async def test_parallel_uses_of_a_whole_chain_yield_one_active_token(world: World) -> None:
    chain = [await world.sign_in()]
    for _ in range(4):
        chain.append(await world.refresh(chain[-1]))
    spent = await asyncio.gather(*(world.refresh(token) for token in chain[:-1] for _ in range(4)))
    assert set(spent) == {chain[-1]}
    used = await asyncio.gather(*(world.refresh(token) for token in chain for _ in range(4)))
    # Those that came before the active token was exchanged got it; the others, what it was exchanged for.
    assert len(set(used) - {chain[-1]}) == 1


async def test_fifty_parallel_refreshes_of_each_session_yield_one_successor(world: World) -> None:
    tokens = [await world.sign_in() for _ in range(SESSIONS)]
    for token in tokens:
        successors = await asyncio.gather(*(world.refresh(token) for _ in range(PARALLEL)))
        assert len(set(successors)) == 1
        assert await world.refresh(successors[0]) != successors[0]


async def test_a_stolen_token_ends_its_session_whoever_comes_first(world: World) -> None:
    tokens = [await world.sign_in() for _ in range(SESSIONS)]
    successors = [await world.refresh(token) for token in tokens]
    world.clock.advance(seconds=10)
    outcomes = await asyncio.gather(
        *(world.refresh(token) for token in tokens for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, Unauthenticated) for outcome in outcomes)
    for successor in successors:
        with pytest.raises(Unauthenticated):
            await world.refresh(successor)


async def test_a_chain_of_refreshes_in_a_hurry_never_ends_an_honest_session(world: World) -> None:
    latest = await world.sign_in()
    for _ in range(20):
        latest, *others = await asyncio.gather(*(world.refresh(latest) for _ in range(3)))
        assert set(others) == {latest}
