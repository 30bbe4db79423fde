"""A kind of names with proofs: what login hosts and e-mail domains differ in, as their capabilities say it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tenantmesh.interceptors.errors import FailedPrecondition, NotFound
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id, parse_uuid
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.rows import ProofRows
from tenantmesh.tenant_svc.tenants.events import EventType

__all__ = ["NameKind", "no_further_rule", "unpublished"]

_PARTS = 4
"""The parts of a subject, such as tenants/<id>/login-hosts/<id>."""

Schedule = Callable[[Connection, str, datetime, int], Awaitable[None]]
"""Enqueues a check of the subject, to be made from that time on, with that priority."""


class ServedNames(Protocol):
    """Makes known which names work for a tenant."""

    async def __call__(self, connection: Connection, tenant_id: TenantId, /) -> None:
        """Must store what follows from the tenant's rows, in the transaction that has locked the tenant and changed
        them."""
        ...


def no_further_rule(_name: str) -> str | None:
    """Return None: the rules of all names are those of this kind."""
    return None


async def unpublished(_connection: Connection, _tenant_id: TenantId) -> None:
    """Store nothing: readers of these names read their rows."""


@dataclass(frozen=True, kw_only=True)
class NameKind:
    """A kind of names.

    noun: its name in sentences and logs, as `login host`.
    field: the name's field in a request.
    path: its part in the subjects of jobs, as `login-hosts`.
    event: the type of the tenant's events that tell of changes of its proofs.
    problem: returns the rule that a name of this kind alone breaks, or None.
    by_http: whether a page proves a name too.
    schedule: enqueues a check. publish: see ServedNames.
    not_found, full: the refusals of a name that is missing, and of one too many.
    """

    noun: str
    field: str
    path: str
    event: EventType
    problem: Callable[[str], str | None]
    by_http: bool
    rows: ProofRows
    schedule: Schedule
    publish: ServedNames
    not_found: Callable[[], NotFound]
    full: Callable[[int], FailedPrecondition]

    def subject(self, tenant_id: TenantId, proof_id: uuid.UUID) -> str:
        """Return the name of a proof as the subject of jobs."""
        return f"tenants/{tenant_id}/{self.path}/{proof_id}"

    def parse_subject(self, subject: str) -> tuple[TenantId, uuid.UUID]:
        """Return the tenant and the proof that `subject` has named. Raises ValueError."""
        parts = subject.split("/")
        tenant_id, proof_id = (
            (parse_tenant_id(parts[1]), parse_uuid(parts[3])) if len(parts) == _PARTS else (None, None)
        )
        if tenant_id is None or proof_id is None or subject != self.subject(tenant_id, proof_id):
            raise ValueError(f"{subject!r} names no {self.noun}")
        return tenant_id, proof_id
