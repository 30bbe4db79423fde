"""A capability of a service. Its `wiring.py` builds it; the `capabilities.py` of the service lists it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client.metrics_core import Metric
from sqlalchemy import Table

from tenantmesh.chassis.background import Background
from tenantmesh.chassis.event_log.follower import Follower
from tenantmesh.chassis.jobs.queue import JobHandler
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.health import Check

__all__ = ["Capability", "TenantPart", "jobs_of"]

Step = Callable[[Connection, Any, str], Awaitable[None]]
"""A step of the transaction that deletes or restores a tenant. It gets the tenant after it, and the credential that
asked for it."""
CreatedStep = Callable[[Connection, Sequence[Any], str], Awaitable[None]]
"""A step of the transaction that creates tenants. It gets the new tenants, and the credential that asked for them. For
one tenant the transaction is that of its door; for several it is the system door's, where a table that a step writes
needs a grant of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPart:
    """A capability's part of each tenant, so that a tenant is created, exported, imported and purged as a whole.

    tables: its tenant-owned tables, parents before children: imported in this order, purged in reverse.
    exported: those of them that an export contains. not_exported: those that it leaves out, by name, each with the
    reason; an import does not expect them. Every table has one of the two rules, which a test demands.
    created, deleted, undeleted: its steps of the transactions that create a tenant, delete it, and bring it back.
    """

    tables: Sequence[Table]
    exported: Sequence[Table] = ()
    not_exported: Mapping[str, str] = field(default_factory=dict)
    created: CreatedStep | None = None
    deleted: Step | None = None
    undeleted: Step | None = None


@dataclass(frozen=True, kw_only=True)
class Capability:
    """A capability of a service. A process reads the fields that it needs: a server serves calls, a worker runs jobs.

    servicers: by proto service, the servicer of the methods that this capability answers.
    checks: the health checks that its methods depend on.
    background: the loops and connections beside the calls of a server: started in this order, closed in reverse.
    jobs: by kind of job, the handler.
    followers: its consumers of event logs. Workers run them.
    beside_jobs: the loops and connections beside the jobs of a worker: started in this order, closed in reverse.
    metrics: of its jobs; each is collected at every scrape of a worker.
    part: its part of each tenant.
    """

    name: str
    servicers: Mapping[ServiceDescriptor, object] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    background: Sequence[Background] = ()
    jobs: Mapping[str, JobHandler] = field(default_factory=dict)
    followers: Sequence[Follower[Any]] = ()
    beside_jobs: Sequence[Background] = ()
    metrics: Sequence[Callable[[], Iterable[Metric]]] = ()
    part: TenantPart | None = None


def jobs_of(capabilities: Iterable[Capability]) -> dict[str, JobHandler]:
    """Return the handler of every kind of job. Raises ValueError for a kind with two handlers."""
    handlers: dict[str, JobHandler] = {}
    for capability in capabilities:
        for kind, handler in capability.jobs.items():
            if kind in handlers:
                raise ValueError(f"two capabilities handle jobs of the kind {kind}; the second is {capability.name}")
            handlers[kind] = handler
    return handlers
