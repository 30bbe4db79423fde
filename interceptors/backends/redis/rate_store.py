"""Rates whose units are leased, in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from redis.exceptions import RedisError

from tenantmesh.interceptors.backends.redis.client import ScriptClient
from tenantmesh.interceptors.limits import LEASE_SHARE, Rate, RateGrant, StoreUnavailable, Takers, slot_of

__all__ = ["RedisRateStore"]

_SCRIPT = resources.files(__package__).joinpath("rate_lease.lua").read_text()


class RedisRateStore:
    """RateStore over Redis: one script call for any number of takers, on the store's clock, with one key per rate, also
    on a cluster. Give the client a time-out of 50 ms and no retries, and its user `+info`: see `rate_lease.lua`."""

    def __init__(self, client: ScriptClient) -> None:
        self._lease = client.register_script(_SCRIPT)

    async def take(self, key: str, rate: Rate, takers: Sequence[Takers], lease: int) -> RateGrant:
        """As `RateStore.take`."""
        rows = [number for row in takers for number in row]
        slot = max(1, round(slot_of(rate) * 1e6))
        arguments = [rate.interval * 1e6, rate.burst, slot, rate.burst // LEASE_SHARE, lease, *rows]
        try:
            full_in, leased, valid_for, *served = await self._lease(keys=[key], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable("the rate limiter's store did not answer") from error
        return RateGrant(tuple(map(int, served)), int(leased), int(full_in) / 1e6, int(valid_for) / 1e6)
