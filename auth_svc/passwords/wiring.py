"""The wiring of passwords: their rules, and hashing in threads of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth_svc.passwords.hashing import Hashing, default_hasher
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.lifecycle import Part

__all__ = ["PasswordsCapability", "build"]


@dataclass(frozen=True, kw_only=True)
class PasswordsCapability(Capability):
    """`rules` say which passwords are accepted; `hashing` hashes and verifies them."""

    rules: PasswordRules
    hashing: Hashing


def build(resources: AuthResources) -> PasswordsCapability:
    """Build the capability."""
    given = resources.settings.hashing
    hashing = Hashing(default_hasher(), places=given.places, tenant_places=given.tenant_places)
    resources.telemetry.counters("tenantmesh_hashing_turns", hashing.counts)
    resources.telemetry.gauge("tenantmesh_hashing_waiting", "Callers who wait to hash.", lambda: hashing.waiting)
    return PasswordsCapability(
        name="passwords", background=[Part(close=hashing.close)], rules=PasswordRules.load(), hashing=hashing
    )
