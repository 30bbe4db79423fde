"""The chain's record of a tenant, the ports that find it, and the refusal of tenants that are not served. Everything
else about tenants lives in tenant_svc."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol, TypeAlias

from tenantmesh.interceptors.errors import NotFound, PermissionDenied
from tenantmesh.interceptors.lookup import Lookup

__all__ = [
    "TenantChange",
    "TenantId",
    "TenantKey",
    "TenantLookup",
    "TenantRecord",
    "TenantSource",
    "TenantState",
    "deleted_tenant",
    "is_slug",
    "no_such_tenant",
    "parse_tenant_id",
    "parse_uuid",
    "refuse_unless_active",
]

TenantId = NewType("TenantId", uuid.UUID)
TenantKey: TypeAlias = TenantId | str
"""A tenant's id, or a name that leads to it: a slug, or a login host, which has a dot."""

SLUG = re.compile(r"[a-z](?:-?[a-z0-9]){2,39}", re.ASCII)
"""The form of a slug: 3 to 40 of a-z, 0-9 and single hyphens, starting with a letter. `is_slug` checks the length: a
hyphen and the letter after it are one repetition here."""

SLUG_LENGTH = range(3, 41)
UUID_LENGTH = 36


class TenantState(Enum):
    """Whether a tenant is served."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class TenantRecord:
    """A tenant as the chain sees it.

    names: what leads to it besides its id and its slug: former slugs in their time, and verified login hosts.
    """

    id: TenantId
    slug: str
    state: TenantState
    plan_id: str
    names: frozenset[str] = frozenset()

    def is_called(self, key: TenantKey | None) -> bool:
        """Return whether the key leads to the tenant."""
        return key in (self.id, self.slug) or key in self.names


@dataclass(frozen=True, slots=True)
class TenantChange:
    """A tenant after a change, or a checkpoint (`record` is None), with the cursor to resume from."""

    cursor: str
    record: TenantRecord | None
    caught_up: bool = False
    """True when every earlier change has been yielded. Only checkpoints say so."""


class TenantSource(Protocol):
    """Knows all tenants. tenant_svc reads its database; every other process asks tenant_svc."""

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """Must return None for a tenant that does not exist, and raise Unavailable when that can't be found out."""
        ...

    async def by_name(self, name: str) -> TenantRecord | None:
        """As `by_id`, for a slug or a login host."""
        ...

    def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """Must yield every change committed after the cursor, in commit order; from now on when the cursor is None.

        Must yield a checkpoint with `caught_up` as soon as all earlier changes have been yielded, because the reader
        relies on its cache from then on, and another every few seconds. Must raise OutOfRange for a cursor whose
        changes are gone, and Unavailable when the connection is lost.
        """
        ...


TenantLookup: TypeAlias = Lookup[TenantKey, TenantRecord]
"""Finds tenants by id, slug or login host. Adapter: `TenantDirectory`, a cache over a TenantSource."""


def is_slug(text: str) -> bool:
    """Return whether the text has the form of a slug."""
    return len(text) in SLUG_LENGTH and SLUG.fullmatch(text) is not None


def parse_uuid(text: str) -> uuid.UUID | None:
    """Return the UUID that the text spells in its canonical form, or None. The nil UUID is no id."""
    if len(text) != UUID_LENGTH:
        return None
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if value.int and str(value) == text.lower() else None


def parse_tenant_id(text: str) -> TenantId | None:
    """Return the tenant id that the text spells, as `parse_uuid` does."""
    value = parse_uuid(text)
    return None if value is None else TenantId(value)


def no_such_tenant() -> NotFound:
    """Return the refusal of a tenant that does not exist, or that the caller may not know of."""
    # It does not repeat the request: a foreign tenant and a missing one must get the same answer, byte for byte.
    return NotFound("TENANT_NOT_FOUND", "No such tenant. Check the id or slug.")


def deleted_tenant() -> NotFound:
    """Return the refusal of a deleted tenant to an operator, who sees deleted ones."""
    return NotFound("TENANT_NOT_FOUND", "The tenant is deleted. Undelete it first.")


def refuse_unless_active(
    tenant: TenantRecord | None, *, serve_suspended: bool = False, serve_deleted: bool = False
) -> None:
    """Raise NotFound for a missing or deleted tenant, and PermissionDenied for a suspended one.

    `serve_suspended` and `serve_deleted` are for callers and methods that may use such a tenant.
    """
    if tenant is None or (tenant.state is TenantState.DELETED and not serve_deleted):
        raise no_such_tenant()
    if tenant.state is TenantState.SUSPENDED and not serve_suspended:
        raise PermissionDenied(
            "TENANT_SUSPENDED", "The tenant is suspended. Ask the operator of this installation to resume it."
        )
