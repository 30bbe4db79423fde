"""The capabilities of auth_svc, in the order in which each may use those before it."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmesh.auth_svc.accounts import wiring as accounts
from tenantmesh.auth_svc.api_keys import wiring as api_keys
from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.gauges import wiring as gauges
from tenantmesh.auth_svc.passwords import wiring as passwords
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.sessions import wiring as sessions
from tenantmesh.auth_svc.tenant_data import wiring as tenant_data
from tenantmesh.auth_svc.tokens import wiring as tokens
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.signing.key_ring import KeyRing

__all__ = ["CAPABILITIES", "PARTS", "AuthCapabilities"]

CAPABILITIES: Mapping[str, str] = {
    "api_keys": "the credentials of operators and services; they need nothing else",
    "passwords": "rules and hashing; they know no user",
    "gauges": "the number of users, reported to tenant_svc",
    "accounts": "the users; they raise the gauge and have passwords",
    "tokens": "keys, discovery and introspection, which asks sessions and system keys through ports",
    "sessions": "a user exchanges a proof for one; they need access tokens to hand out",
    "tenant_data": "it counts and destroys the rows of every other capability",
}
"""Each capability, with the reason for its place. Starting follows this order, closing the reverse."""

PARTS: tuple[TenantPart, ...] = (gauges.PART, accounts.PART, sessions.PART)
"""The parts of a tenant, parents before children: created and imported in this order, purged in reverse."""


class AuthCapabilities:
    """Each capability, built once from the resources of its process."""

    def __init__(self, resources: AuthResources) -> None:
        self.signing_keys: KeyRing = tokens.key_ring(resources)
        secrets = passwords.build(resources)
        system, levels = api_keys.build(resources), gauges.build(resources)
        self.system_keys: SystemKeys = system.keys
        signed_in = sessions.build(resources, secrets.hashing, tokens.access_tokens(resources, self.signing_keys))
        self.all: tuple[Capability, ...] = (
            system,
            secrets,
            levels,
            accounts.build(resources, secrets, levels.level_changed),
            tokens.build(resources, self.signing_keys, system.keys, signed_in.sessions),
            signed_in,
            tenant_data.build(resources, PARTS),
        )
