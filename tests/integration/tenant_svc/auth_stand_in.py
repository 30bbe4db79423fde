"""What tenant_svc asks of auth_svc, answered from a dictionary over real gRPC."""

from __future__ import annotations

import time
import uuid
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceServicer, add_TokenServiceServicer_to_server
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.interceptors.tokens import AccessClaims
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["AUDIENCE", "ISSUER", "AuthStandIn", "credential_of"]

ISSUER, AUDIENCE = "http://issuer.test", "tenantmesh-test"


def credential_of(key: str) -> str:
    """The id of a key that the stand-in has given out."""
    return str(uuid.UUID(key.removeprefix("tmk_")))


class AuthStandIn(TokenServiceServicer):
    """Knows the keys that tests give out; `seen` holds the credentials of those who asked."""

    def __init__(self) -> None:
        self._answers: dict[str, pb.IntrospectTokenResponse] = {}
        self._signing_key = Ed25519PrivateKey.generate()
        self.seen: set[str] = set()

    async def serve(self) -> tuple[grpc.aio.Server, str]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_TokenServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, f"127.0.0.1:{port}"

    def key(self, audience: policy_pb2.Audience.ValueType, *permissions: str, name: str = "somebody") -> str:
        """A new key. Keys of one name have one holder."""
        key = f"tmk_{uuid.uuid4().hex}"
        self._answers[key] = pb.IntrospectTokenResponse(
            active=True, audience=audience, sub=name, permissions=permissions, credential_id=credential_of(key)
        )
        return key

    def revoke(self, key: str) -> None:
        """The key is no key any more."""
        del self._answers[key]

    def narrow(self, key: str, *permissions: str) -> None:
        """The key has these permissions and no others."""
        del self._answers[key].permissions[:]
        self._answers[key].permissions.extend(permissions)

    def token(self, tenant_id: TenantId, role: str = "member") -> str:
        now = int(time.time())
        claims = AccessClaims(
            issuer=ISSUER,
            audience=AUDIENCE,
            subject=str(uuid.uuid4()),
            tenant_id=tenant_id,
            session_id=str(uuid.uuid4()),
            token_id=str(uuid.uuid4()),
            issued_at=now,
            expires_at=now + 300,
            roles=(role,),
        )
        return jwt.encode(claims.payload(), self._signing_key, "EdDSA", headers={"typ": "at+jwt", "kid": "test"})

    async def IntrospectToken(self, request: pb.IntrospectTokenRequest, context: Any) -> pb.IntrospectTokenResponse:
        self.seen.update(str(value) for name, value in context.invocation_metadata() if name == "authorization")
        asked = f"tmk_{uuid.UUID(request.key_id).hex}" if request.key_id else request.token
        return self._answers.get(asked, pb.IntrospectTokenResponse())

    async def GetJwks(self, request: pb.GetJwksRequest, context: Any) -> pb.GetJwksResponse:
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._signing_key.public_key(), as_dict=True)
        return pb.GetJwksResponse(keys=[pb.Jwk(kty="OKP", crv="Ed25519", x=public["x"], kid="test", alg="EdDSA")])

    async def GetDiscovery(self, request: pb.GetDiscoveryRequest, context: Any) -> pb.GetDiscoveryResponse:
        return pb.GetDiscoveryResponse(issuer=ISSUER)
