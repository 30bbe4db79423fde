"""The use cases of deleting reservations that have ended, and the ledger of periods that are over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
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
"""A period that began this long ago has ended."""

_Forget = Callable[[Connection, timedelta, int], Awaitable[int]]


class Retention:
    """The use cases. All raise Unavailable when the database can't be reached.

    Each deletes a batch, of any tenants, and returns how many rows: 0 when none are left, or while another process
    deletes.
    """

    def __init__(self, doors: Doors, settings: QuotaSettings) -> None:
        self._doors = doors
        self._settings = settings

    async def forget_allocations(self) -> int:
        """Delete a batch of reservations that have ended, with the request ids that made them."""
        keep = self._settings.allocation_retention
        async with self._door() as connection:
            held = await try_hold(connection, locks.ALLOCATION_PRUNING)
            return await repository.forget_allocations(connection, keep, _BATCH) if held else 0

    async def forget_periods(self) -> int:
        """Delete a batch of the ledger of periods that have ended. Rows with open reservations stay, since units may
        return to them."""
        keep = self._settings.period_retention + _LONGEST_PERIOD
        return await self._forget(repository.forget_rows, keep) or await self._forget(repository.forget_burns, keep)

    async def _forget(self, forget: _Forget, keep: timedelta) -> int:
        """Delete a batch of one table of the ledger."""
        async with self._door() as connection:
            held = await try_hold(connection, locks.LEDGER_PRUNING)
            return await forget(connection, keep, _BATCH) if held else 0

    def _door(self) -> AbstractAsyncContextManager[Connection]:
        return self._doors.system("delete quota rows older than the retention")
