"""The use cases that login hosts have beside those of every proven name: the hosts at which a tenant is served, and
the primary one of them."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs, held_tenant
from tenantmesh.tenant_svc.domain_proofs.rows import ProofRows
from tenantmesh.tenant_svc.login_hosts.refusals import login_host_not_verified
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.events import EventType

__all__ = ["LoginHosts", "ServedHosts"]


class ServedHosts:
    """Stores at which hosts a tenant is served, so that every process finds the tenant by them."""

    def __init__(self, rows: ProofRows) -> None:
        self._rows = rows

    async def __call__(self, connection: Connection, tenant_id: TenantId) -> None:
        """See ServedNames. The tenant keeps its primary host while that is served, else the oldest becomes primary."""
        tenant = await tenants.get_locked(connection, tenant_id)
        hosts = await self._rows.served(connection, tenant_id)
        await lock_log(connection)
        await self.store(connection, tenant_id, hosts, "" if tenant is None else tenant.primary_login_host)

    async def store(self, connection: Connection, tenant_id: TenantId, hosts: Sequence[str], primary: str) -> None:
        """Store the hosts, and the primary one if it is among them. Call after `lock_log`."""
        chosen = primary if primary in hosts else next(iter(hosts), "")
        await tenants.set_login_hosts(connection, tenant_id, hosts, chosen)
        await tenants.record_event(connection, tenant_id, EventType.UPDATED.value)


class LoginHosts:
    """The use case of the primary host. Raises Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, proofs: DomainProofs, rows: ProofRows, served: ServedHosts) -> None:
        self._doors = doors
        self._proofs = proofs
        self._rows = rows
        self._served = served

    async def make_primary(self, tenant_id: TenantId, text: str) -> NameProof:
        """Make the host the primary one, and return its proof.

        Raises NotFound `TENANT_NOT_FOUND`, `LOGIN_HOST_NOT_FOUND`, FailedPrecondition `LOGIN_HOST_NOT_VERIFIED`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            await held_tenant(connection, tenant_id)
            proof = await self._proofs.locked(connection, tenant_id, text)
            if not proof.served:
                raise login_host_not_verified()
            if not proof.primary:
                hosts = await self._rows.served(connection, tenant_id)
                await lock_log(connection)
                await self._served.store(connection, tenant_id, hosts, proof.name)
        return await self._proofs.get(tenant_id, text)
