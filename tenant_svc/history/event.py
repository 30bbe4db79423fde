"""What happened to entitlements: an entry of a tenant's history, and an event of the log that watches follow."""

from __future__ import annotations

import uuid
from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.features.state import naming_only

__all__ = ["ChangeType", "EntitlementEvent"]

_NOBODY = uuid.UUID(int=0)


class ChangeType(Enum):
    """What happened. SNAPSHOT is never stored: it is a tenant as it was when a stream began. CATALOG_CHANGED concerns
    every tenant."""

    SNAPSHOT = "SNAPSHOT"
    PLAN_CHANGED = "PLAN_CHANGED"
    OVERRIDE_SET = "OVERRIDE_SET"
    OVERRIDE_CLEARED = "OVERRIDE_CLEARED"
    GRANT_CREATED = "GRANT_CREATED"
    GRANT_VOIDED = "GRANT_VOIDED"
    LIMIT_CROSSED = "LIMIT_CROSSED"
    CATALOG_CHANGED = "CATALOG_CHANGED"


@dataclass(frozen=True, slots=True)
class EntitlementEvent:
    """Something that happened, to one tenant or (None) to the catalog.

    feature: its id; empty for changes of plans. actor: the credential that did it. before, after: the states as text.
    plan_id, plan_version: what the tenant is on after it; empty and 0 for changes of the catalog.
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

    def naming_only(self, plans: Container[str]) -> EntitlementEvent:
        """What happened, naming no other plans. What is told of a tenant itself names its own only."""
        if self.type is not ChangeType.CATALOG_CHANGED:
            return self
        return replace(self, before=naming_only(plans, self.before), after=naming_only(plans, self.after))

    def for_users(self) -> EntitlementEvent:
        """What happened, without why and by whose credential."""
        return replace(self, actor="", reason="")

    @property
    def subject(self) -> uuid.UUID:
        """The tenant's id; the nil UUID where every tenant is meant."""
        return self.tenant_id or _NOBODY
