"""Changes of entitlements: entries of a tenant's history, and events of the log that watches follow."""

from __future__ import annotations

import uuid
from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.features.state import naming_only

__all__ = ["ChangeType", "EntitlementEvent", "HistoryPlace", "NewChange"]

_NOBODY = uuid.UUID(int=0)


class ChangeType(Enum):
    """The types of changes. CATALOG_CHANGED concerns every tenant. SNAPSHOT is never stored: it is a tenant's state
    when a stream began."""

    SNAPSHOT = "SNAPSHOT"
    PLAN_CHANGED = "PLAN_CHANGED"
    OVERRIDE_SET = "OVERRIDE_SET"
    OVERRIDE_CLEARED = "OVERRIDE_CLEARED"
    GRANT_CREATED = "GRANT_CREATED"
    GRANT_VOIDED = "GRANT_VOIDED"
    LIMIT_CROSSED = "LIMIT_CROSSED"
    TENANT_DELETED = "TENANT_DELETED"
    TENANT_UNDELETED = "TENANT_UNDELETED"
    CATALOG_CHANGED = "CATALOG_CHANGED"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChange:
    """A change of one tenant's entitlements, before it is stored.

    feature: its id; empty for changes of plans.
    actor: the credential that made the change.
    before, after: the states as text.
    """

    type: ChangeType
    actor: str
    feature: str = ""
    reason: str = ""
    before: str = ""
    after: str = ""


class HistoryPlace(NamedTuple):
    """A place in the history of one tenant: how many changes of its own, and of the catalog, there are up to it."""

    own: int
    catalog: int

    @property
    def revision(self) -> int:
        """The revision of the tenant's entitlements at this place. It orders the tenant's history."""
        return self.own + self.catalog


@dataclass(frozen=True, slots=True)
class EntitlementEvent:
    """A stored change, of one tenant's entitlements or (tenant_id None) of the catalog. The fields are NewChange's.

    position: its place in the log of all tenants.
    plan_id, plan_version: the tenant's plan after the change; empty and 0 for changes of the catalog.
    place: its place in one tenant's history, where the event was read for that tenant.
    """

    position: int
    type: ChangeType
    tenant_id: TenantId | None
    create_time: datetime
    feature: str = ""
    actor: str = ""
    reason: str = ""
    before: str = ""
    after: str = ""
    plan_id: str = ""
    plan_version: int = 0
    place: HistoryPlace | None = None

    def naming_only(self, plans: Container[str]) -> EntitlementEvent:
        """Return the event for a reader who may see the names of these plans only. A tenant's own changes are
        unaffected."""
        if self.type is not ChangeType.CATALOG_CHANGED:
            return self
        return replace(self, before=naming_only(plans, self.before), after=naming_only(plans, self.after))

    @property
    def subject(self) -> uuid.UUID:
        """The tenant's id; the nil UUID for the catalog, which concerns every tenant."""
        return self.tenant_id or _NOBODY
