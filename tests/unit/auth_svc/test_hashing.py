"""Hashing in a few threads: what it answers, and whose turn it is."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tenantmesh.auth_svc.passwords.hashing import Hashing, Verdict, default_hasher
from tenantmesh.interceptors.errors import ResourceExhausted
from tests.passwords import CountingHasher


async def hashed(hashing: Hashing, password: str, tenant: str = "A", network: str = "192.0.2.1") -> str:
    async with hashing.turn(tenant, network) as turn:
        return await turn.hash(password)


async def verified(hashing: Hashing, password: str, encoded: str | None) -> Verdict:
    async with hashing.turn("A", "192.0.2.1") as turn:
        return await turn.verify(password, encoded)


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
    encoded = await hashed(hashing, "one")
    assert (await verified(hashing, "one", encoded)).matches
    assert not (await verified(hashing, "two", encoded)).matches
    await hashing.close()


async def test_an_unknown_account_costs_what_a_wrong_password_does() -> None:
    hasher = CountingHasher()
    hashing = Hashing(hasher)
    encoded = await hashed(hashing, "right")
    before = hasher.work
    assert not (await verified(hashing, "wrong", encoded)).matches
    wrong_password, before = hasher.work - before, hasher.work
    assert not (await verified(hashing, "wrong", None)).matches
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
    verdict = await verified(hashing, str(hasher.last), None)
    assert not verdict.matches
    await hashing.close()


async def test_a_hash_with_other_parameters_is_outdated_but_matches() -> None:
    encoded = CountingHasher(time_cost=2).hash("one")
    hashing = Hashing(CountingHasher(time_cost=1))
    verdict = await verified(hashing, "one", encoded)
    assert (verdict.matches, verdict.outdated) == (True, True)
    assert not (await verified(hashing, "two", encoded)).outdated
    await hashing.close()


async def test_a_broken_hash_matches_nothing() -> None:
    hashing = Hashing(CountingHasher())
    assert not (await verified(hashing, "one", "not a hash")).matches
    await hashing.close()


class Line:
    """Callers of one `Hashing`, which works when it is let, on one thread. Notes who has hashed, in order."""

    def __init__(self, *, places: int = 256, tenant_places: int = 32) -> None:
        self.hasher = BlockingHasher()
        self.hashing = Hashing(self.hasher, cores=1, places=places, tenant_places=tenant_places)
        self.hasher.gate.clear()
        self.done: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, *callers: str) -> list[asyncio.Task[None]]:
        """Have callers ask in this order, each a tenant, a slash and an address."""
        joined = [asyncio.create_task(self._hash(caller)) for caller in callers]
        self.tasks += joined
        await asyncio.sleep(0)
        return joined

    async def _hash(self, caller: str) -> None:
        await hashed(self.hashing, "x", *caller.split("/"))
        self.done.append(caller)

    async def end(self) -> list[BaseException | None]:
        self.hasher.gate.set()
        outcomes = await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.hashing.close()
        return outcomes


def reason(outcome: BaseException | None) -> str | None:
    return outcome.reason if isinstance(outcome, ResourceExhausted) else None


async def test_turns_go_round_by_tenant_and_within_a_tenant_by_address() -> None:
    line = Line()
    await line.join("A/1", "A/1")  # these have their turns; the rest waits
    await line.join("A/1", "A/1", "A/1", "A/2", "B/1", "B/1")
    await line.end()
    assert line.done[2:] == ["A/1", "B/1", "A/2", "B/1", "A/1", "A/1"]


async def test_a_tenant_that_floods_from_many_addresses_costs_another_one_a_turn_and_no_refusal() -> None:
    line = Line()
    flood = await line.join(*[f"A/{number}" for number in range(400)])
    mine = await line.join("B/1")
    outcomes = await line.end()
    assert line.done.index("B/1") <= 3, "after the two whose turn it was, and one more"
    assert reason(outcomes[-1]) is None
    assert [reason(outcome) for outcome in outcomes].count("HASHING_BUSY") == 400 - 2 - 32
    assert (len(flood), len(mine)) == (400, 1)


async def test_an_address_that_floods_its_own_tenant_leaves_places_to_the_other_addresses() -> None:
    line = Line(tenant_places=4)
    await line.join(*["A/1"] * 6)
    others = await line.join("A/2", "A/3")
    outcomes = dict(zip(line.tasks, await line.end(), strict=True))
    assert [reason(outcomes[each]) for each in others] == [None, None]
    assert [reason(outcome) for outcome in outcomes.values()].count("HASHING_BUSY") == 2


async def test_when_the_whole_queue_is_full_the_tenant_with_most_callers_is_refused() -> None:
    line = Line(places=4)
    await line.join(*["A/1"] * 6)
    others = await line.join("B/1", "C/1")
    outcomes = dict(zip(line.tasks, await line.end(), strict=True))
    assert [reason(outcomes[each]) for each in others] == [None, None]
    busy = [outcome for outcome in outcomes.values() if isinstance(outcome, ResourceExhausted)]
    assert [each.reason for each in busy] == ["HASHING_BUSY"] * 2
    assert all(each.retry_after for each in busy)
    assert line.hashing.counts.refused == 2


async def test_a_caller_who_goes_away_does_not_free_a_turn_whose_thread_still_works() -> None:
    line = Line()
    first, second, third = await line.join("A/1", "A/1", "B/1")
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert line.hashing.waiting == 1
    second.cancel()  # its work had not begun
    await asyncio.gather(second, return_exceptions=True)
    await asyncio.sleep(0)
    assert line.hashing.waiting == 0
    await line.end()
    assert third.exception() is None


@pytest.mark.parametrize("steps", range(4))
async def test_cancelled_callers_never_lose_a_turn(steps: int) -> None:
    """Cancel at each point between the end of a turn and the next caller's waking up."""
    line = Line()
    line.hasher.gate.set()
    async with line.hashing.turn("A", "1"), line.hashing.turn("A", "2"):
        (waiting,) = await line.join("B/1")
        assert line.hashing.waiting == 1
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), line.hashing.turn("A", "1"), line.hashing.turn("A", "2"):
        pass
    await line.end()


async def test_a_caller_who_goes_away_leaves_the_queue_also_when_it_is_just_its_turn() -> None:
    line = Line()
    line.hasher.gate.set()
    async with line.hashing.turn("A", "1"), line.hashing.turn("A", "2"):
        gone, going = await line.join("B/1", "B/2")
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert line.hashing.waiting == 1
        going.cancel()  # the turn ends before it can see that
    async with asyncio.timeout(5), line.hashing.turn("A", "1"), line.hashing.turn("A", "2"):
        pass
    await line.end()


async def test_what_a_block_raises_ends_its_turn() -> None:
    line = Line()
    for _ in range(5):
        with pytest.raises(LookupError):
            async with line.hashing.turn("A", "1"):
                raise LookupError
    line.hasher.gate.set()
    assert await hashed(line.hashing, "x")
    await line.end()
