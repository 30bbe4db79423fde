"""What quotas forget, so that their tables don't grow for ever: reservations that have ended, periods long over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.quota_retention import repository
from tenantmesh.tenant_svc.settings import QuotaSettings
from tenantmesh.tenant_svc.tenants.repository import try_prune_lock

__all__ = ["Retention"]

_BATCH = 1000
_LONGEST_PERIOD = timedelta(days=31)
"""What began so long before has ended before."""

_Forget = Callable[[Connection, timedelta, int], Awaitable[int]]


class Retention:
    """The use cases. Each forgets some of what any tenants have, and returns how much: nothing when there is no more,
    or while another process is at it. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, settings: QuotaSettings) -> None:
        self._doors = doors
        self._settings = settings

    async def forget_allocations(self) -> int:
        """Forgets reservations that have ended, with the request ids that made them."""
        return await self._forget(repository.forget_allocations, self._settings.allocation_retention)

    async def forget_periods(self) -> int:
        """Forgets what was given out in periods that have ended, unless some of it may still come back."""
        keep = self._settings.period_retention + _LONGEST_PERIOD
        return await self._forget(repository.forget_rows, keep) or await self._forget(repository.forget_burns, keep)

    async def _forget(self, forget: _Forget, keep: timedelta) -> int:
        async with self._doors.system("what quotas have kept for long enough") as connection:
            return await forget(connection, keep, _BATCH) if await try_prune_lock(connection) else 0
