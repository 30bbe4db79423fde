"""Reserving allowances whose final cost is known only later: allocate, then commit or release. Ends by itself."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.allocations import expiry, repository
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Item, Mode, NewAllocation
from tenantmesh.tenant_svc.allowances import accounts
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.refusals import allocation_closed, allocation_not_found, exhausted, request_reused
from tenantmesh.tenant_svc.tenants.tenant import RequestKey

__all__ = ["Allocations", "Drain"]

Drain = Callable[[TenantId, Sequence[str]], Awaitable[None]]
"""Takes back into the ledger what lies ready of these meters: given out, and not used."""

_log = logging.getLogger("tenantmesh.tenant.quotas")

_TENANTS_A_ROUND = 100


class _Short(Exception):
    """The ledger has less of these meters than was asked for. Some may lie ready elsewhere."""

    def __init__(self, meters: Sequence[str]) -> None:
        super().__init__(*meters)
        self.meters = meters


async def _nothing_pooled(_tenant_id: TenantId, _meters: Sequence[str]) -> None:
    return


class Allocations:
    """The use cases. All raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(
        self, doors: Doors, ledger: Ledger, new_id: Callable[[], uuid.UUID], drain: Drain = _nothing_pooled
    ) -> None:
        self._doors = doors
        self._ledger = ledger
        self._new_id = new_id
        self._drain = drain

    @property
    def _moment(self) -> datetime | None:
        return self._ledger.moment

    async def allocate(self, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None) -> Allocation:
        """Reserves the amounts, once for a request that is repeated. CHECK_ONLY takes nothing and remembers nothing.

        Raises ResourceExhausted `QUOTA_EXHAUSTED` unless the mode is BEST_EFFORT, NotFound `FEATURE_NOT_FOUND`,
        `TENANT_NOT_FOUND`, AlreadyExists `REQUEST_ID_REUSED`.
        """
        try:
            return await self._allocate(tenant_id, new, key, drained=False)
        except _Short as short:
            await self._drain(tenant_id, short.meters)
        return await self._allocate(tenant_id, new, key, drained=True)

    async def commit(self, tenant_id: TenantId, allocation_id: uuid.UUID, amounts: Mapping[str, int]) -> Allocation:
        """Charges the amounts, everything when there are none, and returns the rest. Raises NotFound
        `ALLOCATION_NOT_FOUND`, FailedPrecondition `ALLOCATION_CLOSED`, InvalidArgument for more than was allocated."""
        async with self._doors.tenant(tenant_id) as connection:
            found = await self._locked(connection, tenant_id, allocation_id)
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

    async def release(self, tenant_id: TenantId, allocation_id: uuid.UUID) -> Allocation:
        """Returns everything; one that has been returned already stays as it is. Raises NotFound
        `ALLOCATION_NOT_FOUND`, FailedPrecondition `ALLOCATION_CLOSED` for one that was committed."""
        async with self._doors.tenant(tenant_id) as connection:
            found = await self._locked(connection, tenant_id, allocation_id)
            if found.state is AllocationState.COMMITTED:
                raise allocation_closed(found)
            if found.state is not AllocationState.RESERVED:
                return found
            state = AllocationState.EXPIRED if found.overdue else AllocationState.RELEASED
            await accounts.put_back(connection, tenant_id, expiry.reserved([found]))
            await repository.end_all(connection, tenant_id, [allocation_id], state)
        return found.ended(state, {})

    async def expire(self) -> int:
        """Ends reservations of any tenants whose time is over, and returns how many: none when there are no more that
        can be ended. One tenant whose rows stay locked, or can't be put right, must not keep the others waiting."""
        async with self._doors.system("reservations whose time is over", read_only=True) as connection:
            tenants = await repository.overdue(connection, self._moment, _TENANTS_A_ROUND)
        ended = 0
        for tenant_id in tenants:
            try:
                ended += await expiry.release_expired(self._doors, tenant_id, self._moment)
            except Unavailable:
                continue
            except Exception:
                _log.exception("reservations of tenant %s could not be ended", tenant_id)
        return ended

    async def _allocate(
        self, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None, *, drained: bool
    ) -> Allocation:
        """As `allocate`; raises _Short where there is less, unless the pools have been drained."""
        meters = sorted(new.amounts)
        if new.mode is Mode.CHECK_ONLY:
            return await self._ledger.settled(
                tenant_id, meters, lambda each: self._check(each, tenant_id, new, drained=drained)
            )
        id_ = self._new_id()
        return await self._ledger.settled(
            tenant_id, meters, lambda each: self._reserve(each, tenant_id, id_, new, key, drained=drained)
        )

    async def _check(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, *, drained: bool
    ) -> Allocation:
        items, _ = await self._within_reach(connection, tenant_id, new, drained=drained)
        return Allocation(None, AllocationState.UNSPECIFIED, items)

    async def _reserve(
        self,
        connection: Connection,
        tenant_id: TenantId,
        id_: uuid.UUID,
        new: NewAllocation,
        key: RequestKey | None,
        *,
        drained: bool,
    ) -> Allocation:
        # First of all, so that whoever repeats the request waits for this one and not for locks that this one needs.
        times = await repository.create(connection, tenant_id, id_, new, key, self._moment)
        if times is None:
            return await self._repeated(connection, tenant_id, new, key)
        items, found = await self._within_reach(connection, tenant_id, new, drained=drained)
        await accounts.take(connection, tenant_id, found, {item.meter: item.allocated for item in items})
        await repository.add_items(connection, tenant_id, id_, items)
        return Allocation(id_, AllocationState.RESERVED, items, *times)

    async def _within_reach(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, *, drained: bool
    ) -> tuple[tuple[Item, ...], accounts.Accounts]:
        """What can be reserved, with the accounts to take it from. Where there is less, raises _Short unless the pools
        have been drained, and then ResourceExhausted unless less will do."""
        asks = [Ask(meter, amount, amount) for meter, amount in sorted(new.amounts.items())]
        # Unlimited meters are counted too: what is returned must have been given.
        locked = await accounts.lock(connection, tenant_id, sorted(new.amounts), self._moment, all_=True)
        found, enough = await self._ledger.within_reach(connection, tenant_id, locked, asks)
        short = [] if enough else [ask for ask in asks if found.left(ask.meter) < ask.need]
        if short and not drained:
            raise _Short([ask.meter for ask in short])
        if short and new.mode is not Mode.BEST_EFFORT:
            raise exhausted(found.by_meter[short[0].meter], short[0].need, tenant_id, found.plan_id)
        reach = ((found.by_meter[ask.meter], min(ask.want, found.left(ask.meter))) for ask in asks)
        return tuple(Item(account.meter, account.period_start, amount) for account, amount in reach), found

    async def _repeated(
        self, connection: Connection, tenant_id: TenantId, new: NewAllocation, key: RequestKey | None
    ) -> Allocation:
        made = None if key is None else await repository.made_by(connection, tenant_id, key, self._moment)
        if made is None or made[0] != new.digest:
            raise request_reused("request_id")
        return made[1]

    async def _locked(self, connection: Connection, tenant_id: TenantId, allocation_id: uuid.UUID) -> Allocation:
        found = await repository.lock(connection, tenant_id, allocation_id, self._moment)
        if found is None:
            raise allocation_not_found()
        return found
