"""Burst limits over all processes, in Redis or Valkey."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources

from redis.exceptions import RedisError

from tenantmesh.interceptors.backends.redis.client import ScriptClient
from tenantmesh.interceptors.limits import Rate, RateDecision, StoreUnavailable

__all__ = ["RedisRateLimiter"]

_SCRIPT = resources.files(__package__).joinpath("rate_take.lua").read_text()


class RedisRateLimiter:
    """RateLimiter over Redis: one script call per decision, on the store's clock, with one key per rate, also on a
    cluster.

    A restarted store gives the whole burst again. That suits attempts that grow back over minutes: if a new store
    counted every burst as taken, nobody could make one meanwhile. `RedisRateStore` is exact there.

    `RateLimiter.take` must answer within 100 ms: give the client a time-out of 50 ms and no retries.
    """

    def __init__(self, client: ScriptClient) -> None:
        self._take = client.register_script(_SCRIPT)

    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """As `RateLimiter.take`."""
        try:
            allowed, remaining, wait, full_in = await self._take(
                keys=[key], args=[rate.interval * 1e6, rate.burst, cost]
            )
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable("the rate limiter's store did not answer") from error
        retry_after = timedelta(microseconds=int(wait))
        return RateDecision(bool(allowed), rate.burst, int(remaining), retry_after, int(full_in) / 1e6)
