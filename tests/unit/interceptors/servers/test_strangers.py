"""Callers without a credential: a refusal tells them nothing of the tenant's plan, limits and levels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from google.rpc import status_pb2

from tenantmesh.chassis.refusals import limit_reached
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.caller import ANONYMOUS, Caller
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.errors import MeshError, ResourceExhausted
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.link import CompiledChain, compile_chain
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.links.quota import Quota
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.quotas import Charge
from tenantmesh.interceptors.servers.handlers import refusal_of
from tests.unit.interceptors.plan_calls import ACME, USER, Source, call, entitlements, policy

LIMIT, PLAN = 7301, "made_for_acme"
SECRETS = (str(LIMIT), PLAN, str(ACME.id))


def told(error: MeshError | None, of: MethodPolicy, caller: Caller, *links: Entitlement | Quota) -> str:
    """Everything in the refusal that the caller gets."""
    made = call(of, caller)
    made.error = error
    _, message, metadata = refusal_of(compile_chain(links, of), made)
    status = status_pb2.Status.FromString(dict(metadata)["grpc-status-details-bin"])
    return f"{message} {status} {metadata}"


async def entered(chain: CompiledChain, made: Passage) -> None:
    for enter in chain.enters:
        if (waiting := enter(made)) is not None:
            await waiting


def full() -> MeshError:
    return limit_reached(
        f"{LIMIT} of {LIMIT}", gauge="users", level=LIMIT, limit=LIMIT, tenant_id=ACME.id, plan_id=PLAN
    )


def lacking() -> MeshError:
    with pytest.raises(MeshError) as caught:
        replace(entitlements(export=False), plan_id=PLAN).require("export")
    return caught.value


@pytest.mark.parametrize("refusal", [full, lacking])
def test_a_stranger_learns_the_reason_and_nothing_of_the_tenant(refusal: Callable[[], MeshError]) -> None:
    error = refusal()
    known, stranger = (told(error, policy(), caller) for caller in (USER, ANONYMOUS))
    assert any(secret in known for secret in SECRETS)
    assert not [secret for secret in SECRETS if secret in stranger]
    assert error.reason in stranger


async def test_a_stranger_learns_that_a_tenant_is_over_its_limits_but_not_which() -> None:
    source, of = Source(), policy(mutates=True)
    source.set(replace(entitlements(users=LIMIT), plan_id=PLAN, over_limit=("users",), read_only=True))
    directory = EntitlementDirectory(source)
    await directory.find(ACME.id)
    with pytest.raises(MeshError) as caught:
        await entered(compile_chain([Entitlement(directory)], of), call(of, ANONYMOUS))
    assert "users" in told(caught.value, of, USER)
    assert not re.search(rf"users|{PLAN}", told(caught.value, of, ANONYMOUS))


async def test_a_stranger_who_meets_an_allowance_learns_when_to_come_back_and_not_how_large_it_is() -> None:
    source, of = Source(), policy(meters=(Charge("reads", LIMIT + 1),))
    source.set(replace(entitlements(reads=LIMIT), plan_id=PLAN))
    directory = EntitlementDirectory(source)
    await directory.find(ACME.id)
    quotas = LeasedQuota(MemoryQuotaLedger(source.limit))
    quota = Quota(quotas, directory)
    chain = compile_chain([quota], of)
    for caller, secret in ((USER, True), (ANONYMOUS, False)):
        made = call(of, caller)
        with pytest.raises(ResourceExhausted) as caught:
            await entered(chain, made)
        made.error = caught.value
        refused = refusal_of(chain, made)
        text = f"{refused.message} {refused.metadata}"
        assert ("retry-after" in dict(refused.metadata), str(LIMIT) in text) == (True, secret)
        assert (str(LIMIT) in str(chain.limits[0](made)), "ratelimit" in dict(refused.metadata)) == (False, secret)
    await quotas.close()


async def test_a_stranger_who_is_served_does_not_read_what_is_left_of_an_allowance() -> None:
    source, of = Source(), policy(meters=(Charge("reads", LIMIT - 1),))
    source.set(entitlements(reads=LIMIT, others=1))
    directory = EntitlementDirectory(source)
    await directory.find(ACME.id)
    for caller, shown in ((USER, True), (ANONYMOUS, False)):
        quotas = LeasedQuota(MemoryQuotaLedger(source.limit))
        chain = compile_chain([Quota(quotas, directory)], of)
        made = call(of, caller)
        await entered(chain, made)
        assert (bool(list(chain.limits[0](made))), made.runs_short) == (shown, shown)
        await quotas.close()
