"""What a capability brings to its service. Its `wiring.py` builds it; `capabilities.py` lists them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from sqlalchemy import Table

from tenantmesh.chassis.background import Background
from tenantmesh.chassis.event_log.follower import Follower
from tenantmesh.chassis.jobs.queue import Handler
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.health import Check

__all__ = ["Capability", "Created", "TenantPart", "jobs_of"]

Created = Callable[[Connection, Any, str], Awaitable[None]]
"""Works in the transaction that creates a tenant: with the new tenant, and the credential that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPart:
    """What a capability keeps of a tenant, so that a tenant is created, exported, imported and purged as a whole.

    tables: its tenant-owned tables, parents before children: imported in this order, purged in reverse.
    not_exported: the names of those that an export leaves out, each with the reason. An import does not expect them.
    created: what it does when a tenant is created.
    """

    tables: Sequence[Table]
    not_exported: Mapping[str, str] = field(default_factory=dict)
    created: Created | None = None


@dataclass(frozen=True, kw_only=True)
class Capability:
    """What a capability brings. A process reads the fields that it needs: a server does not run jobs, a worker serves
    no calls.

    servicers: by service, the part of it that this capability answers.
    checks: what its services can't serve without.
    background: what runs beside the calls of a server: started in this order, closed in reverse.
    jobs: the handlers of its kinds of job.
    followers: its consumers of event logs. Workers run them.
    part: what it keeps of a tenant.
    """

    name: str
    servicers: Mapping[ServiceDescriptor, object] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    background: Sequence[Background] = ()
    jobs: Mapping[str, Handler] = field(default_factory=dict)
    followers: Sequence[Follower[Any]] = ()
    part: TenantPart | None = None


def jobs_of(capabilities: Iterable[Capability]) -> dict[str, Handler]:
    """Return the handler of every kind of job. Raises ValueError for a kind with two handlers."""
    handlers: dict[str, Handler] = {}
    for capability in capabilities:
        for kind, handler in capability.jobs.items():
            if kind in handlers:
                raise ValueError(f"two capabilities handle jobs of the kind {kind}; the second is {capability.name}")
            handlers[kind] = handler
    return handlers
