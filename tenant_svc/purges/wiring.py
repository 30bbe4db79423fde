"""The wiring of purges: the method that starts one, the proofs, and in a worker the jobs that carry purges out."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from tenantmesh.chassis.background import Background, Repeating
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.lifecycle import Part
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import purge_service_pb2, tenant_service_pb2
from tenantmesh.tenant_svc.purges.accounts import GrpcTenantAccounts
from tenantmesh.tenant_svc.purges.amounts import StoreKeys, TenantAmounts
from tenantmesh.tenant_svc.purges.destruction import Destruction
from tenantmesh.tenant_svc.purges.executor import PurgeExecutor
from tenantmesh.tenant_svc.purges.jobs import GraceJobs, PurgeJobs
from tenantmesh.tenant_svc.purges.mapping import PurgeMessages
from tenantmesh.tenant_svc.purges.purge import PURGE
from tenantmesh.tenant_svc.purges.purges import RUN_PURGE_JOB, Purges
from tenantmesh.tenant_svc.purges.servicer import ProofServicer, PurgeServicer
from tenantmesh.tenant_svc.purges.tables import purge_keys, purge_proofs
from tenantmesh.tenant_svc.resources import PurgeResources, TenantResources
from tenantmesh.tenant_svc.schema import OUTAGE, SCHEMA
from tenantmesh.tenant_svc.tenants.content import Contents
from tenantmesh.tenant_svc.tenants.deletions import PURGE_JOB
from tenantmesh.tenant_svc.tenants.tables import tenant_tombstones
from tenantmesh.tenant_svc.tenants.wiring import PART as TENANTS

__all__ = ["OPERATIONS", "TenantInventory", "build"]

_TENANTS = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
_PURGES = purge_service_pb2.DESCRIPTOR.services_by_name["PurgeService"]
OPERATIONS = {PURGE: PurgeMessages()}
"""The messages of its type of operation, for the capability `operations`."""


class TenantInventory:
    """Counts all that there is of a tenant, over all parts. Made before capabilities that show it to callers."""

    def __init__(self, resources: TenantResources, parts: Sequence[TenantPart]) -> None:
        self.accounts = GrpcTenantAccounts(resources.connect_auth)
        self.store = StoreKeys(resources.store)
        self.rows = TenantRows(parts, SCHEMA, (purge_proofs.name, tenant_tombstones.name))
        self.amounts = TenantAmounts(resources.doors, self.rows, self.accounts, self.store)
        self.contents: Contents = self.amounts.contents


def build(resources: TenantResources, inventory: TenantInventory) -> Capability:
    """Build the capability."""
    purges = Purges(resources.doors, uuid7, inventory.amounts)
    purging = resources.purging
    work = None if purging is None else _Work(resources, inventory, purging, purges)
    return Capability(
        name="purges",
        servicers={_TENANTS: PurgeServicer(purges), _PURGES: ProofServicer(purges)},
        background=[Part(close=inventory.accounts.close)],
        jobs={} if work is None else {PURGE_JOB: GraceJobs(purges), RUN_PURGE_JOB: PurgeJobs(work.executor)},
        beside_jobs=() if work is None else work.beside,
    )


class _Work:
    """The parts of a worker that carry purges out."""

    def __init__(
        self, resources: TenantResources, inventory: TenantInventory, purging: PurgeResources, purges: Purges
    ) -> None:
        settings = purging.settings
        schedule = KeySchedule(settings.sign_for, settings.publish_before)
        keys = KeyRing(resources.doors, SigningKeyRows(purge_keys), purging.kek, schedule, OUTAGE.reason)
        destruction = Destruction(
            inventory.rows,
            TENANTS.tables,
            erasing=purging.erasing.doors,
            jobs=Doors(purging.queue, OUTAGE),
            accounts=inventory.accounts,
            store=inventory.store,
        )
        version = importlib.metadata.version("tenantmesh")
        self.executor = PurgeExecutor(resources.doors, destruction, keys, version)
        self.beside: Sequence[Background] = [
            Part(close=inventory.accounts.close),
            purging.erasing,
            Part(close=purging.queue.close),
            keys,
            Repeating("purge-sweep", lambda: purges.sweep(settings.retry_after), settings.sweep_interval),
        ]
