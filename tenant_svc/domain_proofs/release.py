"""The names of a tenant that is deleted or restored: steps of those transactions."""

from __future__ import annotations

from dataclasses import replace

from tenantmesh.chassis.jobs.enqueue import ASKED
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind
from tenantmesh.tenant_svc.domain_proofs.proof import released
from tenantmesh.tenant_svc.domain_proofs.repository import clock
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["NameRelease"]


class NameRelease:
    """The steps of one kind of names. The transaction has locked the tenant."""

    def __init__(self, kind: NameKind) -> None:
        self._kind = kind

    async def deleted(self, connection: Connection, tenant: Tenant, _actor: str) -> None:
        """Release every name: another tenant may prove it. The checks end with the tenant."""
        now = await clock(connection)
        for proof in await self._kind.rows.all_locked(connection, tenant.id):
            await self._kind.rows.store(connection, tenant.id, released(proof, now))

    async def undeleted(self, connection: Connection, tenant: Tenant, _actor: str) -> None:
        """Have every name checked: it must be proven again."""
        now = await clock(connection)
        for proof in await self._kind.rows.all_locked(connection, tenant.id):
            asked = replace(proof, state_time=now, next_check_time=now)
            await self._kind.rows.store(connection, tenant.id, asked)
            await self._kind.schedule(connection, self._kind.subject(tenant.id, proof.id), now, ASKED)
