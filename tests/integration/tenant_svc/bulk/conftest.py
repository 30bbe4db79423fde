"""Callers of the bulk methods, and the executor of imports."""

from __future__ import annotations

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.bulk.creations import TenantCreations
from tenantmesh.tenant_svc.bulk.import_executor import ImportExecutor
from tenantmesh.tenant_svc.bulk.requests import BatchMemory
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates
from tests.integration.tenant_svc.bulk.importing import Importer
from tests.integration.tenant_svc.serving import Service
from tests.integration.tenant_svc.world import World


@pytest.fixture
def key(service: Service) -> str:
    return service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")


@pytest.fixture
async def importer(service: Service, key: str, world: World) -> Importer:
    return Importer(service, key, world)


@pytest.fixture
def executor_of_imports(doors: Doors, tenants: Tenants) -> ImportExecutor:
    creations = TenantCreations(doors, tenants, BatchMemory(doors), uuid7)
    return ImportExecutor(doors, creations, TenantUpdates(doors, LifeSettings()))
