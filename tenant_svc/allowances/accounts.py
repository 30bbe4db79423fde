"""The accounts of one tenant inside a transaction: locked, charged, refilled. The ledger decides the amounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.runtime.database import Connection, Record
from tenantmesh.tenant_svc.allowances import repository
from tenantmesh.tenant_svc.allowances.repository import LedgerKey
from tenantmesh.tenant_svc.balances.account import Account, returned
from tenantmesh.tenant_svc.balances.grant import Grant, burn_order
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import TenantEntitlements
from tenantmesh.tenant_svc.features.refusals import feature_not_found

__all__ = ["LockedAccounts", "NotOpened", "given", "lock", "put_back", "take", "with_grants"]


class NotOpened(Exception):
    """Raised when some meters have no account in this period yet. Open them in a transaction of their own, then begin
    again."""


@dataclass(frozen=True, slots=True)
class LockedAccounts:
    """The accounts that a transaction has locked, by meter.

    valid_for: how long the tenant's entitlements stay the same without a change; None is for ever.
    """

    plan_id: str
    valid_for: timedelta | None
    by_meter: Mapping[str, Account]

    def left(self, meter: str) -> int:
        """Return the units that the meter can still give."""
        return self.by_meter[meter].left


async def lock(
    connection: Connection, tenant_id: TenantId, meters: Iterable[str], moment: datetime | None, *, open_all: bool
) -> LockedAccounts:
    """Lock the meters' accounts, then read the tenant's entitlements. In this order no unit is given by a limit lowered
    meanwhile.

    Unlimited meters need no account, unless `open_all`. Raises NotFound `FEATURE_NOT_FOUND`, `TENANT_NOT_FOUND`, and
    NotOpened.
    """
    wanted = list(meters)
    rows = await repository.lock_accounts(connection, tenant_id, wanted, moment)
    for meter in wanted:
        if meter not in rows:
            raise feature_not_found(meter, FeatureType.METERED)
    entitlements = await reader.load(connection, tenant_id)
    if entitlements is None:
        raise no_such_tenant()
    found = {meter: _account(rows[meter], entitlements) for meter in wanted}
    if any(rows[meter]["given"] is None and (open_all or found[meter].allowance is not None) for meter in wanted):
        raise NotOpened
    return LockedAccounts(entitlements.plan.id, entitlements.valid_for, found)


def _account(row: Record, entitlements: TenantEntitlements) -> Account:
    meter, moment = str(row["feature_id"]), row["moment"]
    entitled = entitlements.features[meter]
    return Account(
        meter,
        moment,
        row["period_start"],
        row["period_end"],
        entitled.limit,
        row["given"] or 0,
        row["from_plan"] or 0,
        burn_order(entitled.grants, moment),
    )


async def with_grants(
    connection: Connection,
    tenant_id: TenantId,
    accounts: LockedAccounts,
    meters: Iterable[str],
    moment: datetime | None,
) -> LockedAccounts:
    """Return the accounts with the meters' grants locked as well, so that no grant is voided while units are taken from
    it."""
    short = set(meters)
    if not short:
        return accounts
    grants = await repository.lock_grants(connection, tenant_id, sorted(short), moment)
    found = {
        meter: replace(account, grants=_own(grants, account)) if meter in short else account
        for meter, account in accounts.by_meter.items()
    }
    return replace(accounts, by_meter=found)


def _own(grants: Iterable[Grant], account: Account) -> list[Grant]:
    return burn_order((grant for grant in grants if grant.feature == account.meter), account.moment)


async def take(
    connection: Connection, tenant_id: TenantId, accounts: LockedAccounts, amounts: Mapping[str, int]
) -> LockedAccounts:
    """Take the amounts, each of which must be left, and return the accounts after it."""
    taken = {meter: accounts.by_meter[meter].taken(amount) for meter, amount in amounts.items() if amount}
    if taken:
        await repository.write_taken(connection, tenant_id, taken.values())
    after = {meter: account for meter, (account, _) in taken.items()}
    return replace(accounts, by_meter={**accounts.by_meter, **after})


async def given(connection: Connection, tenant_id: TenantId, key: LedgerKey) -> int | None:
    """Lock the account of a meter in a period and return the units given out of it; None without an account."""
    rows = await repository.lock_rows(connection, tenant_id, [key])
    return int(rows[key]["given"]) if key in rows else None


async def put_back(connection: Connection, tenant_id: TenantId, amounts: Mapping[LedgerKey, int]) -> None:
    """Return amounts to the periods and grants from which they were taken, at most the units given out there."""
    keys = sorted(key for key, amount in amounts.items() if amount)
    if not keys:
        return
    rows = await repository.lock_rows(connection, tenant_id, keys)
    burnt = {key for key, row in rows.items() if row["given"] > row["from_plan"]}
    burns = await repository.lock_burns(connection, tenant_id, sorted(burnt)) if burnt else []
    back = {
        key: returned(amounts[key], row["given"], row["from_plan"], [
            (burn.grant, burn.amount) for burn in burns if (burn.grant.feature, burn.period_start) == key
        ])
        for key, row in rows.items()
    }  # fmt: skip
    await repository.write_rows(
        connection, tenant_id, [(*key, outcome.given, outcome.from_plan) for key, outcome in back.items()]
    )
    to_grants = [
        (grant_id, key[1], amount) for key, outcome in back.items() for grant_id, amount in outcome.to_grants.items()
    ]
    if to_grants:
        await repository.unburn(connection, tenant_id, to_grants)
