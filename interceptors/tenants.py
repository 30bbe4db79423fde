"""What the mesh needs to know of a tenant to serve a call, and the port that knows it. Everything else about tenants
lives in tenant_svc."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol

from tenantmesh.interceptors.errors import NotFound, PermissionDenied

__all__ = [
    "SLUG",
    "TenantChange",
    "TenantId",
    "TenantRecord",
    "TenantSource",
    "TenantState",
    "is_slug",
    "no_such_tenant",
    "parse_tenant_id",
    "refuse_unless_active",
]

TenantId = NewType("TenantId", uuid.UUID)

SLUG = re.compile(r"[a-z](?:-?[a-z0-9]){2,39}", re.ASCII)
"""What a slug looks like: 3 to 40 of a-z, 0-9 and single hyphens, starting with a letter. The length is checked apart,
since a hyphen and what follows it count as one repetition here."""

SLUG_LENGTH = range(3, 41)


class TenantState(Enum):
    """Whether a tenant is served."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant as the chain sees it."""

    id: TenantId
    slug: str
    state: TenantState
    plan_id: str


@dataclass(frozen=True, slots=True)
class TenantChange:
    """A tenant after a change, or a checkpoint (`record` is None), with the cursor to resume from."""

    cursor: str
    record: TenantRecord | None
    caught_up: bool = False
    """Whether nothing that has happened is still to come. Only checkpoints say so."""


class TenantSource(Protocol):
    """Where a directory learns tenants. tenant_svc reads its database; every other process asks tenant_svc."""

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """Must return None for a tenant that does not exist, and raise Unavailable when that can't be found out."""
        ...

    async def by_slug(self, slug: str) -> TenantRecord | None:
        """As `by_id`."""
        ...

    def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """Must yield every change committed after the cursor, in commit order; from now when it is None.

        A checkpoint that has caught up must come as soon as everything that has happened has been yielded, since only
        then the reader can rely on what it knows, and another every few seconds. Raises OutOfRange for a cursor whose
        changes are gone, Unavailable when the contact is lost.
        """
        ...


def is_slug(text: str) -> bool:
    """Whether the text can be a tenant's slug."""
    return len(text) in SLUG_LENGTH and SLUG.fullmatch(text) is not None


def parse_tenant_id(text: str) -> TenantId | None:
    """The UUID that the text spells in its canonical form, or None. The nil UUID is nobody's."""
    if len(text) != 36:  # noqa: PLR2004
        return None
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return TenantId(value) if value.int and str(value) == text.lower() else None


def no_such_tenant() -> NotFound:
    """Return the refusal of a tenant that does not exist, or that the caller may not know of."""
    # It does not repeat the request: a foreign tenant and a missing one must get the same answer, byte for byte.
    return NotFound("TENANT_NOT_FOUND", "No such tenant. Check the id or slug.")


def refuse_unless_active(tenant: TenantRecord | None, *, serve_suspended: bool = False) -> None:
    """Raise NotFound for a missing or deleted tenant, and PermissionDenied for a suspended one.

    `serve_suspended` is for callers and methods that may use a suspended tenant.
    """
    if tenant is None or tenant.state is TenantState.DELETED:
        raise no_such_tenant()
    if tenant.state is not TenantState.ACTIVE and not serve_suspended:
        raise PermissionDenied(
            "TENANT_SUSPENDED", "The tenant is suspended. Ask the operator of this installation to resume it."
        )
