"""When a store is asked again after it did not answer."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.leases.breaker import CAPACITY, KeyedBreaker
from tenantmesh.interceptors.limits import StoreUnavailable


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def ask(breaker: KeyedBreaker[str], key: str, error: Exception | None = None) -> None:
    async def answer() -> Any:
        if error is not None:
            raise error

    with contextlib.suppress(StoreUnavailable):
        await breaker.ask(key, answer())


async def test_a_failure_concerns_its_key_for_a_second() -> None:
    clock = Clock()
    breaker = KeyedBreaker[str](clock)
    for _ in range(10):
        await ask(breaker, "a", StoreUnavailable("away"))
    assert (breaker.closed("a"), breaker.closed("b")) == (False, True)
    clock.seconds = 1.0
    assert breaker.closed("a")
    assert not breaker.closed("a", after=5.0)
    await ask(breaker, "a")
    assert breaker.closed("a", after=5.0)


async def test_lost_contact_concerns_all_keys_until_one_is_answered() -> None:
    clock = Clock()
    breaker = KeyedBreaker[str](clock)
    for key in "abcdef":
        await ask(breaker, key, StoreUnavailable("away"))
    assert breaker.closed("z"), "however many keys have failed"
    breaker.lose()
    assert (breaker.closed("z"), breaker.lost) == (False, True)
    clock.seconds = 1.0
    assert (breaker.closed("z"), breaker.lost) == (True, False)
    assert not breaker.closed("z", after=5.0)
    with pytest.raises(NotFound):
        await ask(breaker, "b", NotFound("X", "a refusal is an answer"))
    assert breaker.closed("z", after=5.0)


async def test_the_memory_of_failures_is_bounded_and_keeps_the_newest() -> None:
    breaker = KeyedBreaker[str](Clock(), capacity=3)
    for key in "abcad":
        await ask(breaker, key, StoreUnavailable("away"))
    assert breaker.remembered == 3
    assert [breaker.closed(key) for key in "abcd"] == [False, True, False, False]


async def test_without_another_bound_twenty_thousand_failures_are_remembered() -> None:
    breaker = KeyedBreaker[int](Clock())
    for key in range(CAPACITY + 100):
        breaker.failed(key)
    assert breaker.remembered == CAPACITY == 20_000
