"""The caller, with what a worker does for it: checks of a host, and a purge."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.runtime import redis_client
from tenantmesh.runtime.settings import RedisSettings
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.accepted.caller import Caller
from tests.integration.tenant_svc.accepted.work import Work
from tests.integration.tenant_svc.domain_proofs.conftest import Names, hosts, parts
from tests.integration.tenant_svc.purges.purging import PATIENT, Purging, purging
from tests.integration.tenant_svc.serving import Service

__all__ = ["hosts", "parts"]


@pytest.fixture(scope="module")
async def purge(migrated: WorkerDatabase, doors: Doors, store: Store) -> AsyncIterator[Purging]:
    client = redis_client.connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=PATIENT))
    async with purging(migrated, doors, client) as made:
        yield made
    await client.aclose()


@pytest.fixture
async def caller(service: Service, executor: PlanChangeExecutor, hosts: Names, purge: Purging) -> AsyncIterator[Caller]:
    made = Caller(service, Work(plan_changes=executor, hosts=hosts, purges=purge))
    await made.begin()
    yield made
    await made.end()
