"""The keys of our programs name the meters that their methods charge, and no others."""

from __future__ import annotations

from tenantmesh.auth.v1 import auth_service_pb2, token_service_pb2
from tenantmesh.auth_svc.gauges.gauge import USERS
from tenantmesh.deploy.stack.programs.table import python_programs
from tenantmesh.interceptors.caller import NO_USAGE
from tenantmesh.interceptors.policy import policies_of

OF_AUTH = [
    *auth_service_pb2.DESCRIPTOR.services_by_name.values(),
    *token_service_pb2.DESCRIPTOR.services_by_name.values(),
]


def test_keys_name_what_their_programs_count() -> None:
    usage = {program.name: program.usage for program in python_programs()}
    assert usage["auth_svc"].meters == {
        charge.meter for policy in policies_of(OF_AUTH).values() for charge in policy.meters
    }
    assert usage["auth_svc"].gauges == {USERS}
    others = {name: found for name, found in usage.items() if name != "auth_svc"}
    assert set(others.values()) == {NO_USAGE}, "tenant_svc and its worker have the ledger themselves"
