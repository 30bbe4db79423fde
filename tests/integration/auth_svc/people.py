"""Adding users past the use cases, as many at once as a test likes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from tenantmesh.auth_svc.accounts.accounts import NewAccount, User, UserId
from tenantmesh.auth_svc.accounts.repository import UserRepository
from tenantmesh.auth_svc.gauges.gauge import GaugeFull
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime.database import Database
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import database_settings

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def opened(postgres: WorkerDatabase) -> AsyncIterator[Database]:
    """A door through which many may come at once, and wait their turn on a loaded machine."""
    patient = {"pool_size": 20, "acquire_timeout": timedelta(seconds=60)}
    database = Database(database_settings(postgres).model_copy(update=patient), schema="auth")
    try:
        yield database
    finally:
        await database.close()


def account(tenant: TenantRecord, email: str) -> NewAccount:
    user = User(UserId(uuid.uuid4()), tenant.id, email, "Somebody", ("member",), 0, NOW)
    return NewAccount(user, email, "hash")


async def add(users: UserRepository, tenant: TenantRecord, email: str, limit: int | None) -> bool:
    """Whether there was room."""
    try:
        await users.add(account(tenant, email), limit)
    except GaugeFull:
        return False
    return True
