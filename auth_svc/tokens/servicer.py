"""TokenService: keys, discovery and introspection."""

from __future__ import annotations

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceServicer
from tenantmesh.auth_svc.tokens.mapping import discovery_document, introspection, jwk
from tenantmesh.auth_svc.tokens.signing_keys import KeyRing
from tenantmesh.auth_svc.tokens.tokens import Discovery, Introspection
from tenantmesh.chassis.requests import refuse

__all__ = ["TokenServicer"]


class TokenServicer(TokenServiceServicer):
    """Answers the methods of TokenService."""

    def __init__(self, keys: KeyRing, discovery: Discovery, inspector: Introspection) -> None:
        self._keys = keys
        self._discovery = discovery
        self._inspector = inspector

    async def GetJwks(self, _request: pb.GetJwksRequest, _context: object) -> pb.GetJwksResponse:
        """Return the published keys."""
        return pb.GetJwksResponse(keys=map(jwk, self._keys.published()))

    async def GetDiscovery(self, _request: pb.GetDiscoveryRequest, _context: object) -> pb.GetDiscoveryResponse:
        """Return the discovery document."""
        return discovery_document(self._discovery)

    async def IntrospectToken(self, request: pb.IntrospectTokenRequest, _context: object) -> pb.IntrospectTokenResponse:
        """Return whether a credential is valid, and its caller."""
        refuse({"token": None if request.token else "is required"})
        return introspection(await self._inspector.inspect(request.token))
