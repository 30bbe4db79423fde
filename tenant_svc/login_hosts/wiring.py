"""The wiring of login hosts: their methods, and the jobs that check them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.tenant.v1 import login_host_service_pb2
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind, no_further_rule
from tenantmesh.tenant_svc.domain_proofs.release import NameRelease
from tenantmesh.tenant_svc.domain_proofs.rows import ProofRows
from tenantmesh.tenant_svc.domain_proofs.wiring import ProofParts, check_metrics
from tenantmesh.tenant_svc.login_hosts.jobs import CHECK_LOGIN_HOST, schedule_check
from tenantmesh.tenant_svc.login_hosts.login_hosts import LoginHosts, ServedHosts
from tenantmesh.tenant_svc.login_hosts.refusals import login_host_not_found, login_hosts_full
from tenantmesh.tenant_svc.login_hosts.servicer import LoginHostServicer
from tenantmesh.tenant_svc.login_hosts.tables import IS_PRIMARY, login_hosts
from tenantmesh.tenant_svc.tenants.events import EventType

__all__ = ["KIND", "PART", "build"]

_SERVICE = login_host_service_pb2.DESCRIPTOR.services_by_name["LoginHostService"]
_ROWS = ProofRows(login_hosts, "host", IS_PRIMARY)
_SERVED = ServedHosts(_ROWS)
KIND = NameKind(
    noun="login host",
    field="host",
    path="login-hosts",
    event=EventType.LOGIN_HOST_CHANGED,
    problem=no_further_rule,
    by_http=True,
    rows=_ROWS,
    schedule=schedule_check,
    publish=_SERVED,
    not_found=login_host_not_found,
    full=login_hosts_full,
)
_RELEASE = NameRelease(KIND)
PART = TenantPart(
    tables=(login_hosts,), exported=(login_hosts,), deleted=_RELEASE.deleted, undeleted=_RELEASE.undeleted
)


def build(parts: ProofParts, forget: Callable[[TenantRecord], None]) -> Capability:
    """Build the capability. `forget` is that of TenantServicer."""
    proofs, checks = parts.proofs(KIND, parts.resources.domains.max_login_hosts), parts.check_handler(KIND)
    hosts = LoginHosts(parts.resources.doors, proofs, _ROWS, _SERVED)
    return Capability(
        name="login_hosts",
        servicers={_SERVICE: LoginHostServicer(proofs, hosts, parts.messages, forget)},
        jobs={CHECK_LOGIN_HOST: checks},
        metrics=[partial(check_metrics, KIND, checks)],
        part=PART,
    )
