"""A Redis or Valkey client that fails fast: short timeouts, no retries, a bounded pool, a circuit breaker.

Its users have a fallback; a client that waits would spread the store's outage to every call. Not here: keys, scripts.
"""

from __future__ import annotations

from tenantmesh.runtime.redis_client.client import StoreClient, connect
from tenantmesh.runtime.redis_client.cluster import GuardedCluster
from tenantmesh.runtime.redis_client.single import GuardedRedis, RedisUnavailable

__all__ = ["GuardedCluster", "GuardedRedis", "RedisUnavailable", "StoreClient", "connect"]
