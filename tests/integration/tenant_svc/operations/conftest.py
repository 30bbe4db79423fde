"""Changing plans on a real PostgreSQL, without a worker: tests run the steps themselves, or start one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.operations.steps import MigrationSteps
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.operations.world import World


@pytest.fixture(scope="session")
def world(migrated: WorkerDatabase, doors: Doors, tenants: Tenants) -> World:
    return World(migrated, doors, tenants)


@pytest.fixture(scope="session")
def steps(doors: Doors) -> MigrationSteps:
    return MigrationSteps(doors)


@pytest.fixture
def operations(doors: Doors) -> Operations:
    return Operations(doors, Endings(), poll_interval=timedelta(milliseconds=50))
