"""The use cases of auth_svc on PostgreSQL: a tenant of one's own, a clock that tests move, a cheap hasher."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from argon2 import PasswordHasher

from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.registration import Registration
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.auth_svc.sessions.attempt_rates import AttemptRates, LoginCounts
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.failures import FailedLogins, FailureLimits
from tenantmesh.auth_svc.sessions.password_login import PasswordLogin
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshTokens
from tenantmesh.auth_svc.sessions.session import SessionLifetimes
from tenantmesh.auth_svc.sessions.sessions import Sessions, SignedIn
from tenantmesh.auth_svc.tokens.tokens import AccessTokens
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.limits import Rate, RateLimiter
from tenantmesh.interceptors.lookup import Lookup
from tenantmesh.interceptors.tenants import TenantId, TenantKey, TenantRecord, TenantState
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tests.clock import Clock
from tests.integration.auth_svc.doors import CountingDoors
from tests.integration.auth_svc.stand_in import new_tenant
from tests.passwords import GOOD_PASSWORD, CountingHasher
from tests.signing import OneKey

ALICE = "alice@example.com"
HOME = "192.0.2.1"
FAILURES = FailureLimits(tenant=Rate(1, 100), address=Rate(1 / 10, 10))
RULES = PasswordRules.load()


class KnownTenants(Lookup[TenantKey, TenantRecord]):
    """A directory that has every tenant in memory."""

    live = True

    def __init__(self) -> None:
        self._records: dict[TenantId, TenantRecord] = {}

    def add(self) -> TenantRecord:
        record = new_tenant()
        self._records[record.id] = record
        return record

    def set_state(self, tenant: TenantRecord, state: TenantState) -> None:
        self._records[tenant.id] = TenantRecord(tenant.id, tenant.slug, state, tenant.plan_id)

    def peek(self, key: TenantKey) -> TenantRecord | None:
        return next((record for record in self._records.values() if key in (record.id, record.slug)), None)

    async def find(self, key: TenantKey) -> TenantRecord | None:
        return self.peek(key)

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class WatchingHasher(CountingHasher):
    """Notes how many transactions are open while it works."""

    def __init__(self, doors: CountingDoors, time_cost: int = 1) -> None:
        super().__init__(time_cost)
        self._doors = doors
        self.open_transactions: list[int] = []

    def begin(self) -> None:
        super().begin()
        self.open_transactions.append(self._doors.open)


@dataclass
class World:
    """Use cases that share one database with all tests."""

    doors: CountingDoors
    kek: KeyEncryptionKey
    hasher: PasswordHasher = field(default_factory=CountingHasher)
    limiter: RateLimiter = field(default_factory=MemoryRateLimiter)
    failures: FailureLimits = FAILURES

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.tenants = KnownTenants()
        self.acme = self.tenants.add()
        self.changes: list[None] = []
        """One for each time that the accounts told of a change."""
        self.hashing = Hashing(self.hasher, cores=64, tenant_places=1_000, places=1_000)
        self.accounts = Accounts(
            self.doors, RULES, self.hashing, self.clock, on_change=lambda: self.changes.append(None)
        )
        self.refresh_tokens = RefreshTokens(self.kek)
        self.sessions = Sessions(
            self.doors,
            self.tenants,
            AccessTokens("http://issuer.test", "tenantmesh", "tenantmesh", OneKey(), self.clock.timestamp),
            self.refresh_tokens,
            SessionLifetimes(),
            self.clock,
        )
        self.counts, rates = LoginCounts(), AttemptRates(self.limiter)
        self.attempts = LoginAttempts(rates, self.counts)
        self.failed = FailedLogins(rates, self.counts, self.failures)
        self._logins = PasswordLogin(self.doors, self.hashing, self.attempts, self.failed, self.sessions)

    async def register(
        self,
        email: str = ALICE,
        password: str = GOOD_PASSWORD,
        *,
        tenant: TenantRecord | None = None,
        name: str = "",
        limit: int | None = None,
    ) -> None:
        await self.accounts.register(tenant or self.acme, Registration(email, password, name), limit, HOME)

    async def login(
        self,
        email: str = ALICE,
        password: str = GOOD_PASSWORD,
        *,
        tenant: TenantRecord | None = None,
        network: str = HOME,
    ) -> SignedIn:
        return await self._logins.login((tenant or self.acme).id, email, password, network)

    async def sign_in(self) -> str:
        """The refresh token of a new session of Alice."""
        return (await self.login()).tokens.refresh

    async def refresh(self, token: str, named: TenantRecord | None = None) -> str:
        return (await self.sessions.refresh(token, named)).refresh


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """Ends the world's threads in the end."""
    try:
        yield world
    finally:
        await world.hashing.close()
