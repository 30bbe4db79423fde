"""The doors to a service's database. While it is away, or a tenant asks too much of it, they raise a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.chassis.refusals import database_busy
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import no_such_tenant
from tenantmesh.runtime import database

__all__ = ["Doors", "Outage"]


@dataclass(frozen=True, slots=True)
class Outage:
    """The answer to callers while the database is away: a reason of the contract, and what to do."""

    reason: str
    message: str

    def error(self) -> Unavailable:
        """Return the answer as an error."""
        return Unavailable(self.reason, self.message, retry_after=timedelta(seconds=1))


class Doors(database.DatabaseDoors):
    """The `DatabaseDoors` of a service. Every method raises the outage's Unavailable while the database is away,
    ResourceExhausted `DATABASE_BUSY` while the share of the tenant, or of the reason, is in use, and NotFound for a
    tenant that was purged meanwhile."""

    def __init__(self, opened: database.Database, outage: Outage) -> None:
        super().__init__(opened, outage.error, database_busy, no_such_tenant)
