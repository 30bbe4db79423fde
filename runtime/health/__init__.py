"""grpc.health.v1 for one process: services, the checks each needs (`checks`), the protocol over them (`servicer`).

What a service can do without (a cache, a rate limiter's store) is no check. A name is a service, never a tenant.
"""

from __future__ import annotations

from tenantmesh.runtime.health.checks import NOT_SERVING, OVERALL, SERVICE_UNKNOWN, SERVING, Check, Health
from tenantmesh.runtime.health.servicer import HealthServicer

__all__ = ["NOT_SERVING", "OVERALL", "SERVICE_UNKNOWN", "SERVING", "Check", "Health", "HealthServicer"]
