"""One tenant: its fields, and the rules of those that name it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2s, sha256
from typing import Any

from tenantmesh.chassis.emails import email_problem
from tenantmesh.chassis.requests import id_problem, name_problem, reason_problem, refuse
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, TenantState
from tenantmesh.tenant_svc.tenants.profile import Profile, profile_problems
from tenantmesh.tenant_svc.tenants.slugs import slug_problem

__all__ = ["Deletion", "FormerSlug", "NewTenant", "Suspension", "Tenant", "checked_reason", "display_name_problem"]

_MAX_DISPLAY_NAME = 200
_FIRST_DEFAULT = "basic"
"""The plan that an empty one stands for in digests, as before the default plan was a setting."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """The reason for a suspension, the credential that ordered it (empty where it was not kept), and its time."""

    reason: str
    actor: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """The reason for a deletion, its actor and its time, and when the tenant's data is destroyed."""

    reason: str
    actor: str
    time: datetime
    purge_time: datetime


@dataclass(frozen=True, slots=True)
class FormerSlug:
    """An earlier slug, and until when it leads to the tenant."""

    slug: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it is stored. `plan_version` is the one it pins; `version` counts its changes from 1.

    suspension: set while it is suspended, except in the results of operations.
    deletion: set while it is deleted.
    former_slugs: earlier slugs that still led to it when it last changed.
    login_hosts: the verified hosts where it is served; `primary_login_host` is one of them, or empty.
    """

    id: TenantId
    slug: str
    display_name: str
    plan_id: str
    plan_version: int
    state: TenantState
    create_time: datetime
    update_time: datetime
    version: int
    suspension: Suspension | None = None
    profile: Profile = field(default_factory=Profile)
    deletion: Deletion | None = None
    former_slugs: tuple[FormerSlug, ...] = ()
    login_hosts: tuple[str, ...] = ()
    primary_login_host: str = ""

    @property
    def etag(self) -> str:
        """The identifier of this version of this tenant. Another tenant's etag never equals it."""
        return blake2s(self.id.bytes + self.version.to_bytes(8), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the tenant's fields for an operation's result: without its id, and without operators' notes."""
        return {
            "slug": self.slug,
            "display_name": self.display_name,
            "plan_id": self.plan_id,
            "plan_version": self.plan_version,
            "state": self.state.value,
            "create_time": self.create_time.isoformat(),
            "update_time": self.update_time.isoformat(),
            "version": self.version,
            "profile": self.profile.to_json(),
            "login_hosts": list(self.login_hosts),
            "primary_login_host": self.primary_login_host,
        }

    @classmethod
    def from_json(cls, tenant_id: TenantId, stored: Mapping[str, Any]) -> Tenant:
        """Return the tenant that `to_json` wrote."""
        times = {name: datetime.fromisoformat(stored[name]) for name in ("create_time", "update_time")}
        added = {
            "profile": Profile.from_json(stored["profile"]) if "profile" in stored else Profile(),
            "login_hosts": tuple(stored.get("login_hosts", ())),
        }
        return cls(id=tenant_id, **{**stored, **times, **added, "state": TenantState(stored["state"])})

    @property
    def record(self) -> TenantRecord:
        """The tenant as the chain sees it."""
        names = frozenset((*(former.slug for former in self.former_slugs), *self.login_hosts))
        return TenantRecord(self.id, self.slug, self.state, self.plan_id, names)


@dataclass(frozen=True, slots=True)
class NewTenant:
    """The fields of a tenant that does not exist yet. Without a plan it gets the default one."""

    slug: str
    display_name: str
    plan_id: str
    profile: Profile = field(default_factory=Profile)
    first_administrator_email: str = ""

    @classmethod
    def checked(
        cls,
        *,
        slug: str,
        display_name: str,
        plan_id: str,
        profile: Profile | None = None,
        first_administrator_email: str = "",
    ) -> NewTenant:
        """Fill in the defaults and check the rules that need no database. Raises InvalidArgument that names every field
        at fault.

        Creating the tenant checks whether plan, parent and region exist.
        """
        email = first_administrator_email
        draft = cls(slug, display_name or slug, plan_id, profile or Profile(), email)
        refuse(
            {
                "slug": slug_problem(slug),
                "display_name": display_name_problem(display_name) if display_name else None,
                "plan_id": id_problem(plan_id) if plan_id else None,
                "first_administrator_email": email_problem(email) if email else None,
                **profile_problems(draft.profile),
            }
        )
        return draft

    @property
    def digest(self) -> bytes:
        """The digest of the fields. It tells a repeated request from a different one with the same id."""
        fields: list[Any] = [self.slug, self.display_name, self.plan_id or _FIRST_DEFAULT]
        if self.profile != Profile():  # else the digest is that of before there were profiles
            fields.append(self.profile.to_json())
        if self.first_administrator_email:
            fields.append({"first_administrator_email": self.first_administrator_email})
        return sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def display_name_problem(text: str) -> str | None:
    """Return the rule that the name for people breaks, or None."""
    return name_problem(text, _MAX_DISPLAY_NAME)


def checked_reason(reason: str) -> str:
    """Return the reason for a suspension. Raises InvalidArgument unless it is one line of 1 to 500 characters, not
    blank."""
    refuse({"reason": reason_problem(reason, may_be_empty=False)})
    return reason
