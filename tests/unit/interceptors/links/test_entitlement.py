"""The entitlement link: what it refuses when nothing is known, and what handlers learn from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.entitlements import EntitlementChange
from tenantmesh.interceptors.errors import NotFound, Unavailable
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.testing import TestMesh
from tests.unit.interceptors.plan_calls import USER, Source, bound_to, call, entitlements, policy, until


async def test_only_what_a_policy_asks_is_refused_when_nothing_is_known() -> None:
    source = Source()
    source.down = True
    link = Entitlement(EntitlementDirectory(source))
    for fields, caller, served in (
        ({}, USER, True),
        ({"feature": "export"}, USER, False),
        ({"mutates": True}, USER, False),
        ({"mutates": True, "while_read_only": True}, USER, True),
        ({"feature": "export"}, Caller(CallerKind.OPERATOR, "root"), True),
    ):
        of = policy(**fields)
        made, bound = call(of, caller), bound_to(link, of)
        pending = bound.admit(made)
        assert pending is not None
        if served:
            await pending
            with pytest.raises(Unavailable, match="can't be read at the moment"):
                _ = made.entitlements
            assert made.degraded
        else:
            with pytest.raises(Unavailable) as caught:
                await pending
            assert caught.value.reason == "ENTITLEMENTS_UNAVAILABLE"


async def test_a_tenant_that_the_source_does_not_have_is_not_found() -> None:
    of = policy()
    bound = bound_to(Entitlement(EntitlementDirectory(Source())), of)
    pending = bound.admit(call(of))
    assert pending is not None
    with pytest.raises(NotFound):
        await pending


async def test_operators_reach_a_tenant_that_is_entitled_to_nothing() -> None:
    of = policy(feature="export")
    made = call(of, Caller(CallerKind.OPERATOR, "root"))
    pending = bound_to(Entitlement(EntitlementDirectory(Source())), of).admit(made)
    assert pending is not None
    await pending
    with pytest.raises(Unavailable):
        _ = made.entitlements


async def test_a_tenant_that_comes_back_is_served_at_once() -> None:
    """Its entitlements may come back a moment after the tenant: nothing remembers that it had none."""
    source, of = Source(), policy()
    directory = EntitlementDirectory(source)
    await directory.start()
    await source.changes.put(EntitlementChange("1", caught_up=True))
    await until(lambda: directory.live)
    bound = bound_to(Entitlement(directory), of)
    with pytest.raises(NotFound):
        await bound.admit(call(of))
    source.set(entitlements())
    await bound.admit(call(of))
    await directory.close()


async def test_entitling_keeps_what_is_not_spoken_of() -> None:
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, "export", limits={"reads": 3}, rates={"api": Rate(1, 1)}, over_limit=["users"])
        before = mesh.entitlements.entitled(acme.id)
        assert (before.over_limit, before.read_only) == (("users",), True)
        mesh.entitle(acme)
        assert mesh.entitlements.entitled(acme.id) == replace(before, revision=before.revision + 1)
        mesh.entitle(acme, over_limit=())
        after = mesh.entitlements.entitled(acme.id)
        assert (after.over_limit, after.read_only, after.has("export")) == ((), False, True)
