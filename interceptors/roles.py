"""Roles of users, and the permissions that they give."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

__all__ = ["DEFAULT_ROLES", "Roles", "permits"]

Roles: TypeAlias = Mapping[str, frozenset[str]]
"""The permissions of each role, by name; `*` is every permission that a user can have."""

DEFAULT_ROLES: Roles = MappingProxyType(
    {
        "owner": frozenset({"*"}),
        "admin": frozenset(
            {
                *("tenants.read", "tenants.update", "entitlements.read", "operations.read"),
                *("users.read", "users.write"),
            }
        ),
        "member": frozenset({"tenants.read", "entitlements.read", "operations.read"}),
    }
)


def permits(granted: frozenset[str], permission: str) -> bool:
    """Return whether the grants contain the permission, by name or by `*`."""
    return permission in granted or "*" in granted
