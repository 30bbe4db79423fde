"""A Redis or Valkey client that fails fast: short timeouts, no retries, a bounded pool, a circuit breaker.

Whoever uses it has a fallback; waiting would make the store's trouble everybody's. Not here: keys and scripts.
"""

from __future__ import annotations

from tenantmesh.runtime.redis_client.client import StoreClient, connect
from tenantmesh.runtime.redis_client.cluster import GuardedCluster
from tenantmesh.runtime.redis_client.single import GuardedRedis, Script, StoreUnavailable

__all__ = ["GuardedCluster", "GuardedRedis", "Script", "StoreClient", "StoreUnavailable", "connect"]
