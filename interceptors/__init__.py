"""What every call in the mesh passes through: who calls, for which tenant, and whether it may.

    chain = Chain([notes_pb2.DESCRIPTOR.services_by_name["NotesService"]], mesh.ports())
    server = grpc.aio.server(interceptors=[chain.aio_interceptor()])

Handlers read `current_call()`. Policies stand in the protos. README.md beside this file shows the whole of it.
"""

from tenantmesh.interceptors.call import Call, current_call
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.chain import Chain, ChainSettings, Ports
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.entitlements import Entitlements, EntitlementSource
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Decision, Rate, RateLimiter, StoreUnavailable
from tenantmesh.interceptors.mesh import Mesh
from tenantmesh.interceptors.policy import PolicyError
from tenantmesh.interceptors.quotas import QuotaLedger, QuotaPool
from tenantmesh.interceptors.tenants import TenantChange, TenantId, TenantRecord, TenantSource, TenantState

__all__ = [
    "Call",
    "Caller",
    "CallerKind",
    "Chain",
    "ChainSettings",
    "Decision",
    "EntitlementDirectory",
    "EntitlementSource",
    "Entitlements",
    "LeasedQuota",
    "LeasedRateLimiter",
    "Mesh",
    "PolicyError",
    "Ports",
    "QuotaLedger",
    "QuotaPool",
    "Rate",
    "RateLimiter",
    "StoreUnavailable",
    "TenantChange",
    "TenantDirectory",
    "TenantId",
    "TenantRecord",
    "TenantSource",
    "TenantState",
    "current_call",
]
