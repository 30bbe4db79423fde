"""Failed sign-ins over all accounts of a tenant: whom they limit, and whom they leave alone."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.sessions.attempt_rates import AttemptRates, LoginCounts
from tenantmesh.auth_svc.sessions.failures import FailedLogins, FailureLimits
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.limits import Rate, RateDecision, StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId
from tests.clock import Clock

ACME, GLOBEX = TenantId(uuid.uuid4()), TenantId(uuid.uuid4())
LIMITS = FailureLimits(tenant=Rate(1, 10), address=Rate(1 / 10, 3))


class StoreAway:
    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        raise StoreUnavailable


def failures_by(clock: Clock, *, capacity: int = 100) -> tuple[FailedLogins, LoginCounts]:
    counts, rates = LoginCounts(), AttemptRates(MemoryRateLimiter(clock=clock.timestamp))
    return FailedLogins(rates, counts, LIMITS, capacity=capacity, clock=clock.timestamp), counts


async def fail(failures: FailedLogins, network: str, times: int = 1, tenant: TenantId = ACME) -> int:
    """Fail so often, and return how many attempts were let through."""
    for done in range(times):
        try:
            failures.check(tenant, network)
        except ResourceExhausted:
            return done
        await failures.add(tenant, network)
    return times


async def test_few_failures_limit_nobody() -> None:
    failures, _ = failures_by(Clock())
    assert await fail(failures, "attacker", 10) == 10
    failures.check(ACME, "attacker")


async def test_an_address_that_fails_often_while_its_tenant_is_over_is_refused_and_no_other_is() -> None:
    failures, counts = failures_by(Clock())
    assert await fail(failures, "attacker", 100) == 10 + 3
    with pytest.raises(ResourceExhausted) as refused:
        failures.check(ACME, "attacker")
    assert (refused.value.reason, refused.value.metadata["scope"]) == ("RATE_LIMITED", "peer")
    assert refused.value.retry_after == timedelta(seconds=10)
    failures.check(ACME, "somebody else")
    failures.check(GLOBEX, "attacker")
    assert (counts.failed, counts.failed_over_limit, counts.refused_address) == (13, 3, 2)


async def test_however_many_addresses_fail_one_that_does_not_signs_in() -> None:
    failures, _ = failures_by(Clock(), capacity=1_000)
    for number in range(200):
        await fail(failures, f"attacker {number}", 5)
    failures.check(ACME, "the owner's")
    assert await fail(failures, "the owner's", 5) == 3


async def test_a_refused_address_tries_again_as_slowly_as_its_rate_says() -> None:
    clock = Clock()
    failures, _ = failures_by(clock)
    await fail(failures, "attacker", 100)
    clock.advance(seconds=9)
    await fail(failures, "another one", 9)  # the tenant stays over its limit
    assert await fail(failures, "attacker", 5) == 0
    clock.advance(seconds=1)
    await fail(failures, "a third one", 1)
    assert await fail(failures, "attacker", 5) == 1


async def test_refused_addresses_do_not_fill_memory() -> None:
    failures, _ = failures_by(Clock(), capacity=2)
    await fail(failures, "first", 13)
    for network in ("second", "third"):
        await fail(failures, network, 3)
    failures.check(ACME, "first")
    for network in ("second", "third"):
        with pytest.raises(ResourceExhausted):
            failures.check(ACME, network)


async def test_without_the_shared_counters_a_process_counts_a_quarter_by_itself() -> None:
    failures = FailedLogins(AttemptRates(StoreAway()), LoginCounts(), FailureLimits(Rate(1e-6, 40), Rate(1e-6, 8)))
    assert await fail(failures, "attacker", 100) == 10 + 2
