"""When a store is asked again after it did not answer."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.leases.breaker import KeyedBreaker
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


async def test_failures_of_several_keys_in_a_row_concern_all() -> None:
    clock = Clock()
    breaker = KeyedBreaker[str](clock, lost_after=2)
    await ask(breaker, "a", StoreUnavailable("away"))
    with pytest.raises(NotFound):
        await ask(breaker, "b", NotFound("X", "a refusal is an answer"))
    await ask(breaker, "c", StoreUnavailable("away"))
    assert breaker.closed("z")
    await ask(breaker, "d", StoreUnavailable("away"))
    assert not breaker.closed("z")
    clock.seconds = 1.0
    assert breaker.closed("z")
