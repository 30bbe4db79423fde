"""The pool of allowances in Redis or Valkey: units that the ledger has given out and no process has taken."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from redis.exceptions import RedisError

from tenantmesh.interceptors.backends.redis.client import ScriptClient
from tenantmesh.interceptors.keys import pool_account_key, tenant_key
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Drained, PoolAnswer, PoolSlice, Slice
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["RedisQuotaPool"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ACCOUNT_FRESH = 60.0
"""Seconds after which the account is looked for again."""
_MOST_ACCOUNTS = 4
"""Accounts of before that are remembered, so that units leased under them can be returned."""


class RedisQuotaPool:
    """QuotaPool over Redis: one script call per operation, on the store's clock, also on a cluster: the pools of a
    tenant lie in one slot of it.

    The client's user needs `+info`, beside what scripts need: see `quota_pool.lua`.
    """

    def __init__(self, client: ScriptClient) -> None:
        def script(name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
            folder = resources.files(__package__)
            parts = [folder.joinpath(f"quota_{part}.lua").read_text() for part in ("pool", name)]
            registered: Callable[..., Coroutine[Any, Any, Any]] = client.register_script("\n".join(parts))
            return registered

        self._take, self._add = script("take"), script("add")
        self._give_back, self._drain = script("give_back"), script("drain")
        self._account = client.register_script(resources.files(__package__).joinpath("quota_account.lua").read_text())
        self._accounts: tuple[str, ...] = ()
        self._look_at = 0.0

    async def accounts(self) -> Sequence[str]:
        """As `QuotaPool.accounts`. Looks again each minute: an emptied store gets its account back from the first that
        looks."""
        if not self._accounts or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _ACCOUNT_FRESH
            try:
                await self._find_account()
            except StoreUnavailable:
                if not self._accounts:
                    raise
        return self._accounts

    async def _find_account(self) -> None:
        suggested = self._accounts[0] if self._accounts else str(uuid.uuid4())
        found = await _asked(self._account(keys=[pool_account_key()], args=[suggested]))
        account = found.decode() if isinstance(found, bytes) else str(found)
        self._accounts = tuple(dict.fromkeys((account, *self._accounts)))[:_MOST_ACCOUNTS]

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer:
        """As `QuotaPool.take`."""
        keys = [_key(tenant_id, ask.meter) for ask in asks]
        arguments = [number for ask, limit in zip(asks, limits, strict=True) for number in (ask.want, ask.need, limit)]
        clock, *found = await _asked(self._take(keys=keys, args=arguments))
        slices = [_slice(ask.meter, fields) if fields else None for ask, fields in zip(asks, found, strict=True)]
        return PoolAnswer(slices, int(clock) / 1e6)

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float) -> bool:
        """As `QuotaPool.add`."""
        arguments = [_period(units.period_start), int(until * 1e6), amount, units.left, units.limit]
        return bool(await _asked(self._add(keys=[_key(tenant_id, units.meter)], args=arguments)))

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, limit: int) -> bool:
        """As `QuotaPool.give_back`."""
        arguments = [_period(period_start), amount, limit]
        return bool(await _asked(self._give_back(keys=[_key(tenant_id, meter)], args=arguments)))

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> Drained | None:
        """As `QuotaPool.drain`."""
        found = await _asked(self._drain(keys=[_key(tenant_id, meter)], args=[idle_for // _MICROSECOND]))
        return Drained(int(found[0]), _moment(found[1])) if found and int(found[0]) else None


async def _asked(answer: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await answer
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable("the pool of allowances did not answer") from error


def _key(tenant_id: TenantId, meter: str) -> str:
    return tenant_key(tenant_id, "quota", meter)


def _slice(meter: str, fields: Sequence[Any]) -> PoolSlice:
    granted, pooled, left, limit = map(int, fields[:4])
    return PoolSlice(meter, granted, pooled, left, limit, _moment(fields[4]), timedelta(microseconds=int(fields[5])))


def _period(start: datetime) -> int:
    return (start - _EPOCH) // _MICROSECOND


def _moment(period: Any) -> datetime:
    return _EPOCH + timedelta(microseconds=int(period))
