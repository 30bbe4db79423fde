"""The caller, with what a worker does for it: checks of a host, and a purge."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.integration.tenant_svc.accepted.caller import Caller
from tests.integration.tenant_svc.accepted.work import Work
from tests.integration.tenant_svc.domain_proofs.conftest import Names, hosts, parts
from tests.integration.tenant_svc.purges.conftest import purge
from tests.integration.tenant_svc.purges.purging import Purging
from tests.integration.tenant_svc.serving import Service

__all__ = ["hosts", "parts", "purge"]


@pytest.fixture
async def caller(service: Service, executor: PlanChangeExecutor, hosts: Names, purge: Purging) -> AsyncIterator[Caller]:
    made = Caller(service, Work(plan_changes=executor, hosts=hosts, purges=purge))
    await made.begin()
    yield made
    await made.end()
