"""What tests of tenant_svc begin with: new tenants, a superuser, and waiting until something holds."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from tenantmesh.runtime.database import connect
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tests.fixtures.engines import WorkerDatabase


def unused_slug() -> str:
    """A slug that no other test has: tests share the database."""
    return f"t-{uuid.uuid4().hex[:20]}"


def new_tenant(slug: str | None = None) -> NewTenant:
    slug = slug or unused_slug()
    return NewTenant.checked(slug=slug, display_name=f"The {slug}", plan_id="premium")


async def as_superuser(database: WorkerDatabase, statement: str, *arguments: object) -> str:
    """Runs what no role of ours may; returns PostgreSQL's command tag."""
    connection = await connect(database.admin_url)
    try:
        return str(await connection.execute(statement, *arguments))
    finally:
        await connection.close()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds; fails after about five seconds."""
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")
