"""Maps keys and callers to the messages of TokenService."""

from __future__ import annotations

from datetime import UTC, datetime

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.auth_svc.tokens.tokens import Discovery
from tenantmesh.chassis.signing.signing_key import SigningKey
from tenantmesh.interceptors import base64url
from tenantmesh.interceptors.caller import Caller, CallerKind, UsageScope
from tenantmesh.interceptors.tokens import ALGORITHM
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["discovery_document", "introspection", "jwk"]

NO_RESPONSE_TYPE = ["none"]
"""The list is required and must not be empty. `none` is the registered type of a response without tokens."""

_AUDIENCES = {
    CallerKind.USER: policy_pb2.AUDIENCE_USER,
    CallerKind.SERVICE: policy_pb2.AUDIENCE_SERVICE,
    CallerKind.OPERATOR: policy_pb2.AUDIENCE_OPERATOR,
}


def jwk(key: SigningKey) -> pb.Jwk:
    """Return the public part of a key (RFC 8037)."""
    return pb.Jwk(kty="OKP", crv="Ed25519", x=base64url.encode(key.public), kid=key.kid, alg=ALGORITHM, use="sig")


def discovery_document(discovery: Discovery) -> pb.GetDiscoveryResponse:
    """Return the discovery document."""
    return pb.GetDiscoveryResponse(
        issuer=discovery.issuer,
        jwks_uri=discovery.jwks_uri,
        response_types_supported=NO_RESPONSE_TYPE,
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=[ALGORITHM],
    )


def introspection(caller: Caller | None) -> pb.IntrospectTokenResponse:
    """Return the caller of a valid credential. For an invalid one `active` is false and every other field is empty."""
    if caller is None:
        return pb.IntrospectTokenResponse(active=False)
    answer = pb.IntrospectTokenResponse(
        active=True,
        audience=_AUDIENCES[caller.kind],
        sub=caller.subject,
        tenant_id=str(caller.tenant_id) if caller.tenant_id else "",
        roles=caller.roles,
        permissions=sorted(caller.permissions),
        credential_id=caller.credential_id,
        usage=None if caller.kind is CallerKind.USER else _usage(caller.usage),
    )
    if caller.expires_at is not None:
        answer.expire_time.FromDatetime(datetime.fromtimestamp(caller.expires_at, UTC))
    return answer


def _usage(usage: UsageScope) -> pb.UsageScope:
    return pb.UsageScope(meters=sorted(usage.meters), gauges=sorted(usage.gauges))
