"""A tenant that is about to be purged, what purges it, and what the database says of it afterwards."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tenantmesh.auth_svc.capabilities import PARTS as AUTH_PARTS
from tenantmesh.auth_svc.schema import OUTAGE as AUTH_OUTAGE
from tenantmesh.auth_svc.tables import metadata as auth_metadata
from tenantmesh.auth_svc.tenant_data.tables import purged_tenants
from tenantmesh.auth_svc.tenant_data.tenant_data import TenantData
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.interceptors.backends.memory.sources import MemoryTenantSource
from tenantmesh.interceptors.keys import tenant_key
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.redis_client import StoreClient
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.capabilities import PARTS
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.purges.accounts import AccountCounts
from tenantmesh.tenant_svc.purges.amounts import StoreKeys, TenantAmounts
from tenantmesh.tenant_svc.purges.destruction import Destruction
from tenantmesh.tenant_svc.purges.executor import PurgeExecutor
from tenantmesh.tenant_svc.purges.purge import PurgeProgress, PurgeStep, Wanted
from tenantmesh.tenant_svc.purges.purges import PurgeRequest, Purges
from tenantmesh.tenant_svc.purges.tables import purge_keys, purge_proofs
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tables import metadata
from tenantmesh.tenant_svc.tenants.deletions import DeletionRequest, TenantDeletions
from tenantmesh.tenant_svc.tenants.tables import tenant_tombstones
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.wiring import PART as TENANTS
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.world import ACTOR, World

KEK = KeyEncryptionKey(bytes(range(32)))
VERSION = "9.9.9"
PATIENT = timedelta(seconds=5)
"""The time-out of the store, where nothing tries again."""


class LocalAccounts:
    """As TenantAccounts: the use cases of auth_svc, in this process and on the same server."""

    def __init__(self, data: TenantData, source: MemoryTenantSource) -> None:
        self._data = data
        self.source = source

    async def count(self, tenant_id: TenantId) -> AccountCounts:
        counts = await self._data.count(tenant_id)
        return AccountCounts(counts.rows, counts.sessions, counts.passwords)

    async def purge(self, tenant_id: TenantId, most: int) -> tuple[int, bool]:
        removed, more = await self._data.purge(tenant_id, most)
        return sum(removed.values()), more


@dataclass
class Purging:
    """Purges on one database."""

    database: WorkerDatabase
    doors: Doors
    erasing: ErasureDoor
    store: StoreClient
    accounts: LocalAccounts
    queue: Database
    keys: KeyRing
    rows: TenantRows = field(
        default_factory=lambda: TenantRows(PARTS, "tenant", (purge_proofs.name, tenant_tombstones.name))
    )

    @property
    def purges(self) -> Purges:
        return Purges(self.doors, uuid7, TenantAmounts(self.doors, self.rows, self.accounts, StoreKeys(self.store)))

    @property
    def tenants(self) -> Tenants:
        return Tenants(self.doors, uuid7, record_first_plan, LifeSettings())

    @property
    def deletions(self) -> TenantDeletions:
        async def nothing(*_: object) -> None: ...

        return TenantDeletions(self.doors, LifeSettings(), nothing, nothing)

    def executor(self, kind: type[PurgeExecutor] = PurgeExecutor) -> PurgeExecutor:
        destruction = Destruction(
            self.rows,
            TENANTS.tables,
            erasing=self.erasing.doors,
            jobs=Doors(self.queue, OUTAGE),
            accounts=self.accounts,
            store=StoreKeys(self.store),
        )
        return kind(self.doors, destruction, self.keys, VERSION)

    async def started(self, tenant_id: TenantId, **fields: Any) -> Operation:
        return await self.purges.start(tenant_id, PurgeRequest(ACTOR, Wanted.OPERATOR, **fields))

    async def deleted(self, tenant_id: TenantId, grace: timedelta | None = None) -> Tenant:
        return await self.deletions.delete(tenant_id, DeletionRequest(actor=ACTOR, grace=grace))


class Killed(BaseException):
    """The process is gone: nothing catches it."""


def stopping(step: PurgeStep, *, stored: bool) -> type[PurgeExecutor]:
    """An executor whose process dies after the step's work: before its end is stored, or after."""

    class Stopping(PurgeExecutor):
        async def take(self, operation: Operation, current: PurgeStep) -> Operation | None:
            taken = await super().take(operation, current)
            if current is step:
                raise Killed
            return taken

        async def _advance(
            self, operation_id: uuid.UUID, ended: PurgeStep, progress: PurgeProgress
        ) -> Operation | None:
            if ended is step and not stored:
                raise Killed
            return await super()._advance(operation_id, ended, progress)

        async def _prove(self, operation: Operation, progress: PurgeProgress) -> Operation | None:
            if step is PurgeStep.SIGN and not stored:
                raise Killed
            return await super()._prove(operation, progress)

    return Stopping


@asynccontextmanager
async def purging(database: WorkerDatabase, doors: Doors, store: StoreClient) -> AsyncIterator[Purging]:
    settings = DatabaseSettings(url=database.url("tenant_app"))
    erasing = ErasureDoor(database.url("tenant_purger"), settings, metadata, OUTAGE)
    urls = {"url": database.url("auth_app"), "system_url": database.url("auth_directory")}
    auth = Database(DatabaseSettings.model_validate(urls), schema="auth")
    auth_erasing = ErasureDoor(database.url("auth_purger"), settings, auth_metadata, AUTH_OUTAGE)
    queue = Database(DatabaseSettings(url=database.url("tenant_worker")), schema="jobs")
    source = MemoryTenantSource()
    rows = TenantRows(AUTH_PARTS, "auth", (purged_tenants.name,))
    data = TenantData(Doors(auth, AUTH_OUTAGE), auth_erasing.doors, source, rows, timedelta(days=7))
    keys = KeyRing(doors, SigningKeyRows(purge_keys), KEK, KeySchedule(), "NONE")
    await erasing.start()
    await keys.maintain()
    yield Purging(database, doors, erasing, store, LocalAccounts(data, source), queue, keys)
    for each in (erasing, auth_erasing, auth, queue):
        await each.close()


async def left(world: World, tenant_id: TenantId) -> dict[str, int]:
    """The rows of the tenant in every table of both services, as the superuser finds them in the catalog."""
    columns = await world.rows(
        "SELECT table_schema || '.' || table_name AS name FROM information_schema.columns "
        "WHERE column_name = 'tenant_id' AND data_type = 'uuid' AND table_schema IN ('tenant', 'auth')"
    )
    found = {}
    for row in columns:
        counting = " ".join(("SELECT count(*) AS rows FROM", row["name"], "WHERE tenant_id = $1"))
        found[row["name"]] = (await world.rows(counting, tenant_id))[0]["rows"]
    kept = {"tenant.purge_proofs", "tenant.tenant_tombstones", "auth.purged_tenants"}
    return {name: rows for name, rows in found.items() if rows and name not in kept}


async def filled(world: World, purging: Purging, rows: int = 3) -> Tenant:
    """A tenant with rows in both services, keys in the store and a job in the queue."""
    tenant = await world.tenant()
    await world.rows(
        """INSERT INTO tenant.operations (tenant_id, operation_id, type, state, request, progress, cancel_requested,
           actor, effective_time, create_time, end_time)
           SELECT $1, gen_random_uuid(), 'X', 'SUCCEEDED', '{}', '{}', false, '', now(), now(), now()
           FROM generate_series(1, $2::int)""",
        tenant.id,
        rows,
    )
    await world.rows(
        """INSERT INTO auth.users SELECT $1, gen_random_uuid(), n || '@x.example', n || '@x.example', 'N', 'hash',
           '{member}', 0, now() FROM generate_series(1, $2::int) AS n""",
        tenant.id,
        rows,
    )
    await purging.store.set(tenant_key(tenant.id, "login", uuid.uuid4().hex), "1")
    await world.rows(
        "INSERT INTO jobs.pgqueuer (priority, status, entrypoint, payload, execute_after) "
        "VALUES (0, 'queued', 'nobody', $1, now() + interval '1 day')",
        f"tenants/{tenant.id}/operations/{uuid.uuid4()}".encode(),
    )
    return tenant


async def interrupted(work: Callable[[], Awaitable[object]]) -> None:
    """Does work that ends with its process."""
    try:
        await work()
    except Killed:
        return
    raise AssertionError("it was not interrupted")
