"""What the roles of people permit, method by method of the contract."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.caller import CallerKind
from tenantmesh.interceptors.policy import policies_of
from tenantmesh.interceptors.roles import DEFAULT_ROLES, permits
from tenantmesh.tenant.v1 import entitlement_service_pb2, operation_service_pb2, tenant_service_pb2

POLICIES = policies_of(
    service
    for proto in (tenant_service_pb2, entitlement_service_pb2, operation_service_pb2)
    for service in proto.DESCRIPTOR.services_by_name.values()
)
READS_OF_ONES_OWN = {
    "GetTenant",
    "GetEntitlements",
    "CheckEntitlement",
    "ExplainEntitlement",
    "ListGrants",
    "ListEntitlementChanges",
    "GetOperation",
    "ListOperations",
    "WaitOperation",
}


def permitted(role: str) -> set[str]:
    """The methods for people, among those that ask for a permission, which the role may call."""
    return {
        path.rpartition("/")[2]
        for path, policy in POLICIES.items()
        if CallerKind.USER in policy.audiences and policy.permission and permits(DEFAULT_ROLES[role], policy.permission)
    }


@pytest.mark.parametrize("role", ["member", "admin", "owner"])
def test_whoever_belongs_to_a_tenant_reads_what_it_has(role: str) -> None:
    assert permitted(role) >= READS_OF_ONES_OWN


def test_a_member_changes_nothing() -> None:
    changing = {path.rpartition("/")[2] for path, policy in POLICIES.items() if policy.mutates}
    assert not permitted("member") & changing


def test_each_role_may_what_the_one_below_may() -> None:
    assert permitted("member") <= permitted("admin") <= permitted("owner")
