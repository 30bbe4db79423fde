"""The verified caller of a call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["ANONYMOUS", "Caller", "CallerKind"]


class CallerKind(Enum):
    """The kind of a caller; policies name the kinds they serve."""

    ANONYMOUS = "ANONYMOUS"
    USER = "USER"
    SERVICE = "SERVICE"
    OPERATOR = "OPERATOR"


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


ANONYMOUS = Caller(CallerKind.ANONYMOUS, "anonymous")
