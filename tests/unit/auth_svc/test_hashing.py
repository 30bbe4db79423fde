"""Hashing in a bounded executor."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tenantmesh.auth_svc.passwords.hashing import Hashing, default_hasher
from tenantmesh.interceptors.errors import ResourceExhausted
from tests.passwords import CountingHasher


class BlockingHasher(CountingHasher):
    """Hashes when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        assert self.gate.wait(timeout=10)
        return super().hash(password, salt=salt)


def test_the_parameters_are_the_agreed_ones() -> None:
    encoded = default_hasher().hash("x")
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_password_matches_its_own_hash_only() -> None:
    hashing = Hashing(CountingHasher())
    encoded = await hashing.hash("one")
    assert (await hashing.verify("one", encoded)).matches
    assert not (await hashing.verify("two", encoded)).matches
    await hashing.close()


async def test_an_unknown_account_costs_what_a_wrong_password_does() -> None:
    hasher = CountingHasher()
    hashing = Hashing(hasher)
    encoded = await hashing.hash("right")
    before = hasher.work
    assert not (await hashing.verify("wrong", encoded)).matches
    wrong_password, before = hasher.work - before, hasher.work
    assert not (await hashing.verify("wrong", None)).matches
    assert hasher.work - before == wrong_password == 1
    await hashing.close()


async def test_nobody_signs_in_with_the_password_of_the_dummy() -> None:
    class Revealing(CountingHasher):
        last: str | bytes = ""

        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            self.last = password
            return super().hash(password, salt=salt)

    hasher = Revealing()
    hashing = Hashing(hasher)
    verdict = await hashing.verify(str(hasher.last), None)
    assert not verdict.matches
    await hashing.close()


async def test_a_hash_with_other_parameters_is_outdated_but_matches() -> None:
    encoded = CountingHasher(time_cost=2).hash("one")
    hashing = Hashing(CountingHasher(time_cost=1))
    verdict = await hashing.verify("one", encoded)
    assert (verdict.matches, verdict.outdated) == (True, True)
    assert not (await hashing.verify("two", encoded)).outdated
    await hashing.close()


async def test_a_broken_hash_matches_nothing() -> None:
    hashing = Hashing(CountingHasher())
    assert not (await hashing.verify("one", "not a hash")).matches
    await hashing.close()


async def test_what_does_not_fit_the_queue_is_refused_at_once_and_the_rest_is_done() -> None:
    hasher = BlockingHasher()
    hashing = Hashing(hasher, cores=2)
    hasher.gate.clear()
    admitted = [asyncio.create_task(hashing.hash("x")) for _ in range(1 + 2 * 2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as refused:
        await hashing.hash("x")
    assert refused.value.reason == "HASHING_BUSY"
    assert refused.value.retry_after is not None
    hasher.gate.set()
    assert len(await asyncio.gather(*admitted)) == 5
    await hashing.hash("x")
    await hashing.close()


async def test_a_caller_who_goes_away_does_not_free_a_place_that_is_still_worked_in() -> None:
    hasher = BlockingHasher()
    hashing = Hashing(hasher, cores=1)
    hasher.gate.clear()
    running = asyncio.create_task(hashing.hash("x"))
    waiting = [asyncio.create_task(hashing.hash("x")) for _ in range(2)]
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(ResourceExhausted):
        await hashing.hash("x")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hasher.gate.set()
    for _ in range(3):
        await hashing.hash("x")
    await hashing.close()
