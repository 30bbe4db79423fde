"""The ports of the links whose place in the chain is kept: usage and audit. The ports of the links that are there stand
beside the data that they exchange: `tenants`, `entitlements`, `limits`, `quotas`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["AuditSink", "CallRecord", "UsageSink"]


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
