"""The two kinds of names on a real database, with checks that ask the tests' own DNS and web server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.settings import EventSettings
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.tenant_svc.domain_proofs.checks import ProofChecks
from tenantmesh.tenant_svc.domain_proofs.dns_resolver import DnsResolver
from tenantmesh.tenant_svc.domain_proofs.evidence import proof_text
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs
from tenantmesh.tenant_svc.domain_proofs.release import NameRelease
from tenantmesh.tenant_svc.domain_proofs.wiring import ProofParts
from tenantmesh.tenant_svc.domain_proofs.wiring import build as build_parts
from tenantmesh.tenant_svc.email_domains import wiring as email_domains
from tenantmesh.tenant_svc.login_hosts import wiring as login_hosts
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.settings import DomainSettings, LifeSettings, QuotaSettings
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents, TenantEvent
from tests.dns_server import NameServer
from tests.integration.tenant_svc.world import World

MANY = 10_000
PATIENCE = timedelta(seconds=5)
LIMIT = 5


@pytest.fixture
def resolver(zone: NameServer) -> DnsResolver:
    return DnsResolver([("127.0.0.1", zone.port)], PATIENCE)


@dataclass(frozen=True)
class Names:
    """One kind of names: its use cases, its checks, and the DNS in which a test publishes proofs."""

    kind: NameKind
    proofs: DomainProofs
    checks: ProofChecks
    release: NameRelease
    zone: NameServer
    world: World

    @property
    def table(self) -> str:
        return f"tenant.{self.kind.path.replace('-', '_')}"

    async def added(self, tenant_id: TenantId, name: str) -> NameProof:
        (added,) = await self.proofs.add(tenant_id, [name])
        return added

    def publish(self, proof: NameProof, text: str = "") -> None:
        """The name's record has this text; the right one by default."""
        self.zone.txt(f"_tenantmesh.{proof.name}", text or proof_text(proof.token))

    async def checked(self, tenant_id: TenantId, proof: NameProof) -> NameProof:
        """The proof after the check that is due has been made, now."""
        await self.world.rows(f"update {self.table} set next_check_time = now() where proof_id = $1", proof.id)
        await self.checks.work(self.kind.subject(tenant_id, proof.id))
        return await self.proofs.get(tenant_id, proof.name)

    async def verified(self, tenant_id: TenantId, name: str) -> NameProof:
        added = await self.added(tenant_id, name)
        self.publish(added)
        return await self.checked(tenant_id, added)

    async def lapsed(self, tenant_id: TenantId, name: str) -> NameProof:
        """A name whose proof was missing for the whole grace."""
        proof = await self.verified(tenant_id, name)
        self.zone.remove(f"_tenantmesh.{name}")
        proof = await self.checked(tenant_id, proof)
        await self.aged(proof, 8)
        return await self.checked(tenant_id, proof)

    async def aged(self, proof: NameProof, days: int) -> None:
        """The proof has been in its state for so many days."""
        query = f"update {self.table} set state_time = now() - $2 * interval '1 day' where proof_id = $1"
        await self.world.rows(query, proof.id, days)

    async def jobs(self, tenant_id: TenantId, proof: NameProof) -> list[Any]:
        """The times of the checks that are in the queue."""
        subject = self.kind.subject(tenant_id, proof.id).encode()
        query = "select execute_after as at from jobs.pgqueuer where payload = $1 order by at"
        return [row["at"] for row in await self.world.rows(query, subject)]


class Log:
    """The events after a moment."""

    def __init__(self, events: StoredTenantEvents, position: int) -> None:
        self._events, self._position = events, position

    async def of(self, tenant_id: TenantId) -> list[TenantEvent]:
        after: Sequence[TenantEvent] = await self._events.after(self._position, MANY)
        return [event for event in after if event.tenant.id == tenant_id and event.name_change is not None]

    async def told(self, tenant_id: TenantId) -> list[tuple[str, str]]:
        """State and reason of each change of the tenant's names."""
        changes = [event.name_change for event in await self.of(tenant_id)]
        return [(change.state, change.reason) for change in changes if change is not None]


@pytest.fixture
async def log(doors: Doors) -> Log:
    events = StoredTenantEvents(doors)
    return Log(events, await events.head())


@pytest.fixture
def parts(database: Database, doors: Doors, zone: NameServer) -> ProofParts:
    settings = DomainSettings(
        resolvers=zone.address, allowed_networks=("127.0.0.0/8",), allow_reserved=True, timeout=PATIENCE
    )
    resources = TenantResources(
        database=database,
        doors=doors,
        events=EventSettings(),
        quotas=QuotaSettings(),
        tenants=LifeSettings(),
        pool=None,
        domains=settings,
    )
    return build_parts(resources)


def names_of(kind: NameKind, parts: ProofParts, zone: NameServer, world: World) -> Names:
    proofs, checks = parts.proofs(kind, LIMIT), parts.check_handler(kind)
    return Names(kind, proofs, checks, NameRelease(kind), zone, world)


@pytest.fixture(params=["login_hosts", "email_domains"])
def names(request: pytest.FixtureRequest, parts: ProofParts, zone: NameServer, world: World) -> Names:
    """Each kind of names: their lives are the same."""
    kind = {"login_hosts": login_hosts.KIND, "email_domains": email_domains.KIND}[request.param]
    return names_of(kind, parts, zone, world)


@pytest.fixture
def hosts(parts: ProofParts, zone: NameServer, world: World) -> Names:
    return names_of(login_hosts.KIND, parts, zone, world)
