"""The port to the invitations of first administrators. A capability above this one stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection

__all__ = ["Invitations"]


class Invitations(Protocol):
    """Requests to invite the first administrators of new tenants."""

    async def request(self, connection: Connection, wanted: Sequence[tuple[TenantId, str]], actor: str) -> None:
        """Must store a request for each tenant and address, in the transaction that creates the tenants. `actor` is the
        credential that asked."""
        ...
