"""The wiring of system keys. The chain of auth_svc and introspection verify them."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.chassis.capability import Capability

__all__ = ["build"]


@dataclass(frozen=True, kw_only=True)
class ApiKeysCapability(Capability):
    """`keys` are the use cases."""

    keys: SystemKeys


def build(resources: AuthResources) -> ApiKeysCapability:
    """Build the capability."""
    return ApiKeysCapability(name="api_keys", keys=SystemKeys(resources.doors))
