"""The port of the steps that links are for. The capabilities that own the resources of a step bring the adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.setup_links.setup_link import SetupIntent

__all__ = ["SetupStep", "SetupSteps", "StepResult"]


@dataclass(frozen=True, slots=True)
class StepResult:
    """The name that a step has added, as it was stored, and how its owner proves it."""

    name: str
    dns_name: str = ""
    dns_value: str = ""
    http_url: str = ""


class SetupStep(Protocol):
    """One step of a tenant's set-up."""

    @property
    def permission(self) -> str:
        """The permission that a user needs to do the step, and so to let others do it."""
        ...

    async def run(self, connection: Connection, tenant_id: TenantId, name: str, actor: str) -> StepResult:
        """Must do the step in the tenant's transaction, recorded as the actor's, and raise a MeshError for a name that
        it refuses. The transaction is rolled back then."""
        ...


SetupSteps: TypeAlias = Mapping[SetupIntent, SetupStep]
