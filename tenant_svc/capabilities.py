"""The capabilities of tenant_svc, in the order in which each may use those before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.interceptors import TenantDirectory
from tenantmesh.interceptors.entitlements import EntitlementSource
from tenantmesh.interceptors.quotas import QuotaLedger
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.allocations import wiring as allocations
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allowances import wiring as allowances
from tenantmesh.tenant_svc.balances import wiring as balances
from tenantmesh.tenant_svc.branding import wiring as branding
from tenantmesh.tenant_svc.bulk import wiring as bulk
from tenantmesh.tenant_svc.checks import wiring as checks
from tenantmesh.tenant_svc.domain_proofs import wiring as domain_proofs
from tenantmesh.tenant_svc.email_domains import wiring as email_domains
from tenantmesh.tenant_svc.entitlements import wiring as entitlements
from tenantmesh.tenant_svc.features import wiring as features
from tenantmesh.tenant_svc.gauges import wiring as gauges
from tenantmesh.tenant_svc.grants import wiring as grants
from tenantmesh.tenant_svc.history import wiring as history
from tenantmesh.tenant_svc.invitations import wiring as invitations
from tenantmesh.tenant_svc.invitations.invitations import StoredInvitations
from tenantmesh.tenant_svc.login_hosts import wiring as login_hosts
from tenantmesh.tenant_svc.operations import wiring as operations
from tenantmesh.tenant_svc.overrides import wiring as overrides
from tenantmesh.tenant_svc.plan_changes import wiring as plan_changes
from tenantmesh.tenant_svc.plans import wiring as plans
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.purges import wiring as purges
from tenantmesh.tenant_svc.quota_retention import wiring as quota_retention
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.setup_links import wiring as setup_links
from tenantmesh.tenant_svc.tenants import wiring as tenants

__all__ = ["CAPABILITIES", "PARTS", "TenantCapabilities"]

_Subject = TypeVar("_Subject")
_Step = Callable[[Connection, _Subject, str], Awaitable[None]]
"""A step about a tenant, or about several."""

CAPABILITIES: Mapping[str, str] = {
    "features": "the features that plans are made of",
    "plans": "the plans, of which each tenant pins one",
    "tenants": "the resource that everything else belongs to",
    "domain_proofs": "the life of a proven name, for the two kinds of names",
    "login_hosts": "where a tenant is served",
    "email_domains": "whose people belong to a tenant",
    "balances": "the tables of usage, which several capabilities work on",
    "branding": "how a tenant looks before anybody has signed in; it needs tenants only",
    "invitations": "the first administrators of new tenants; they need tenants only",
    "history": "every change of entitlements, and the log that the mesh follows",
    "entitlements": "plan, overrides and grants together; above the tables that they are computed from",
    "overrides": "they change the entitlements of one tenant",
    "grants": "they add to the entitlements of one tenant",
    "checks": "they answer from entitlements, with the reason",
    "allowances": "the ledger: the units left of a period's allowance; it needs entitlements for the limit",
    "allocations": "reservations; they take from the ledger",
    "gauges": "levels against their limit",
    "operations": "long-running operations of every type",
    "setup_links": "they do steps that other capabilities bring",
    "plan_changes": "an operation over tenants, entitlements and history",
    "quota_retention": "it deletes rows that allocations and the ledger no longer need",
    "bulk": "the use cases of tenants, for many at once",
    "purges": "they destroy the rows of every other capability",
}
"""Each capability, with the reason for its place. Starting follows this order, closing the reverse."""

PARTS: tuple[TenantPart, ...] = (
    tenants.PART, domain_proofs.PART, login_hosts.PART, email_domains.PART, balances.PART, branding.PART,
    invitations.PART, history.PART, entitlements.PART, allocations.PART, gauges.PART, operations.PART, setup_links.PART,
)  # fmt: skip
"""The parts of a tenant, parents before children: created and imported in this order, purged in reverse."""


class TenantCapabilities:
    """Each capability, built once from the resources of its process."""

    def __init__(self, resources: TenantResources) -> None:
        pooled = allowances.pooled_units(resources)
        changes = history.build(resources)
        inventory = purges.TenantInventory(resources, PARTS)
        self._tenants = tenants.build(resources, _steps(), inventory.contents)
        self._invitations = invitations.build(resources)
        self._entitlements = entitlements.build(resources, pooled, changes.watch)
        self._allowances = allowances.build(resources, StoredReservations(resources.doors))
        proofs = domain_proofs.build(resources)
        self.all: tuple[Capability, ...] = (
            *_catalog(resources),
            self._tenants,
            *_proven_names(proofs, self._tenants),
            balances.build(),
            branding.build(resources, self.directory),
            self._invitations,
            changes,
            self._entitlements,
            overrides.build(resources),
            grants.build(resources),
            checks.build(resources, self._entitlements.entitlements),
            self._allowances,
            allocations.build(resources, self._allowances.ledger),
            gauges.build(resources),
            operations.build(resources, {**plan_changes.OPERATIONS, **bulk.OPERATIONS, **purges.OPERATIONS}),
            setup_links.build(resources, proofs),
            plan_changes.build(resources, pooled),
            quota_retention.build(resources),
            *_whole_tenants(resources, self._tenants, inventory),
        )

    @property
    def directory(self) -> TenantDirectory:
        """The directory of tenants, for the service's own chain too, which starts it."""
        return self._tenants.directory

    @property
    def entitlement_source(self) -> EntitlementSource:
        """The entitlements, for the service's own chain."""
        return self._entitlements.source

    @property
    def invitations_waiting(self) -> int:
        """The number of invitations that wait for delivery, as it was counted last."""
        return self._invitations.requests.waiting

    @property
    def ledger(self) -> QuotaLedger:
        """The ledger of allowances, for the service's own chain."""
        return self._allowances.port


def _catalog(resources: TenantResources) -> tuple[Capability, ...]:
    return features.build(resources, plan_ids), plans.build(resources)


def _proven_names(proofs: domain_proofs.ProofParts, built: tenants.TenantsCapability) -> tuple[Capability, ...]:
    return proofs, login_hosts.build(proofs, built.directory.forget), email_domains.build(proofs)


def _whole_tenants(
    resources: TenantResources, built: tenants.TenantsCapability, inventory: purges.TenantInventory
) -> tuple[Capability, ...]:
    return bulk.build(resources, built), purges.build(resources, inventory)


def _steps() -> tenants.TenantSteps:
    """Return the steps of all parts of a tenant."""
    return tenants.TenantSteps(
        created=_all_of(part.created for part in PARTS),
        deleted=_all_of(part.deleted for part in PARTS),
        undeleted=_all_of(part.undeleted for part in PARTS),
        invitations=StoredInvitations(),
    )


def _all_of(steps: Iterable[_Step[_Subject] | None]) -> _Step[_Subject]:
    """Return one step that runs each of them, in their order."""
    present = [step for step in steps if step is not None]

    async def run(connection: Connection, subject: _Subject, actor: str) -> None:
        for step in present:
            await step(connection, subject, actor)

    return run
