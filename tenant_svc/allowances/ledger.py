"""The ledger of allowances. It never gives out more units than the tenant's entitlements allow.

A row per tenant, meter and period is locked while units are taken from it or returned, so that takers queue. The period
is the one of the database's clock when the transaction began.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection, ForeignKeyViolation, TransactionConflict
from tenantmesh.tenant_svc.allowances import accounts, leases_repository, repository
from tenantmesh.tenant_svc.allowances.accounts import LockedAccounts, NotOpened
from tenantmesh.tenant_svc.allowances.holder import SHARED, LeaseHolder, divided
from tenantmesh.tenant_svc.allowances.refusals import lease_not_found
from tenantmesh.tenant_svc.allowances.repository import LedgerKey
from tenantmesh.tenant_svc.allowances.reservations import Reservations
from tenantmesh.tenant_svc.balances.account import Account
from tenantmesh.tenant_svc.features.refusals import feature_not_found

__all__ = ["Ledger", "PostgresLedger"]

_Done = TypeVar("_Done")
_ITSELF = LeaseHolder()
"""This process, without accounts of its own."""


class Reclaimable(Exception):
    """Raised when fewer units are left than were asked for, and expired reservations hold some."""


class Ledger:
    """The ledger: it gives units out and takes them back. Every method raises Unavailable while the database is away.

    `moment` is the time, for tests; None is the database's clock.
    """

    def __init__(self, doors: Doors, reservations: Reservations, moment: datetime | None = None) -> None:
        self._doors = doors
        self._reservations = reservations
        self.moment = moment

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], holder: LeaseHolder = _ITSELF) -> list[Slice]:
        """Take units from all meters or none, as `QuotaLedger.lease` says; each meter may be asked once.

        They are booked under the holder's first account. Raises NotFound `FEATURE_NOT_FOUND`, `TENANT_NOT_FOUND`.
        """
        meters = [ask.meter for ask in asks]
        return await self.run(tenant_id, meters, lambda connection: self._lease(connection, tenant_id, asks, holder))

    async def answers(self) -> bool:
        """As `QuotaLedger.answers`."""
        return await self._doors.answers()

    async def give_back(
        self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, holder: LeaseHolder = _ITSELF
    ) -> int:
        """Return units to the period from which they were leased, and return how many: at most those that the holder
        has out there, and those given out and not reserved.

        This also corrects a period that is over, and grants that were not used since. Raises NotFound
        `FEATURE_NOT_FOUND`, and `LEASE_NOT_FOUND` where the holder has nothing out.
        """
        account = (meter, period_start)
        async with self._doors.tenant(tenant_id) as connection:
            unreserved = await self._unreserved(connection, tenant_id, account)
            if unreserved is None and not await repository.has_meter(connection, meter):
                raise feature_not_found(meter, FeatureType.METERED)
            leased = await leases_repository.leased(connection, tenant_id, account, holder)
            if not leased:
                raise lease_not_found(meter)
            parts = divided(min(amount, unreserved or 0), leased, holder)
            back = sum(part.amount for part in parts)
            await leases_repository.unbook(connection, tenant_id, account, parts)
            await accounts.put_back(connection, tenant_id, {account: back})
        return back

    async def run(
        self, tenant_id: TenantId, meters: Sequence[str], work: Callable[[Connection], Awaitable[_Done]]
    ) -> _Done:
        """Run the work in a transaction of the tenant.

        Where the work lacks open accounts or the units of expired reservations, get those in a transaction of its own
        and run the work again. The work must not hold the locks that this takes.
        """
        while True:
            try:
                async with self._doors.tenant(tenant_id) as connection:
                    return await work(connection)
            except NotOpened:
                async with self._doors.tenant(tenant_id) as connection:
                    await repository.open_accounts(connection, tenant_id, meters, self.moment)
            except Reclaimable:
                await self._reservations.release_expired(tenant_id, self.moment)
            except ForeignKeyViolation as error:
                raise no_such_tenant() from error

    async def availability(
        self, connection: Connection, tenant_id: TenantId, found: LockedAccounts, asks: Sequence[Ask]
    ) -> tuple[LockedAccounts, bool]:
        """Return the accounts, with their grants where the asks need those, and whether they cover each ask's need.

        Raises Reclaimable when they do not, but expired reservations hold more.
        """
        short = [ask.meter for ask in asks if found.by_meter[ask.meter].plan_left < ask.want]
        found = await accounts.with_grants(connection, tenant_id, found, short, self.moment)
        enough = all(found.left(ask.meter) >= ask.need for ask in asks)
        if not enough and await self._reservations.any_expired(connection, tenant_id, self.moment):
            raise Reclaimable
        return found, enough

    async def _unreserved(self, connection: Connection, tenant_id: TenantId, key: LedgerKey) -> int | None:
        """Lock the account of a meter in a period and return its units given out and not reserved; None without an
        account.

        Leases can return no more than these, however often they are returned.
        """
        given = await accounts.given(connection, tenant_id, key)
        if given is None:
            return None
        return max(0, given - await self._reservations.reserved(connection, tenant_id, key))

    async def _lease(
        self, connection: Connection, tenant_id: TenantId, asks: Sequence[Ask], holder: LeaseHolder
    ) -> list[Slice]:
        meters = [ask.meter for ask in asks]
        found = await accounts.lock(connection, tenant_id, meters, self.moment, open_all=False)
        limited = [ask for ask in asks if found.by_meter[ask.meter].allowance is not None]
        found, enough = await self.availability(connection, tenant_id, found, limited)
        amounts = {ask.meter: min(ask.want, found.left(ask.meter)) for ask in limited} if enough else {}
        after = await accounts.take(connection, tenant_id, found, amounts)
        booked = [(meter, found.by_meter[meter].period_start, amount) for meter, amount in amounts.items() if amount]
        await leases_repository.book(connection, tenant_id, holder, booked)
        granted = {ask.meter: amounts.get(ask.meter, ask.want if enough else 0) for ask in asks}
        return [_slice(after.by_meter[meter], amount, found.valid_for) for meter, amount in granted.items()]


def _slice(account: Account, granted: int, valid_for: timedelta | None) -> Slice:
    if account.allowance is not None:
        return Slice(account.meter, granted, account.left, account.limit, account.period_start, account.ends_in)
    # Units end with their period. An unlimited meter may get a limit earlier, so the lease ends by then.
    ends_in = account.ends_in if valid_for is None else min(account.ends_in, valid_for)
    return Slice(account.meter, granted, 0, None, account.period_start, ends_in)


class PostgresLedger:
    """The `QuotaLedger` of the chain in the process that has the ledger itself. `name` is the holder's."""

    def __init__(self, ledger: Ledger, name: str = "") -> None:
        self._ledger = ledger
        self._name = name

    async def answers(self) -> bool:
        """See QuotaLedger."""
        return await self._ledger.answers()

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = SHARED) -> Sequence[Slice]:
        """See QuotaLedger."""
        try:
            return await self._ledger.lease(tenant_id, asks, LeaseHolder(self._name, (account,)))
        except (Unavailable, TransactionConflict) as error:
            raise StoreUnavailable("the ledger of allowances can't be reached") from error

    async def give_back(
        self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, accounts: Sequence[str] = (SHARED,)
    ) -> int:
        """See QuotaLedger."""
        holder = LeaseHolder(self._name, tuple(accounts))
        try:
            return await self._ledger.give_back(tenant_id, meter, amount, period_start, holder)
        except (Unavailable, TransactionConflict) as error:
            raise StoreUnavailable("the ledger of allowances can't be reached") from error
