"""Methods with `while_deleted`: whom they serve for a tenant that is deleted."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors import CallerKind, TenantDirectory, TenantState
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.link import Link
from tenantmesh.interceptors.links.entitlement import Entitlement
from tenantmesh.interceptors.links.tenancy import Tenancy
from tenantmesh.interceptors.passage import Passage
from tenantmesh.interceptors.policy import MethodPolicy, TenantScope
from tenantmesh.interceptors.testing import TestMesh
from tests.unit.interceptors.calls import call
from tests.unit.interceptors.plan_calls import Source, bound_to

USER, SERVICE, OPERATOR = CallerKind.USER, CallerKind.SERVICE, CallerKind.OPERATOR


async def passed(link: Link, made: Passage, moment: str) -> bool:
    """Whether the link lets the call pass, to which a missing tenant is the only objection."""
    try:
        if (waiting := getattr(bound_to(link, made.policy), moment)(made)) is not None:
            await waiting
    except NotFound:
        return False
    return True


@pytest.mark.parametrize(
    ("audiences", "while_deleted", "served"),
    [
        ({SERVICE, OPERATOR}, True, {SERVICE, OPERATOR}),
        ({USER, SERVICE, OPERATOR}, True, {OPERATOR}),
        ({SERVICE, OPERATOR}, False, set()),
    ],
    ids=["among services", "for users too", "without it"],
)
async def test_a_deleted_tenant_is_served_to_whom_the_policy_says(
    audiences: set[CallerKind], while_deleted: bool, served: set[CallerKind]
) -> None:
    mesh = TestMesh()
    gone = mesh.add_tenant("gone", state=TenantState.DELETED)
    policy = MethodPolicy(
        "/x.Y/Z", frozenset(audiences), tenant_scope=TenantScope.REQUIRED, while_deleted=while_deleted
    )
    let_in, entitled = set(), set()
    for kind in audiences:
        made = call(("x-tenant-id", str(gone.id)), policy=policy)
        made.caller = Caller(kind, "somebody")
        if await passed(Tenancy(TenantDirectory(mesh.tenants), ""), made, "enter"):
            let_in.add(kind)
        made.tenant = gone
        if await passed(Entitlement(EntitlementDirectory(Source())), made, "admit"):
            entitled.add(kind)
    assert let_in == served
    assert entitled == served | {OPERATOR}, "operators are served whatever a tenant is entitled to"
