"""The wiring of passwords: their rules, and hashing in threads of its own."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth_svc.passwords.hashing import Hashing, default_hasher
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.lifecycle import Part

__all__ = ["PasswordsCapability", "build"]


@dataclass(frozen=True, kw_only=True)
class PasswordsCapability(Capability):
    """`rules` say which passwords are accepted; `hashing` hashes and verifies them."""

    rules: PasswordRules
    hashing: Hashing


def build() -> PasswordsCapability:
    """Build the capability."""
    hashing = Hashing(default_hasher())
    return PasswordsCapability(
        name="passwords", background=[Part(close=hashing.close)], rules=PasswordRules.load(), hashing=hashing
    )
