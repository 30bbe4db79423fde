"""The ports of the links whose place in the chain is kept: usage, audit, entitlement, quota.

A chain without them refuses policies that ask for what they would enforce. Bursts per tenant use `limits.RateLimiter`,
as the peer limit does. The ports of the links that are there stand beside those links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from interceptors.tenants import TenantId

__all__ = ["Allowance", "AuditSink", "CallRecord", "EntitlementSource", "Entitlements", "QuotaCounter", "UsageSink"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call that is over: what is counted and what is written down. Ids, never content."""

    method: str
    code: str
    reason: str
    tenant_id: TenantId | None
    caller: str
    credential_id: str
    request_id: str
    seconds: float


class UsageSink(Protocol):
    """Counts calls, served and refused."""

    def record(self, call: CallRecord) -> None:
        """Must return at once and never raise; must say how many records a crash may lose."""
        ...


class AuditSink(Protocol):
    """Writes down what happened, in an order that can be verified."""

    def record(self, call: CallRecord) -> None:
        """Must return at once and never raise; must not lose a record that it accepted."""
        ...


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What a tenant's plan gives it, and since which revision."""

    features: frozenset[str]
    revision: int


class EntitlementSource(Protocol):
    """Knows what each tenant is entitled to."""

    def peek(self, tenant_id: TenantId) -> Entitlements | None:
        """Must answer from memory; None when `find` must be awaited."""
        ...

    async def find(self, tenant_id: TenantId) -> Entitlements:
        """Must return the entitlements in force, or raise Unavailable when they can't be found out."""
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a charge was taken, and what is left of the meter that decided."""

    allowed: bool
    meter: str
    limit: int
    used: int
    resets_at: datetime


class QuotaCounter(Protocol):
    """Keeps the allowances of a period, over all processes."""

    async def take(self, tenant_id: TenantId, charges: Sequence[tuple[str, int]]) -> Allowance:
        """Must take all charges or none, and never one past a limit; must raise StoreUnavailable when it can't know."""
        ...
