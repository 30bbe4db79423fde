"""The verified caller of a call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["ALL_USAGE", "ANONYMOUS", "NO_USAGE", "Caller", "CallerKind", "UsageScope"]


class CallerKind(Enum):
    """The kind of a caller; policies name the kinds they serve."""

    ANONYMOUS = "ANONYMOUS"
    USER = "USER"
    SERVICE = "SERVICE"
    OPERATOR = "OPERATOR"


_ALL = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class UsageScope:
    """The features whose usage a credential may count, by id; `*` stands for all.

    meters: METERED features, to lease, return and reserve. gauges: GAUGE features, whose levels it may set.
    """

    meters: frozenset[str] = _ALL
    gauges: frozenset[str] = _ALL

    def has_meter(self, meter: str) -> bool:
        """Return whether it names the METERED feature."""
        return meter in self.meters or "*" in self.meters

    def has_gauge(self, gauge: str) -> bool:
        """Return whether it names the GAUGE feature."""
        return gauge in self.gauges or "*" in self.gauges


ALL_USAGE = UsageScope()
NO_USAGE = UsageScope(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller. `ANONYMOUS` stands for calls without a credential."""

    kind: CallerKind
    subject: str
    """A user's UUID, or the name of a service's or operator's key."""
    tenant_id: TenantId | None = None
    """The tenant the credential is bound to. None: the caller may select one."""
    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    """The permissions of the credential itself; `*` stands for all. Those of a user come from its roles."""
    credential_id: str = ""
    """Identifies the credential in logs: a token's `jti`, a key's id, a certificate's identity. Never the secret."""
    session_id: str | None = None
    expires_at: float | None = None
    """When the credential expires, in seconds since the epoch. None: it does not."""
    usage: UsageScope = ALL_USAGE
    """The features that an API key names. Other credentials limit none."""


ANONYMOUS = Caller(CallerKind.ANONYMOUS, "anonymous")
