"""The stores of auth_svc in memory, and a hasher that counts: real implementations of the ports, for tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher

from tenantmesh.auth_svc.accounts.accounts import Credentials, NewAccount, User, UserId
from tenantmesh.auth_svc.api_keys.api_keys import SystemKey
from tenantmesh.auth_svc.gauges.gauge import require_room
from tenantmesh.auth_svc.sessions.session import Session
from tenantmesh.auth_svc.tokens.signing_keys import SigningKey
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState

GOOD_PASSWORD = "harbour violet cactus 71 engine"
OTHER_PASSWORD = "quilted thunder 88 marmot garden"


class CountingHasher(PasswordHasher):
    """Cheap, and counts how often it worked."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=8, parallelism=1)
        self.work = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.work += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002  # argon2's name
        self.work += 1
        return super().verify(hash, password)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def timestamp(self) -> float:
        return self.now.timestamp()

    def pass_(self, **units: float) -> None:
        self.now += timedelta(**units)


class MemoryUsers:
    """As UserStore and CredentialStore."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[TenantId, str], NewAccount] = {}

    async def add(self, account: NewAccount, limit: int | None) -> None:
        users = sum(tenant_id == account.user.tenant_id for tenant_id, _ in self.accounts)
        require_room(users, limit)
        self.accounts.setdefault((account.user.tenant_id, account.email_normalised), account)

    async def by_id(self, tenant_id: TenantId, user_id: UserId) -> User | None:
        users = (account.user for account in self.accounts.values())
        return next((user for user in users if user.id == user_id and user.tenant_id == tenant_id), None)

    async def credentials(self, tenant_id: TenantId, email_normalised: str) -> Credentials | None:
        account = self.accounts.get((tenant_id, email_normalised))
        return Credentials(account.user, account.password_hash) if account else None

    async def replace_hash(self, credentials: Credentials, password_hash: str) -> None:
        for key, account in self.accounts.items():
            if account.user == credentials.user and account.password_hash == credentials.password_hash:
                self.accounts[key] = NewAccount(account.user, account.email_normalised, password_hash)


class MemoryHold:
    """As HeldSession."""

    def __init__(self, session: Session, user: User) -> None:
        self.session = session
        self.user = user
        self.saved: Session | None = None

    async def save(self, session: Session) -> None:
        self.saved = session


class MemorySessions:
    """As SessionStore: one hold at a time, saved when it ends without an error."""

    def __init__(self, users: MemoryUsers) -> None:
        self.sessions: dict[tuple[TenantId, uuid.UUID], Session] = {}
        self.holds = 0
        self._users = users
        self._lock = asyncio.Lock()

    async def add(self, session: Session) -> None:
        self.sessions[session.tenant_id, session.id] = session

    @asynccontextmanager
    async def hold(self, tenant_id: TenantId, session_id: uuid.UUID) -> AsyncIterator[MemoryHold | None]:
        self.holds += 1
        async with self._lock:
            session = self.sessions.get((tenant_id, session_id))
            if session is None:
                yield None
                return
            user = await self._users.by_id(tenant_id, UserId(session.user_id))
            assert user is not None
            held = MemoryHold(session, user)
            yield held
            if held.saved is not None:
                self.sessions[tenant_id, session_id] = held.saved


class MemorySigningKeys:
    """As SigningKeyStore."""

    def __init__(self) -> None:
        self.keys: list[SigningKey] = []
        self.reads = 0

    async def all(self) -> list[SigningKey]:
        self.reads += 1
        return list(self.keys)

    async def add_if(self, make: Callable[[Sequence[SigningKey]], SigningKey | None]) -> list[SigningKey]:
        if (key := make(self.keys)) is not None:
            self.keys.append(key)
        return list(self.keys)


class MemorySystemKeys:
    """As SystemKeyStore."""

    def __init__(self) -> None:
        self.keys: dict[uuid.UUID, SystemKey] = {}

    async def add(self, key: SystemKey) -> None:
        self.keys[key.id] = key

    async def by_id(self, key_id: uuid.UUID) -> SystemKey | None:
        return self.keys.get(key_id)

    async def all(self) -> list[SystemKey]:
        return list(self.keys.values())

    async def revoke(self, key_id: uuid.UUID, now: datetime) -> bool:
        key = self.keys.get(key_id)
        if key is None or key.revoke_time is not None:
            return False
        self.keys[key_id] = replace(key, revoke_time=now)
        return True


class MemoryTenants:
    """As Tenants."""

    def __init__(self) -> None:
        self.records: dict[TenantId, TenantRecord] = {}

    def make(self, slug: str, state: TenantState = TenantState.ACTIVE) -> TenantRecord:
        record = TenantRecord(TenantId(uuid.uuid4()), slug, state, "basic")
        self.records[record.id] = record
        return record

    def set_state(self, tenant: TenantRecord, state: TenantState) -> None:
        self.records[tenant.id] = TenantRecord(tenant.id, tenant.slug, state, tenant.plan_id)

    async def find(self, key: TenantId) -> TenantRecord | None:
        return self.records.get(key)
