"""Adding, finding and removing names: the same for login hosts and e-mail domains."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.interceptors.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.domain_proofs.proof import ProofReason, ProofState
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tests.integration.tenant_svc.domain_proofs.conftest import LIMIT, Names
from tests.integration.tenant_svc.listed import query


def unused() -> str:
    return f"n{uuid.uuid4().hex[:16]}.names.test"


async def tenant(names: Names) -> TenantId:
    return (await names.world.tenant()).id


async def test_a_new_name_is_pending_with_a_check_that_is_due(names: Names) -> None:
    tenant_id, name = await tenant(names), unused()
    added = await names.added(tenant_id, name.upper())
    assert (added.name, added.state, added.reason) == (name, ProofState.PENDING, ProofReason.NOT_CHECKED)
    assert len(added.token) == 26
    assert await names.proofs.get(tenant_id, name) == added
    assert await names.jobs(tenant_id, added) == [added.next_check_time]
    assert added.next_check_time <= datetime.now(UTC)


async def test_a_name_that_is_there_stays_as_it_is(names: Names) -> None:
    tenant_id, name = await tenant(names), unused()
    first = await names.verified(tenant_id, name)
    assert await names.added(tenant_id, f"{name}.") == first
    assert len(await names.jobs(tenant_id, first)) == 2  # the check that was made by hand, and the next one


async def test_all_names_of_a_tenant_have_one_token_and_those_of_others_another(names: Names) -> None:
    one, other = await tenant(names), await tenant(names)
    tokens = [(await names.added(each, unused())).token for each in (one, one, other)]
    assert tokens[0] == tokens[1] != tokens[2]


async def test_many_names_are_added_all_or_none(names: Names) -> None:
    tenant_id, good = await tenant(names), [unused(), unused()]
    with pytest.raises(InvalidArgument) as refused:
        await names.proofs.add(tenant_id, [*good, "no name", "co.uk"], many=True)
    field = names.kind.field
    assert [violation.field for violation in refused.value.violations] == [f"{field}s[2]", f"{field}s[3]"]
    assert not (await names.proofs.page(tenant_id, 0, "")).items
    added = await names.proofs.add(tenant_id, [*good, good[0].upper()], many=True)
    assert [proof.name for proof in added] == [*good, good[0]]
    for count in (0, 101):
        with pytest.raises(InvalidArgument, match="must be 1 to 100 names"):
            await names.proofs.add(tenant_id, [unused() for _ in range(count)], many=True)


async def test_a_tenant_may_have_so_many(names: Names) -> None:
    tenant_id, all_names = await tenant(names), [unused() for _ in range(LIMIT)]
    await names.proofs.add(tenant_id, all_names, many=True)
    with pytest.raises(FailedPrecondition) as refused:
        await names.added(tenant_id, unused())
    assert (refused.value.reason.endswith("S_FULL"), refused.value.metadata) == (True, {"limit": str(LIMIT)})
    await names.added(tenant_id, all_names[0])  # it is there
    await names.proofs.remove(tenant_id, all_names[0])
    await names.added(tenant_id, unused())


async def test_a_dry_run_stores_nothing(names: Names) -> None:
    tenant_id, name = await tenant(names), unused()
    (drafted,) = await names.proofs.add(tenant_id, [name], validate_only=True)
    assert (drafted.name, drafted.state) == (name, ProofState.PENDING)
    assert not (await names.proofs.page(tenant_id, 0, "")).items


async def test_names_are_listed_in_pages_of_the_tenants_own(names: Names) -> None:
    tenant_id, other = await tenant(names), await tenant(names)
    added = [(await names.added(tenant_id, unused())).name for _ in range(3)]
    await names.added(other, unused())
    first = await names.proofs.page(tenant_id, 2, "")
    second = await names.proofs.page(tenant_id, 2, first.next_token)
    assert [proof.name for proof in (*first.items, *second.items)] == added
    assert second.next_token == ""
    with pytest.raises(InvalidArgument):
        await names.proofs.page(other, 2, first.next_token)


@pytest.mark.parametrize("text", ["", "no name", "127.0.0.1", "gone.names.test"])
async def test_a_name_that_is_not_there_is_not_found(names: Names, text: str) -> None:
    tenant_id = await tenant(names)
    for use_case in (names.proofs.get, names.proofs.ask, names.proofs.remove):
        with pytest.raises(NotFound) as refused:
            await use_case(tenant_id, text)
        assert refused.value.reason.endswith("_NOT_FOUND")


async def test_a_name_of_another_tenant_is_not_found(names: Names) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    await names.verified(one, name)
    for use_case in (names.proofs.get, names.proofs.ask, names.proofs.remove):
        with pytest.raises(NotFound):
            await use_case(other, name)
    assert (await names.proofs.get(one, name)).state is ProofState.VERIFIED


async def test_a_check_can_be_asked_for_now_and_then(names: Names) -> None:
    tenant_id, name = await tenant(names), unused()
    before = await names.verified(tenant_id, name)
    asked = await names.proofs.ask(tenant_id, name)
    assert asked.next_check_time < before.next_check_time
    assert asked.next_check_time in await names.jobs(tenant_id, asked)
    with pytest.raises(ResourceExhausted) as refused:
        await names.proofs.ask(tenant_id, name)
    assert refused.value.reason == "CHECK_TOO_SOON"
    assert timedelta() < (refused.value.retry_after or timedelta()) <= timedelta(seconds=10)


async def test_checks_that_somebody_waits_for_come_before_those_of_the_day(names: Names) -> None:
    tenant_id = await tenant(names)
    proof = await names.verified(tenant_id, unused())
    await names.proofs.ask(tenant_id, proof.name)
    query = "select priority from jobs.pgqueuer where payload = $1 order by id"
    jobs = await names.world.rows(query, names.kind.subject(tenant_id, proof.id).encode())
    assert [job["priority"] for job in jobs] == [1, 0, 1]  # it was added, checked, and asked for


async def test_a_name_that_is_removed_can_be_proven_by_another_tenant_at_once(names: Names) -> None:
    one, other, name = await tenant(names), await tenant(names), unused()
    await names.verified(one, name)
    await names.proofs.remove(one, name)
    assert (await names.verified(other, name)).state is ProofState.VERIFIED


async def test_the_tenant_that_has_proven_a_name_is_found_by_it(names: Names, lists: TenantLists) -> None:
    tenant_id, other, name = await tenant(names), await tenant(names), unused()
    having = names.kind.path.replace("-", "_")
    asked = query(f"{having}:{name.upper()}")
    await names.added(other, name)
    await names.added(tenant_id, name)
    assert not (await lists.page(asked, 10, "")).items, "a name that is pending is nobody's"
    await names.verified(tenant_id, name)
    assert [each.id for each in (await lists.page(asked, 10, "")).items] == [tenant_id]
    some = query(f"{having}:* AND (id = {tenant_id} OR id = {other})")
    assert [each.id for each in (await lists.page(some, 10, "")).items] == [tenant_id]
