"""Rows of tenants: their columns, and the tenant in a row of `tenants` or of `tenant_events`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, literal, or_

from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Record
from tenantmesh.tenant_svc.tenants.profile import Contact, Profile
from tenantmesh.tenant_svc.tenants.tables import tenant_slugs, tenants
from tenantmesh.tenant_svc.tenants.tenant import Deletion, FormerSlug, Suspension, Tenant

__all__ = [
    "EXISTS",
    "FIELDS",
    "LEADS",
    "ROW",
    "THIS_TENANT",
    "former_slug_values",
    "maybe_tenant",
    "profile_values",
    "tenant_of",
]

FIELDS = (
    *("slug", "display_name", "plan_id", "plan_version", "state", "create_time", "update_time", "version"),
    *("suspend_reason", "suspend_actor", "suspend_time"),
    *("labels", "region", "external_id", "time_zone", "locale", "currency", "contacts", "parent_id"),
    *("delete_protection", "former_slugs", "login_hosts", "primary_login_host"),
    *("delete_reason", "delete_actor", "delete_time", "purge_time"),
)
"""The columns of a tenant, which its events have too."""
ROW = (tenants.c.tenant_id, *(tenants.c[name] for name in FIELDS))
THIS_TENANT = tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type)
EXISTS: ColumnElement[bool] = tenants.c.state != literal("DELETED")
LEADS: ColumnElement[bool] = or_(
    tenant_slugs.c.resolve_until.is_(None), tenant_slugs.c.resolve_until > func.statement_timestamp()
)
"""A slug leads to its tenant: the current one, or a former one in its time."""


def tenant_of(row: Record) -> Tenant:
    """Return the tenant in a row of either table."""
    suspended = row["state"] == TenantState.SUSPENDED.value and row["suspend_time"] is not None
    return Tenant(
        TenantId(row["tenant_id"]),
        row["slug"],
        row["display_name"],
        row["plan_id"],
        row["plan_version"],
        TenantState(row["state"]),
        row["create_time"],
        row["update_time"],
        row["version"],
        Suspension(row["suspend_reason"], row["suspend_actor"], row["suspend_time"]) if suspended else None,
        _profile_of(row),
        _deletion_of(row),
        tuple(FormerSlug(each["slug"], datetime.fromisoformat(each["until"])) for each in _json(row["former_slugs"])),
        tuple(row["login_hosts"]),
        row["primary_login_host"],
    )


def _profile_of(row: Record) -> Profile:
    return Profile(
        labels=_json(row["labels"]),
        region=row["region"],
        external_id=row["external_id"] or "",
        time_zone=row["time_zone"],
        locale=row["locale"],
        currency=row["currency"],
        contacts=tuple(map(Contact.from_json, _json(row["contacts"]))),
        parent_id=None if row["parent_id"] is None else TenantId(row["parent_id"]),
        delete_protection=row["delete_protection"],
    )


def _deletion_of(row: Record) -> Deletion | None:
    if row["state"] != TenantState.DELETED.value or row["delete_time"] is None:
        return None
    return Deletion(row["delete_reason"], row["delete_actor"], row["delete_time"], row["purge_time"])


def _json(text: str) -> Any:
    # Nearly every tenant has none: reading thousands of them would spend most of its time here.
    return _EMPTY[text] if text in _EMPTY else json.loads(text)


_EMPTY: dict[str, Any] = {"{}": {}, "[]": ()}


def profile_values(profile: Profile) -> dict[str, Any]:
    """Return the columns of a profile, as parameters."""
    return {
        "new_labels": dict(profile.labels),
        "new_region": profile.region,
        "new_external_id": profile.external_id or None,
        "new_time_zone": profile.time_zone,
        "new_locale": profile.locale,
        "new_currency": profile.currency,
        "new_contacts": [contact.to_json() for contact in profile.contacts],
        "new_parent_id": profile.parent_id,
        "new_delete_protection": profile.delete_protection,
    }


def former_slug_values(slugs: tuple[FormerSlug, ...]) -> list[dict[str, str]]:
    """Return the former slugs as they are stored."""
    return [{"slug": former.slug, "until": former.until.isoformat()} for former in slugs]


def maybe_tenant(row: Record | None) -> Tenant | None:
    """Return the tenant in a row that may be missing."""
    return None if row is None else tenant_of(row)
