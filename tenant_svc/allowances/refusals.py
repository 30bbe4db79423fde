"""The refusals about allowances: the limit, the units left, and when to retry."""

from __future__ import annotations

from tenantmesh.interceptors.errors import NotFound, QuotaViolation, ResourceExhausted
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.balances.account import Account
from tenantmesh.tenant_svc.features.wording import moment_words

__all__ = ["exhausted", "lease_not_found"]


def exhausted(account: Account, asked: int, tenant_id: TenantId, plan_id: str) -> ResourceExhausted:
    """Return the refusal of a request that needs more units than the allowance has left."""
    limit = account.limit or 0
    resets_at = moment_words(account.period_end)
    return ResourceExhausted(
        "QUOTA_EXHAUSTED",
        f"The request needs {asked} {account.meter}; {account.left} of this period's {limit} are left. The next period "
        f"begins at {resets_at}; a larger plan or a grant helps at once.",
        metadata={
            "meter": account.meter,
            "limit": str(limit),
            "remaining": str(account.left),
            "scope": "tenant",
            "plan": plan_id,
            "resets_at": resets_at,
        },
        quota_violations=[QuotaViolation.of_allowance(tenant_id, account.meter, limit)],
        retry_after=account.ends_in,
    )


def lease_not_found(meter: str) -> NotFound:
    """Return the refusal of a return by who has nothing of the meter out in that period."""
    return NotFound(
        "LEASE_NOT_FOUND",
        f"No units of {meter} are out under these accounts in that period. Return each unit once, under the account "
        "that leased it.",
        metadata={"meter": meter},
    )
