"""Rates whose units are taken in advance, in Redis or Valkey."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, Protocol

from redis.exceptions import RedisError

from tenantmesh.interceptors.limits import LEASE_SHARE, Rate, RateGrant, StoreUnavailable, Takers, slot_of

__all__ = ["RedisRateStore"]

_SCRIPT = resources.files(__package__).joinpath("rate_lease.lua").read_text()


class _Scripts(Protocol):
    """The one thing asked of a client; single-node and cluster clients have it."""

    def register_script(self, script: str) -> Any: ...


class RedisRateStore:
    """One script call for any number of takers, on the store's clock, one key per rate: works unchanged on Redis
    Cluster. Give the client time-outs of 50 ms and no retries, and its user `+info`: see `rate_lease.lua`."""

    def __init__(self, client: _Scripts) -> None:
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
