"""Roles of users, and the permissions that they give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from tenantmesh.interceptors.caller import Caller, CallerKind

__all__ = ["DEFAULT_ROLES", "Roles", "holds", "permits"]

Roles: TypeAlias = Mapping[str, frozenset[str]]
"""The permissions of each role, by name; `*` is every permission that a user can have."""

DEFAULT_ROLES: Roles = MappingProxyType(
    {
        "owner": frozenset({"*"}),
        "admin": frozenset(
            {
                *("tenants.read", "tenants.update", "entitlements.read", "operations.read"),
                *("users.read", "users.write"),
                *("branding.read", "branding.write", "setup_links.read", "setup_links.create"),
                *("login_hosts.read", "login_hosts.write", "email_domains.read", "email_domains.write"),
            }
        ),
        "member": frozenset({"tenants.read", "entitlements.read", "operations.read"}),
    }
)


def permits(granted: frozenset[str], permission: str) -> bool:
    """Return whether the grants contain the permission, by name or by `*`."""
    return permission in granted or "*" in granted


def holds(caller: Caller, permission: str, roles: Roles = DEFAULT_ROLES) -> bool:
    """Return whether the caller has the permission: a user by its roles, anybody else by its credential."""
    if caller.kind is not CallerKind.USER:
        return permits(caller.permissions, permission)
    return any(permits(roles.get(role, frozenset()), permission) for role in caller.roles)
