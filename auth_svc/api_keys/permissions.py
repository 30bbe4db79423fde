"""The permissions that exist: those of the contract's policies. Services of others in the mesh may have more."""

from __future__ import annotations

import difflib

from tenantmesh.chassis.contract import CONTRACT
from tenantmesh.interceptors.policy import policies_of

__all__ = ["CATALOGUE", "misspelt"]

CATALOGUE = frozenset(policy.permission for policy in policies_of(CONTRACT).values() if policy.permission)
"""Every permission that a method of ours asks for."""
_OURS = frozenset(permission.partition(".")[0] for permission in CATALOGUE)
_ALIKE = 0.8


def misspelt(permission: str) -> str | None:
    """Return a phrase about a permission that no service has, or None.

    A name outside of our families (`tenants.…`) is another service's, unless it is nearly one of ours.
    """
    if permission == "*" or permission in CATALOGUE:
        return None
    of_ours = permission.partition(".")[0] in _OURS
    near = difflib.get_close_matches(permission, sorted(CATALOGUE), 1, 0.0 if of_ours else _ALIKE)
    return f"{permission} does not exist; did you mean {near[0]}?" if near else None
