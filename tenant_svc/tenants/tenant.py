"""One tenant: its fields, and the rules that they keep."""

from __future__ import annotations

import json
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s, sha256

from interceptors.errors import FieldViolation, InvalidArgument
from interceptors.tenants import TenantId, TenantRecord, TenantState, parse_tenant_id
from tenant_svc.tenants.slugs import slug_problem

__all__ = ["PLANS", "NewTenant", "RequestKey", "Tenant", "checked_reason"]

PLANS = ("basic", "premium", "enterprise", "custom")
"""The plans a tenant may be on."""

_MAX_DISPLAY_NAME = 200
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it is stored. `version` counts its changes from 1."""

    id: TenantId
    slug: str
    display_name: str
    plan_id: str
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
        """Fills in the defaults and checks the rules. Raises InvalidArgument that names every field at fault."""
        draft = cls(slug, display_name or slug, plan_id or PLANS[0])
        problems = {
            "slug": slug_problem(slug),
            "display_name": _text_problem(display_name, _MAX_DISPLAY_NAME) if display_name else None,
            "plan_id": None if draft.plan_id in PLANS else f"must be one of {', '.join(PLANS)}",
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
    problem = _text_problem(reason, _MAX_REASON)
    if problem:
        raise InvalidArgument.fields([FieldViolation("reason", problem)])
    return reason


def _text_problem(text: str, longest: int) -> str | None:
    if not text.strip() or len(text) > longest:
        return f"must be 1 to {longest} characters and not only spaces"
    if any(unicodedata.category(each) in {"Cc", "Zl", "Zp"} for each in text):
        return "must be one line without control characters"
    return None
