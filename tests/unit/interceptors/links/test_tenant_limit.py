"""What the burst limit of a tenant tells its callers."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.interceptors import CallerKind, MemoryRateLimiter, Rate
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.link import CompiledChain, compile_chain
from tenantmesh.interceptors.links.tenant_limit import TenantLimit
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, TenantScope
from tenantmesh.interceptors.servers.limit_headers import limit_headers
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tests.clock import Clock
from tests.unit.interceptors.calls import call

ACME = TenantRecord(TenantId(uuid.uuid4()), "acme", TenantState.ACTIVE, "basic")
POLICY = MethodPolicy("/x.Y/Z", frozenset({CallerKind.USER}), tenant_scope=TenantScope.REQUIRED, rate_class="api")


def called(chain: CompiledChain) -> dict[str, str]:
    """The headers of a call, served or refused."""
    passing: Passage = call(policy=POLICY)
    passing.tenant = ACME
    for enter in chain.enters:
        try:
            assert enter(passing) is None
        except ResourceExhausted as refused:
            passing.error = refused
    return dict(limit_headers(chain, passing))


def test_the_reset_counts_down_while_calls_are_refused() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock.timestamp)
    chain = compile_chain([TenantLimit(limiter, MemoryRateLimiter(), {"api": Rate(0.1, 3)})], POLICY)
    served = [called(chain)["ratelimit-reset"] for _ in range(3)]
    assert served == ["10", "20", "30"]
    resets = []
    for seconds in (0, 5, 3):
        clock.advance(seconds=seconds)
        resets.append(called(chain)["ratelimit-reset"])
    assert resets == ["30", "25", "22"]


@pytest.mark.parametrize("passed", [0.0, 2.5, 9.0])
def test_the_reset_of_a_served_call_is_exact(passed: float) -> None:
    """Not in whole calls: a rate of one call in 1,000 s would be up to 1,000 s wrong."""
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock.timestamp)
    chain = compile_chain([TenantLimit(limiter, MemoryRateLimiter(), {"api": Rate(0.001, 3)})], POLICY)
    called(chain)
    clock.advance(seconds=passed)
    assert called(chain)["ratelimit"] == f'"api";r=1;t={2000 - int(passed)}'
