"""The wiring of access tokens: the keys that sign them, their issue, and introspection."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.auth.v1 import token_service_pb2
from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.tokens.servicer import TokenServicer
from tenantmesh.auth_svc.tokens.tables import signing_keys
from tenantmesh.auth_svc.tokens.tokens import LIFETIME, AccessTokens, Discovery, Introspection, LiveSessions
from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule
from tenantmesh.interceptors.tokens import JwtVerifier

__all__ = ["access_tokens", "build", "key_ring"]

_SERVICE = token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]


@dataclass(frozen=True, kw_only=True)
class TokensCapability(Capability):
    """`keys` are the signing keys, also the key set of the service's own chain."""

    keys: KeyRing


def key_ring(resources: AuthResources) -> KeyRing:
    """Make the signing keys, before `build`: sessions need them, and introspection needs sessions."""
    tokens = resources.settings.tokens
    schedule = KeySchedule(tokens.sign_for, tokens.publish_before, valid_for=LIFETIME)
    return KeyRing(resources.doors, SigningKeyRows(signing_keys), resources.kek, schedule, "CREDENTIALS_UNVERIFIABLE")


def access_tokens(resources: AuthResources, keys: KeyRing) -> AccessTokens:
    """Make the use case that issues access tokens."""
    tokens = resources.settings.tokens
    return AccessTokens(tokens.issuer, tokens.audience, tokens.client_id, keys)


def build(resources: AuthResources, keys: KeyRing, system_keys: SystemKeys, sessions: LiveSessions) -> TokensCapability:
    """Build the capability. `sessions` say whether the session of a token still lives."""
    tokens = resources.settings.tokens
    introspection = Introspection(JwtVerifier(tokens.issuer, tokens.audience, keys), system_keys, sessions)
    return TokensCapability(
        name="tokens",
        servicers={_SERVICE: TokenServicer(keys, Discovery(tokens.issuer), introspection, system_keys.holder)},
        background=[keys],
        keys=keys,
    )
