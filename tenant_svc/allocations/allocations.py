"""The use cases of reserving allowances: allocate, then commit or release. Reservations expire."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import structlog

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.allocations import repository
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Item, Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.expiry import release_expired, reserved_units
from tenantmesh.tenant_svc.allocations.refusals import (
    allocation_closed,
    allocation_not_found,
    allocation_not_held,
    request_reused,
)
from tenantmesh.tenant_svc.allowances import accounts
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.refusals import exhausted

__all__ = ["Allocations", "nothing_to_drain"]

Drain = Callable[[TenantId, Sequence[str]], Awaitable[None]]
"""Returns the units of these meters in the pool to the ledger."""

_log = structlog.get_logger()

_TENANTS_A_ROUND = 100


class _Short(Exception):
    """Raised when the ledger has fewer units of these meters than the request needs. The pool may have more."""

    def __init__(self, meters: Sequence[str]) -> None:
        super().__init__(*meters)
        self.meters = meters


async def nothing_to_drain(_tenant_id: TenantId, _meters: Sequence[str]) -> None:
    """Drain nothing: without a pool, the ledger has every unit that no process holds."""


class Allocations:
    """The use cases. All raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(
        self,
        doors: Doors,
        ledger: Ledger,
        new_id: Callable[[], uuid.UUID],
        drain: Drain = nothing_to_drain,
    ) -> None:
        self._doors = doors
        self._ledger = ledger
        self._new_id = new_id
        self._drain = drain

    @property
    def _moment(self) -> datetime | None:
        return self._ledger.moment

    async def allocate(
        self, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None, holder: str = ""
    ) -> Allocation:
        """Reserve the amounts for the holder, once for a repeated request. CHECK_ONLY takes and stores nothing.

        Raises ResourceExhausted `QUOTA_EXHAUSTED` unless the mode is BEST_EFFORT, NotFound `FEATURE_NOT_FOUND`,
        `TENANT_NOT_FOUND`, AlreadyExists `REQUEST_ID_REUSED`.
        """
        try:
            return await self._allocate(tenant_id, new, key, holder, drained=False)
        except _Short as short:
            await self._drain(tenant_id, short.meters)
        return await self._allocate(tenant_id, new, key, holder, drained=True)

    async def commit(
        self, tenant_id: TenantId, allocation_id: uuid.UUID, amounts: Mapping[str, int], holder: str | None = None
    ) -> Allocation:
        """Charge the amounts, or everything without amounts, and return the rest. A holder ends its own only; None ends
        any.

        Raises NotFound `ALLOCATION_NOT_FOUND`, PermissionDenied `ALLOCATION_NOT_HELD`, FailedPrecondition
        `ALLOCATION_CLOSED`, InvalidArgument for more than was allocated.
        """
        async with self._doors.tenant(tenant_id) as connection:
            found = await self._locked(connection, tenant_id, allocation_id, holder)
            used = found.used(amounts)
            if found.state is AllocationState.COMMITTED and found.committed == used:
                return found
            if not found.is_open:
                raise allocation_closed(found)
            rest = {(item.meter, item.period_start): item.allocated - used[item.meter] for item in found.items}
            await accounts.put_back(connection, tenant_id, rest)
            await repository.commit_items(connection, tenant_id, allocation_id, used)
            await repository.end_all(connection, tenant_id, [allocation_id], AllocationState.COMMITTED)
        return found.ended(AllocationState.COMMITTED, used)

    async def release(self, tenant_id: TenantId, allocation_id: uuid.UUID, holder: str | None = None) -> Allocation:
        """Return all units. An allocation that has been released already stays as it is. `holder` is as in `commit`.

        Raises NotFound `ALLOCATION_NOT_FOUND`, PermissionDenied `ALLOCATION_NOT_HELD`, FailedPrecondition
        `ALLOCATION_CLOSED` for one that was committed.
        """
        async with self._doors.tenant(tenant_id) as connection:
            found = await self._locked(connection, tenant_id, allocation_id, holder)
            if found.state is AllocationState.COMMITTED:
                raise allocation_closed(found)
            if found.state is not AllocationState.RESERVED:
                return found
            state = AllocationState.EXPIRED if found.overdue else AllocationState.RELEASED
            await accounts.put_back(connection, tenant_id, reserved_units([found]))
            await repository.end_all(connection, tenant_id, [allocation_id], state)
        return found.ended(state, {})

    async def expire(self) -> int:
        """End expired reservations of any tenants, and return how many: 0 when no more can be ended.

        Goes on with the next tenant where one's rows stay locked or are wrong.
        """
        async with self._doors.system("find expired reservations", read_only=True) as connection:
            tenants = await repository.overdue(connection, self._moment, _TENANTS_A_ROUND)
        ended = 0
        for tenant_id in tenants:
            try:
                ended += await release_expired(self._doors, tenant_id, self._moment)
            except Unavailable:
                continue
            except Exception:
                _log.exception("could not end a tenant's expired reservations", tenant=str(tenant_id))
        return ended

    async def _allocate(
        self, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None, holder: str, *, drained: bool
    ) -> Allocation:
        """Reserve the amounts as `allocate` does. Raises _Short where the ledger has fewer units, unless the pool was
        drained."""
        meters = sorted(new.amounts)
        if new.mode is Mode.CHECK_ONLY:
            return await self._ledger.run(
                tenant_id, meters, lambda connection: self._check(connection, tenant_id, new, drained=drained)
            )
        allocation_id = self._new_id()
        return await self._ledger.run(
            tenant_id,
            meters,
            lambda connection: self._reserve(connection, tenant_id, allocation_id, new, key, holder, drained=drained),
        )

    async def _check(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, *, drained: bool
    ) -> Allocation:
        items, _ = await self._reservable(connection, tenant_id, new, drained=drained)
        return Allocation(None, AllocationState.UNSPECIFIED, items)

    async def _reserve(
        self,
        connection: Connection,
        tenant_id: TenantId,
        allocation_id: uuid.UUID,
        new: NewAllocation,
        key: RequestKey | None,
        holder: str,
        *,
        drained: bool,
    ) -> Allocation:
        # Before any lock: a repeated request then waits for this one without holding locks that this one needs.
        times = await repository.create(connection, tenant_id, allocation_id, new, key, holder, self._moment)
        if times is None:
            return await self._repeated(connection, tenant_id, new, key)
        items, found = await self._reservable(connection, tenant_id, new, drained=drained)
        await accounts.take(connection, tenant_id, found, {item.meter: item.allocated for item in items})
        await repository.add_items(connection, tenant_id, allocation_id, items)
        return Allocation(allocation_id, AllocationState.RESERVED, items, *times, holder=holder)

    async def _reservable(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, *, drained: bool
    ) -> tuple[tuple[Item, ...], accounts.LockedAccounts]:
        """Return the items that can be reserved, with the accounts to take them from.

        Where the ledger has fewer units than the request needs, raises _Short unless the pool was drained. After
        draining, raises ResourceExhausted unless the mode is BEST_EFFORT.
        """
        asks = [Ask(meter, amount, amount) for meter, amount in sorted(new.amounts.items())]
        # Unlimited meters need an account too: only units that were given out can be returned.
        locked = await accounts.lock(connection, tenant_id, sorted(new.amounts), self._moment, open_all=True)
        found, enough = await self._ledger.availability(connection, tenant_id, locked, asks)
        short = [] if enough else [ask for ask in asks if found.left(ask.meter) < ask.need]
        if short and not drained:
            raise _Short([ask.meter for ask in short])
        if short and new.mode is not Mode.BEST_EFFORT:
            raise exhausted(found.by_meter[short[0].meter], short[0].need, tenant_id, found.plan_id)
        available = ((found.by_meter[ask.meter], min(ask.want, found.left(ask.meter))) for ask in asks)
        return tuple(Item(account.meter, account.period_start, amount) for account, amount in available), found

    async def _repeated(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None
    ) -> Allocation:
        made = None if key is None else await repository.made_by(connection, tenant_id, key, self._moment)
        if made is None or made[0] != new.digest:
            raise request_reused()
        return made[1]

    async def _locked(
        self, connection: Connection, tenant_id: TenantId, allocation_id: uuid.UUID, holder: str | None
    ) -> Allocation:
        found = await repository.lock(connection, tenant_id, allocation_id, self._moment)
        if found is None:
            raise allocation_not_found()
        if None not in (holder, found.holder) and holder != found.holder:
            raise allocation_not_held()
        return found
