"""Policies about plans: how they are read, and which are refused at start."""

from __future__ import annotations

import pytest
from notes.v1 import notes_service_pb2 as pb

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.chain import Chain, ChainPorts, ChainSettings
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.links.tenant_limit import TenantLimit
from tenantmesh.interceptors.policy import PolicyError, TenantScope, _check_plan, policies_of
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Charge, ChargePer
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.policy.v1 import policy_pb2
from tests.unit.interceptors.plan_calls import policy


async def test_policies_that_cant_be_kept_are_refused_at_start() -> None:
    services = list(pb.DESCRIPTOR.services_by_name.values())
    whole = TestMesh().ports()

    def without(name: str) -> ChainPorts:
        kept = {field: getattr(whole, field) for field in ChainPorts.__dataclass_fields__ if field != name}
        return ChainPorts(**kept)

    Chain(services, whole, complete=False)
    for name, words in (
        ("entitlements", "needs the feature export|give the chain entitlements"),
        ("quotas", "charges .*: give the chain quotas"),
        ("limiter", "give the chain a limiter"),
    ):
        with pytest.raises(PolicyError, match=words):
            Chain(services, without(name), complete=False)
    with pytest.raises(PolicyError, match="rate_class 'api' is not among"):
        Chain(services, whole, ChainSettings(rates={"public": Rate(1, 1)}), complete=False)


def test_the_policies_of_the_example_are_read() -> None:
    policies = policies_of(pb.DESCRIPTOR.services_by_name.values(), complete=False)
    upload = policies["/notes.v1.NotesService/UploadNotes"]
    assert upload.meters == (Charge("requests", 2), Charge("notes", 1, ChargePer.REQUEST_MESSAGE))
    assert (upload.mutates, upload.while_read_only) == (True, True)
    assert not policies["/notes.v1.NotesService/ExportNotes"].mutates


def test_costs_that_cant_be_counted_are_refused_at_start() -> None:
    declared = policy_pb2.MethodPolicy(tenant_scope=policy_pb2.TENANT_SCOPE_REQUIRED)
    declared.meters.add(meter="reads", cost=LARGEST_AMOUNT)
    method = pb.DESCRIPTOR.services_by_name["NotesService"].methods[0]
    _check_plan("x", declared, method)
    for cost in (-1, LARGEST_AMOUNT + 1):
        declared.meters[0].cost = cost
        with pytest.raises(PolicyError, match="costs 0"):
            _check_plan("x", declared, method)


def test_bursts_are_of_a_tenant() -> None:
    with pytest.raises(PolicyError, match="tenant_scope is NONE"):
        TenantLimit(None, MemoryRateLimiter(), {}).bind(policy(rate_class="api", tenant_scope=TenantScope.NONE))
