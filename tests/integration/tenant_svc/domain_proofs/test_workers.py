"""Checks by real workers: killed while they look, and with a DNS that never answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofState
from tenantmesh.tenant_svc.operations.operation import OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tests.dns_server import SILENT
from tests.integration.tenant_svc.domain_proofs.conftest import Names
from tests.integration.tenant_svc.domain_proofs.test_proofs import tenant, unused
from tests.integration.tenant_svc.plan_changes.test_crashes import PRODUCT, ended, environment, started

PATIENCE_SECONDS = 60
AT_ONCE = 2


def variables(hosts: Names) -> dict[str, str]:
    return environment(
        hosts.world.database,
        TENANTMESH_DATABASE_SYSTEM_URL=hosts.world.database.url("tenant_directory").get_secret_value(),
        TENANTMESH_DOMAINS_RESOLVERS=hosts.zone.address,
        TENANTMESH_DOMAINS_TIMEOUT="60s",
        TENANTMESH_DOMAINS_CHECKS_AT_ONCE=str(AT_ONCE),
    )


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():
            await asyncio.sleep(0.05)


def looked_for(hosts: Names, *proofs: NameProof) -> set[str]:
    """Those of the names whose records somebody has asked for."""
    return {proof.name for proof in proofs if any(proof.name in name for name, _, _ in hosts.zone.asked)}


async def test_a_check_survives_the_death_of_its_worker(hosts: Names) -> None:
    tenant_id, name = await tenant(hosts), unused()
    added = await hosts.added(tenant_id, name)
    hosts.zone.fail(f"_tenantmesh.{name}", SILENT)

    async def looking() -> bool:
        return bool(looked_for(hosts, added))

    async def verified() -> bool:
        return (await hosts.proofs.get(tenant_id, name)).state is ProofState.VERIFIED

    async with started(variables(hosts), *PRODUCT) as first:
        await until(looking)
        first.kill()
        await first.wait()
    hosts.publish(added)
    async with started(variables(hosts), *PRODUCT):
        await until(verified)
        after = await hosts.proofs.get(tenant_id, name)
        assert [change.state for change in after.history] == [ProofState.VERIFIED]

        async def one_job() -> bool:
            return await hosts.jobs(tenant_id, added) == [after.next_check_time]

        await until(one_job)


async def test_names_that_nobody_answers_about_hold_up_nothing_else(hosts: Names, operations: Operations) -> None:
    tenant_id = await tenant(hosts)
    added = [await hosts.added(tenant_id, unused()) for _ in range(AT_ONCE + 2)]
    for proof in added:
        hosts.zone.fail(f"_tenantmesh.{proof.name}", SILENT)

    async def busy() -> bool:
        return len(looked_for(hosts, *added)) >= AT_ONCE

    async with started(variables(hosts), *PRODUCT):
        await until(busy)
        operation = await hosts.world.started()
        after = await ended(hosts.world, operations, operation)
        assert after.state is OperationState.SUCCEEDED
        assert len(looked_for(hosts, *added)) == AT_ONCE
    for proof in added:
        await hosts.proofs.remove(tenant_id, proof.name)
