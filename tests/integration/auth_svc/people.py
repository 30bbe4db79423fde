"""Registering people past the chain, as many at once as a test likes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.accounts.registration import Registration
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime.database import Database
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import database_settings
from tests.integration.auth_svc.world import HOME, RULES
from tests.passwords import GOOD_PASSWORD, CountingHasher


@asynccontextmanager
async def opened(postgres: WorkerDatabase) -> AsyncIterator[Database]:
    """A database that many may enter at once, and wait their turn on a loaded machine."""
    patient = {
        "pool_size": 20,
        "tenant_share": 1,
        "tenant_max_waiting": 1_000,
        "acquire_timeout": timedelta(seconds=60),
    }
    database = Database(database_settings(postgres).model_copy(update=patient), schema="auth")
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def registering(database: Database) -> AsyncIterator[Accounts]:
    """Accounts with a hasher that takes no time worth mentioning."""
    hashing = Hashing(CountingHasher(), cores=64, tenant_places=1_000, places=1_000)
    try:
        yield Accounts(Doors(database, OUTAGE), RULES, hashing)
    finally:
        await hashing.close()


async def register(accounts: Accounts, tenant: TenantRecord, email: str, limit: int | None) -> None:
    await accounts.register(tenant, Registration(email, GOOD_PASSWORD, ""), limit, HOME)


async def add(accounts: Accounts, tenant: TenantRecord, email: str, limit: int | None) -> bool:
    """Whether there was room."""
    try:
        await register(accounts, tenant, email, limit)
    except ResourceExhausted as refused:
        if refused.reason != "LIMIT_REACHED":
            raise
        return False
    return True
