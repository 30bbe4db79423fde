"""The limit by address while the limiter's store is away."""

from __future__ import annotations

from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind, StoreUnavailable
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.links.peer_limit import PeerLimit
from tenantmesh.interceptors.policy import MethodPolicy, StoreDown
from tests.unit.interceptors.calls import call


class Down:
    """A limiter whose store is away."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Any:
        raise StoreUnavailable("down")


@pytest.mark.parametrize("store_down", list(StoreDown))
async def test_a_limiter_without_its_store_does_what_the_policy_says(store_down: StoreDown) -> None:
    policy = MethodPolicy("/x.Y/Z", frozenset({CallerKind.ANONYMOUS}), rate_class="credential", store_down=store_down)
    link = PeerLimit(Down(), MemoryRateLimiter(), {"credential": Rate(0.001, 8)}).bind(policy)
    assert link is not None
    assert link.enter is not None
    outcomes = []
    for _ in range(3):
        try:
            pending = link.enter(call(policy=policy))
            assert pending is not None
            await pending
            outcomes.append("served")
        except MeshError as error:
            outcomes.append(type(error).__name__)
    assert (
        outcomes
        == {
            StoreDown.DENY: ["Unavailable"] * 3,
            StoreDown.LOCAL: ["served", "served", "ResourceExhausted"],
            StoreDown.ALLOW: ["served"] * 3,
        }[store_down]
    )
