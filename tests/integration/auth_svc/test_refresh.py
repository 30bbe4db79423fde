"""Refresh tokens under parallel use: the use cases on PostgreSQL, without the chain and its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tenantmesh.auth_svc.accounts.accounts import Accounts, Registration
from tenantmesh.auth_svc.accounts.repository import UserRepository
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.sessions.repository import SessionRepository
from tenantmesh.auth_svc.sessions.session import Limits
from tenantmesh.auth_svc.sessions.sessions import Sessions
from tenantmesh.auth_svc.tokens.repository import SigningKeyRepository
from tenantmesh.auth_svc.tokens.signing_keys import KeyRing, KeySchedule
from tenantmesh.auth_svc.tokens.tokens import AccessTokens
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tests.integration.auth_svc.stand_in import new_tenant
from tests.unit.auth_svc.memory import GOOD_PASSWORD, Clock, CountingHasher, MemoryTenants

EMAIL = "alice@example.com"
SESSIONS = 8
PARALLEL = 50


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def tenants() -> MemoryTenants:
    return MemoryTenants()


@pytest.fixture(scope="module")
async def sessions(
    doors: Doors, kek: KeyEncryptionKey, tenants: MemoryTenants, clock: Clock
) -> AsyncIterator[Sessions]:
    limits, users, hashing = Limits(), UserRepository(doors), Hashing(CountingHasher(), cores=8)
    keys = KeyRing(SigningKeyRepository(doors), kek, KeySchedule(), time.time)
    await keys.maintain()
    tenant = new_tenant()
    tenants.records[tenant.id] = tenant
    await Accounts(users, PasswordRules.load(), hashing).register(tenant, Registration(EMAIL, GOOD_PASSWORD, ""), None)
    yield Sessions(
        users=users,
        sessions=SessionRepository(doors, limits),
        tenants=tenants,
        hashing=hashing,
        attempts=LoginAttempts(MemoryRateLimiter(clock=lambda: time.monotonic() * 1e6)),
        access=AccessTokens("http://issuer.test", "tenantmesh", keys),
        refresh=RefreshTokens(kek.derive("refresh-tokens")),
        kek=kek,
        limits=limits,
        clock=clock,
    )
    await hashing.close()


@pytest.fixture(scope="module")
def tenant(tenants: MemoryTenants) -> TenantRecord:
    (only,) = tenants.records.values()
    return only


async def sign_in(sessions: Sessions, tenant: TenantRecord) -> str:
    return (await sessions.login(tenant.id, EMAIL, GOOD_PASSWORD)).tokens.refresh


async def exchange(sessions: Sessions, token: str) -> str:
    return (await sessions.refresh(token, None)).refresh


async def test_fifty_parallel_refreshes_of_each_session_yield_one_successor(
    sessions: Sessions, tenant: TenantRecord
) -> None:
    tokens = [await sign_in(sessions, tenant) for _ in range(SESSIONS)]
    for token in tokens:
        successors = await asyncio.gather(*(exchange(sessions, token) for _ in range(PARALLEL)))
        assert len(set(successors)) == 1
        assert await exchange(sessions, successors[0]) != successors[0]


async def test_a_stolen_token_ends_its_session_whoever_comes_first(
    sessions: Sessions, tenant: TenantRecord, clock: Clock
) -> None:
    tokens = [await sign_in(sessions, tenant) for _ in range(SESSIONS)]
    successors = [await exchange(sessions, token) for token in tokens]
    clock.pass_(seconds=10)
    outcomes = await asyncio.gather(
        *(exchange(sessions, token) for token in tokens for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, Unauthenticated) for outcome in outcomes)
    for successor in successors:
        with pytest.raises(Unauthenticated):
            await exchange(sessions, successor)


async def test_a_chain_of_refreshes_in_a_hurry_never_ends_an_honest_session(
    sessions: Sessions, tenant: TenantRecord
) -> None:
    latest = await sign_in(sessions, tenant)
    for _ in range(20):
        latest, *others = await asyncio.gather(*(exchange(sessions, latest) for _ in range(3)))
        assert set(others) == {latest}
