"""Checks by real workers: killed while they look, and with a DNS that never answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof, ProofState
from tenantmesh.tenant_svc.operations.operation import OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tests.dns_server import SILENT
from tests.integration.tenant_svc.domain_proofs.conftest import Log, Names
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


async def silent(hosts: Names, tenant_id: TenantId) -> NameProof:
    """A name about which the DNS never answers."""
    added = await hosts.added(tenant_id, unused())
    hosts.zone.fail(f"_tenantmesh.{added.name}", SILENT)
    return added


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
    owners = [await tenant(hosts) for _ in range(AT_ONCE + 2)]
    added = [await silent(hosts, owner) for owner in owners]

    async def busy() -> bool:
        return len(looked_for(hosts, *added)) >= AT_ONCE

    async with started(variables(hosts), *PRODUCT):
        await until(busy)
        operation = await hosts.world.started()
        after = await ended(hosts.world, operations, operation)
        assert after.state is OperationState.SUCCEEDED
        assert len(looked_for(hosts, *added)) == AT_ONCE
    for owner, proof in zip(owners, added, strict=True):
        await hosts.proofs.remove(owner, proof.name)


async def test_names_of_one_tenant_that_nobody_answers_about_hold_up_no_other_tenant(hosts: Names) -> None:
    one, other = await tenant(hosts), await tenant(hosts)
    added = [await silent(hosts, one) for _ in range(AT_ONCE + 2)]
    theirs = await hosts.added(other, unused())
    hosts.publish(theirs)

    async def busy() -> bool:
        return bool(looked_for(hosts, *added))

    async def verified() -> bool:
        return (await hosts.proofs.get(other, theirs.name)).state is ProofState.VERIFIED

    async with started(variables(hosts), *PRODUCT):
        await until(busy)
        await until(verified)
    assert len(looked_for(hosts, *added)) == 1
    for proof in added:
        await hosts.proofs.remove(one, proof.name)


async def test_a_repeated_check_survives_the_death_of_its_worker(hosts: Names, log: Log) -> None:
    """The worker is killed while it looks again at a name that was proven, and whose proof is gone."""
    tenant_id = await tenant(hosts)
    proof = await hosts.verified(tenant_id, unused())
    hosts.zone.fail(f"_tenantmesh.{proof.name}", SILENT)
    asked = len(hosts.zone.asked)
    await hosts.proofs.ask(tenant_id, proof.name)

    async def looking() -> bool:
        return any(proof.name in name for name, _, _ in hosts.zone.asked[asked:])

    async def failing() -> bool:
        return (await hosts.proofs.get(tenant_id, proof.name)).state is ProofState.FAILING

    async with started(variables(hosts), *PRODUCT) as first:
        await until(looking)
        first.kill()
        await first.wait()
    assert await log.told(tenant_id) == [("VERIFIED", "PROVEN_BY_DNS")]
    hosts.zone.remove(f"_tenantmesh.{proof.name}")
    async with started(variables(hosts), *PRODUCT):
        await until(failing)
    assert await log.told(tenant_id) == [("VERIFIED", "PROVEN_BY_DNS"), ("FAILING", "NO_RECORD")]
