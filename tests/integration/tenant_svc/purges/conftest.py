"""The fixture of purges: both services' databases and the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.runtime import redis_client
from tenantmesh.runtime.settings import RedisSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.purges.purging import PATIENT, Purging, purging


@pytest.fixture(scope="module")
async def purge(migrated: WorkerDatabase, doors: Doors, store: Store) -> AsyncIterator[Purging]:
    client = redis_client.connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=PATIENT))
    async with purging(migrated, doors, client) as made:
        yield made
    await client.aclose()
