"""Burst limits over all processes, in Redis or Valkey."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from typing import Any, Protocol

from redis.exceptions import RedisError

from tenantmesh.interceptors.limits import Decision, Rate, StoreUnavailable

__all__ = ["RedisRateLimiter"]

_SCRIPT = resources.files(__package__).joinpath("rate_take.lua").read_text()


class _Scripts(Protocol):
    """The one thing asked of a client; single-node and cluster clients have it."""

    def register_script(self, script: str) -> Any: ...


class RedisRateLimiter:
    """One script call per decision, on the store's clock, one key per rate: works unchanged on Redis Cluster.

    A store that forgets gives the whole burst again: this is for attempts that grow back over minutes, which nobody
    could make meanwhile if a new store counted as having given all. `RedisRateStore` is exact there.

    The client's timeouts are the caller's promise: `RateLimiter.take` must answer within 100 ms, so give it 50 ms and
    no retries.
    """

    def __init__(self, client: _Scripts) -> None:
        self._take = client.register_script(_SCRIPT)

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Decision:
        """As `RateLimiter.take`."""
        try:
            allowed, remaining, wait = await self._take(keys=[key], args=[rate.interval * 1e6, rate.burst, cost])
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable("the rate limiter's store did not answer") from error
        return Decision(bool(allowed), rate.burst, int(remaining), timedelta(microseconds=int(wait)))
