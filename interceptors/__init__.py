"""The chain that every call in the mesh passes: who calls, for which tenant, and whether the call is allowed.

    chain = Chain([notes_pb2.DESCRIPTOR.services_by_name["NotesService"]], mesh.ports())
    server = grpc.aio.server(interceptors=[chain.aio_interceptor()])

Handlers read `current_call()`. Policies stand in the protos. README.md beside this file explains all of it, and which
modules are yours to import beside this one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.bounded_lines import LineBound
from tenantmesh.interceptors.call import Call, current_call
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.chain import Chain, ChainPorts, ChainSettings
from tenantmesh.interceptors.client import Credential, Onward, channel, thread_channel, tls_credentials
from tenantmesh.interceptors.concurrency import Concurrency, parse_concurrency
from tenantmesh.interceptors.credentials import ApiKeyVerifier, TokenVerifier, parse_identities
from tenantmesh.interceptors.directories.entitlements import EntitlementDirectory
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.entitlements import Entitlements, EntitlementSource
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Rate, RateDecision, RateLimiter, StoreUnavailable, parse_rates
from tenantmesh.interceptors.logs import AccessLog, log_context, security_event, trace_context
from tenantmesh.interceptors.mesh import Mesh
from tenantmesh.interceptors.policy import PolicyError
from tenantmesh.interceptors.quotas import QuotaLedger, QuotaPool
from tenantmesh.interceptors.records import CallObserver, CallTracer, TraceContext
from tenantmesh.interceptors.roles import DEFAULT_ROLES
from tenantmesh.interceptors.stopping import stop_signal
from tenantmesh.interceptors.tenants import TenantChange, TenantId, TenantRecord, TenantSource, TenantState

if TYPE_CHECKING:
    from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
    from tenantmesh.interceptors.backends.redis.rate_limiter import RedisRateLimiter
    from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore

__all__ = [
    "DEFAULT_ROLES",
    "AccessLog",
    "ApiKeyVerifier",
    "Call",
    "CallObserver",
    "CallTracer",
    "Caller",
    "CallerKind",
    "Chain",
    "ChainPorts",
    "ChainSettings",
    "Concurrency",
    "Credential",
    "EntitlementDirectory",
    "EntitlementSource",
    "Entitlements",
    "LeasedQuota",
    "LeasedRateLimiter",
    "LineBound",
    "MemoryRateLimiter",
    "Mesh",
    "Onward",
    "PolicyError",
    "QuotaLedger",
    "QuotaPool",
    "Rate",
    "RateDecision",
    "RateLimiter",
    "RedisQuotaPool",
    "RedisRateLimiter",
    "RedisRateStore",
    "StoreUnavailable",
    "TenantChange",
    "TenantDirectory",
    "TenantId",
    "TenantRecord",
    "TenantSource",
    "TenantState",
    "TokenVerifier",
    "TraceContext",
    "channel",
    "current_call",
    "log_context",
    "parse_concurrency",
    "parse_identities",
    "parse_rates",
    "security_event",
    "stop_signal",
    "thread_channel",
    "tls_credentials",
    "trace_context",
]

# Importing redis takes a quarter of a second, so it is imported on first use.
_LAZY = {
    "RedisQuotaPool": "tenantmesh.interceptors.backends.redis.quota_pool",
    "RedisRateLimiter": "tenantmesh.interceptors.backends.redis.rate_limiter",
    "RedisRateStore": "tenantmesh.interceptors.backends.redis.rate_store",
}


def __getattr__(name: str) -> Any:
    """Load the adapters of Redis on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return found
