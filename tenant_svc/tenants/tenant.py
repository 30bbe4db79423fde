"""One tenant: its fields, and the rules that they keep."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s, sha256

from tenantmesh.chassis.texts import text_problem
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState, parse_tenant_id
from tenantmesh.tenant_svc.plans.rules import id_problem
from tenantmesh.tenant_svc.tenants.slugs import slug_problem

__all__ = ["DEFAULT_PLAN", "NewTenant", "RequestKey", "Tenant", "checked_reason"]

DEFAULT_PLAN = "basic"
"""The plan of a tenant for which none is named."""

_MAX_DISPLAY_NAME = 200
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it is stored. `plan_version` is the one it pins; `version` counts its changes from 1."""

    id: TenantId
    slug: str
    display_name: str
    plan_id: str
    plan_version: int
    state: TenantState
    create_time: datetime
    update_time: datetime
    version: int

    @property
    def etag(self) -> str:
        """Identifies this version of this tenant: another tenant's etag never fits."""
        return blake2s(self.id.bytes + self.version.to_bytes(8), digest_size=8).hexdigest()

    @property
    def record(self) -> TenantRecord:
        """What the mesh needs to know of it."""
        return TenantRecord(self.id, self.slug, self.state, self.plan_id)


@dataclass(frozen=True, slots=True)
class NewTenant:
    """The fields of a tenant that does not exist yet."""

    slug: str
    display_name: str
    plan_id: str

    @classmethod
    def checked(cls, *, slug: str, display_name: str, plan_id: str) -> NewTenant:
        """Fills in the defaults and checks the rules that need no database; whether there is such a plan is asked when
        the tenant is created. Raises InvalidArgument that names every field at fault."""
        draft = cls(slug, display_name or slug, plan_id or DEFAULT_PLAN)
        problems = {
            "slug": slug_problem(slug),
            "display_name": text_problem(display_name, _MAX_DISPLAY_NAME) if display_name else None,
            "plan_id": id_problem(draft.plan_id),
        }
        violations = [FieldViolation(field, problem) for field, problem in problems.items() if problem]
        if violations:
            raise InvalidArgument.fields(violations)
        return draft

    @property
    def digest(self) -> bytes:
        """The same for the same fields, so that a repeated request can be told from another with its id."""
        return sha256(json.dumps([self.slug, self.display_name, self.plan_id]).encode()).digest()


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a request repeatable: the id that its caller chose. Two callers' ids never meet."""

    requester: str
    request_id: uuid.UUID

    @classmethod
    def checked(cls, requester: str, request_id: str) -> RequestKey | None:
        """The key of the request, None when it has no id. Raises InvalidArgument unless the id is a UUID."""
        if not request_id:
            return None
        parsed = parse_tenant_id(request_id)  # the same canonical, non-nil form
        if parsed is None:
            raise InvalidArgument.fields([FieldViolation("request_id", "must be a UUID, and not the nil one")])
        return cls(requester, parsed)


def checked_reason(reason: str) -> str:
    """The reason for a suspension. Raises InvalidArgument unless it is 1 to 500 characters that say something."""
    problem = text_problem(reason, _MAX_REASON)
    if problem:
        raise InvalidArgument.fields([FieldViolation("reason", problem)])
    return reason
