"""A purge, step by step: it goes on wherever it was stopped, leaves nothing of its tenant and all of the others."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import Aborted, AlreadyExists, FailedPrecondition, NotFound
from tenantmesh.interceptors.keys import tenant_keys
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.redis_client.families import count_family
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.purges.proof import read_proof
from tenantmesh.tenant_svc.purges.purge import PurgeStep, Wanted
from tenantmesh.tenant_svc.purges.purges import PurgeRequest
from tenantmesh.tenant_svc.purges.signature import verify
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.purges.purging import Purging, filled, interrupted, left, stopping
from tests.integration.tenant_svc.world import ACTOR, World

DAY = timedelta(days=1)


async def check_gone(purge: Purging, world: World, tenant: Tenant, rows: int = 3) -> None:
    """Nothing is left, and one signed proof says what was there."""
    assert await left(world, tenant.id) == {}
    assert await count_family(purge.store, tenant_keys(tenant.id)) == 0
    assert not await world.rows("SELECT FROM jobs.pgqueuer WHERE payload LIKE $1", f"tenants/{tenant.id}/%".encode())
    stored = await purge.purges.get(tenant.id)
    kid, key = purge.keys.signer()
    assert verify(stored.proof.encode(), stored.signature, {kid: key.public_key()}) == stored.kid
    proof = read_proof(stored.proof.encode())
    before = {each["table"]: each["before"] for each in proof["tables"]}
    assert (before["tenant.operations"], before["auth.users"], before["tenant.tenants"]) == (rows, rows, 1)
    others = {each["name"]: each["before"] for each in proof["others"]}
    assert (others["store_keys"], others["jobs"], others["passwords"]) == (1, 2, rows)  # its end of grace is a job too
    assert [each["step"] for each in proof["steps"]] == [step.value for step in PurgeStep]


@pytest.mark.parametrize("stored", [False, True], ids=["before its end is stored", "after"])
@pytest.mark.parametrize("step", PurgeStep)
async def test_stopped_anywhere_it_goes_on(purge: Purging, world: World, step: PurgeStep, stored: bool) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    await interrupted(lambda: purge.executor(stopping(step, stored=stored)).run(operation.id))
    ended = await purge.executor().run(operation.id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    await check_gone(purge, world, tenant)


async def test_rows_go_in_batches_and_those_of_another_tenant_stay(purge: Purging, world: World) -> None:
    tenant, other = await filled(world, purge, rows=2_300), await filled(world, purge)
    before = await left(world, other.id)
    await purge.deleted(tenant.id)
    await purge.deleted(other.id)
    ended = await purge.executor().run((await purge.started(tenant.id)).id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    await check_gone(purge, world, tenant, rows=2_300)
    after = await left(world, other.id)
    assert after == before | {"tenant.tenant_events": before["tenant.tenant_events"] + 1}  # its deletion
    assert await count_family(purge.store, tenant_keys(other.id)) == 1


async def test_two_processes_purge_one_tenant_once(purge: Purging, world: World) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    first, second = purge.executor(), purge.executor()
    current: Operation | None = operation
    for step in PurgeStep:  # each step is done by both, from the state that both have read
        assert current is not None
        result = await first.take(current, step)
        again = await second.take(current, step)
        assert again is None or again.state == (result and result.state)
        current = result
    assert current is not None
    assert current.state is OperationState.SUCCEEDED
    await check_gone(purge, world, tenant)


async def test_only_a_deleted_tenant_is_purged(purge: Purging, world: World) -> None:
    tenant = await filled(world, purge)
    with pytest.raises(FailedPrecondition) as refused:
        await purge.started(tenant.id)
    assert refused.value.reason == "TENANT_NOT_DELETED"
    with pytest.raises(NotFound):
        await purge.started(TenantId(uuid.uuid4()))
    deleted = await purge.deleted(tenant.id)
    with pytest.raises(Aborted):
        await purge.started(tenant.id, etag=tenant.etag)
    await purge.started(tenant.id, etag=deleted.etag)
    with pytest.raises(FailedPrecondition) as twice:
        await purge.started(tenant.id)
    assert twice.value.reason == "PURGE_UNDER_WAY"
    assert twice.value.metadata["operation"].startswith("operations/")


async def test_a_repeated_request_gets_its_operation(purge: Purging, world: World) -> None:
    tenant, other = await filled(world, purge), await filled(world, purge)
    await purge.deleted(tenant.id)
    await purge.deleted(other.id)
    key = RequestKey(ACTOR, uuid.uuid4())
    operation = await purge.started(tenant.id, key=key)
    assert (await purge.started(tenant.id, key=key)).id == operation.id
    with pytest.raises(AlreadyExists):
        await purge.started(other.id, key=key)
    await purge.executor().run(operation.id)
    assert (await purge.started(tenant.id, key=key)).state is OperationState.SUCCEEDED  # though the tenant is gone


async def test_brought_back_before_the_purge_begins_it_lives(purge: Purging, world: World) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    await purge.deletions.undelete(tenant.id, "", "", ACTOR)
    before = await left(world, tenant.id)
    ended = await purge.executor().run(operation.id)
    assert ended is not None
    assert ended.error is not None
    assert (ended.state, ended.error.reason) == (OperationState.FAILED, "TENANT_NOT_DELETED")
    assert await left(world, tenant.id) == before


async def test_once_it_has_begun_nothing_brings_the_tenant_back(purge: Purging, world: World) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    await interrupted(lambda: purge.executor(stopping(PurgeStep.ANNOUNCE, stored=True)).run(operation.id))
    with pytest.raises(FailedPrecondition) as refused:
        await purge.deletions.undelete(tenant.id, "", "", ACTOR)
    assert refused.value.reason == "PURGE_UNDER_WAY"


async def test_cancelled_while_it_runs_it_is_taken_up_again_with_the_first_numbers(
    purge: Purging, world: World, operations: Operations
) -> None:
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    operation = await purge.started(tenant.id)
    await interrupted(lambda: purge.executor(stopping(PurgeStep.ROWS, stored=True)).run(operation.id))
    await operations.cancel(None, str(operation.id), ACTOR)
    stopped = await purge.executor().run(operation.id)
    assert stopped is not None
    assert stopped.state is OperationState.CANCELLED
    assert await swept(purge, world, tenant, pause=timedelta(hours=1)) == []  # not at once
    (again,) = await swept(purge, world, tenant)
    ended = await purge.executor().run(again)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    await check_gone(purge, world, tenant)


async def swept(purge: Purging, world: World, tenant: Tenant, pause: timedelta = timedelta()) -> list[uuid.UUID]:
    """The operations that a sweep starts for the tenant, as if its purge was due long ago."""
    await world.rows(
        "UPDATE tenant.tenants SET purge_time = now() - interval '1 day' WHERE tenant_id = $1 AND purge_time < now()",
        tenant.id,
    )
    await world.rows(
        "UPDATE tenant.tenants SET purge_start_time = purge_start_time - interval '1 day' WHERE tenant_id = $1",
        tenant.id,
    )
    await purge.purges.sweep(pause)
    found = await world.rows(
        "SELECT operation_id FROM tenant.mesh_operations WHERE subject = $1 AND end_time IS NULL",
        f"tenants/{tenant.id}",
    )
    return [row["operation_id"] for row in found]


async def test_a_purge_that_no_job_has_started_is_not_forgotten(purge: Purging, world: World) -> None:
    forgotten, waiting = await filled(world, purge), await filled(world, purge)
    await purge.deleted(forgotten.id, grace=timedelta())
    await purge.deleted(waiting.id, grace=DAY)
    await world.rows("DELETE FROM jobs.pgqueuer WHERE entrypoint = 'purge_tenant'")
    (operation,) = await swept(purge, world, forgotten)
    assert await swept(purge, world, forgotten) == [operation]  # one at a time
    assert await swept(purge, world, waiting) == []
    ended = await purge.executor().run(operation)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    proof = json.loads((await purge.purges.get(forgotten.id)).proof)
    assert proof["requested"] == {**proof["requested"], "actor": "", "reason": "GRACE_PERIOD_ENDED"}


async def test_the_end_of_a_grace_period_starts_what_is_due_and_nothing_else(purge: Purging, world: World) -> None:
    due, early, back, alive = [await filled(world, purge) for _ in range(4)]
    await purge.deleted(due.id, grace=timedelta())
    await purge.deleted(early.id, grace=DAY)
    await purge.deleted(back.id, grace=timedelta())
    await purge.deletions.undelete(back.id, "", "", ACTOR)
    assert await purge.purges.begin_if_due(due.id) is not None
    assert await purge.purges.begin_if_due(due.id) is None  # it is under way
    for tenant in (early, back, alive):
        assert await purge.purges.begin_if_due(tenant.id) is None
    assert await purge.purges.begin_if_due(TenantId(uuid.uuid4())) is None


async def test_a_served_tenant_stops_the_purge_in_auth_svc(purge: Purging, world: World) -> None:
    """Whatever tenant_svc believes: auth_svc asks the mesh itself."""
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    purge.accounts.source.set(tenant.record)
    operation = await purge.started(tenant.id)
    ended = await purge.executor().run(operation.id)
    assert ended is not None
    assert ended.error is not None
    assert (ended.state, ended.error.reason) == (OperationState.FAILED, "TENANT_SERVED")
    assert (await left(world, tenant.id))["auth.users"] == 3


async def test_a_tenant_goes_after_those_below_it(purge: Purging, world: World) -> None:
    """One of them that is deleted can be brought back, and names its parent."""
    parent, child = await filled(world, purge), await filled(world, purge)
    await world.rows("UPDATE tenant.tenants SET parent_id = $1 WHERE tenant_id = $2", parent.id, child.id)
    await purge.deleted(child.id, grace=DAY)
    await purge.deleted(parent.id, grace=timedelta())
    with pytest.raises(FailedPrecondition) as refused:
        await purge.started(parent.id)
    assert refused.value.reason == "TENANT_HAS_CHILDREN"
    assert await purge.purges.begin_if_due(parent.id) is None
    assert await swept(purge, world, parent) == []
    begun = await purge.purges.begin(parent.id, PurgeRequest(ACTOR, Wanted.OPERATOR))
    ended = await purge.executor().run(begun.id)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.reason == "TENANT_HAS_CHILDREN"
    gone = await purge.executor().run((await purge.started(child.id)).id)
    assert gone is not None
    assert gone.state is OperationState.SUCCEEDED, gone.error
    (operation,) = await swept(purge, world, parent)
    ended = await purge.executor().run(operation)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
