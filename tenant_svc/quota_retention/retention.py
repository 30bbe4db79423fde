"""The use cases of deleting what has ended: reservations, and what was given in periods that are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.locks import try_hold
from tenantmesh.runtime import locks
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.quota_retention import repository
from tenantmesh.tenant_svc.settings import QuotaSettings

__all__ = ["Retention"]

_BATCH = 1000
_LONGEST_PERIOD = timedelta(days=31)
"""A period that began this long before a moment had ended by then."""

_Forget = Callable[[Connection, timedelta, int], Awaitable[int]]


class Retention:
    """The use cases. Each deletes a batch, of any tenants, and returns how many rows: none when no more are left, or
    while another process does the same. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, settings: QuotaSettings) -> None:
        self._doors = doors
        self._settings = settings

    async def forget_allocations(self) -> int:
        """Deletes reservations that have ended, with the request ids that made them."""
        keep = self._settings.allocation_retention
        return await self._forget(locks.ALLOCATION_PRUNING, repository.forget_allocations, keep)

    async def forget_periods(self) -> int:
        """Deletes what was given out in periods that have ended, unless some of it may still be returned."""
        keep = self._settings.period_retention + _LONGEST_PERIOD
        rows = await self._forget(locks.LEDGER_PRUNING, repository.forget_rows, keep)
        return rows or await self._forget(locks.LEDGER_PRUNING, repository.forget_burns, keep)

    async def _forget(self, lock: int, forget: _Forget, keep: timedelta) -> int:
        async with self._doors.system("what quotas have kept for long enough") as connection:
            return await forget(connection, keep, _BATCH) if await try_hold(connection, lock) else 0
