"""TokenService: keys, discovery and introspection."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceServicer
from tenantmesh.auth_svc.tokens.mapping import discovery_document, introspection, jwk
from tenantmesh.auth_svc.tokens.tokens import Discovery, Introspection
from tenantmesh.chassis.cache_control import ServicerContext, cache_for, forbid_caching
from tenantmesh.chassis.requests import refuse
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.tenants import parse_uuid

__all__ = ["TokenServicer"]

DISCOVERY_CACHED_FOR = timedelta(hours=1)
"""The document changes with the settings and with versions of this service."""


class TokenServicer(TokenServiceServicer):
    """Answers the methods of TokenService. `holder` returns the caller of an API key by the key's id."""

    def __init__(
        self,
        keys: KeyRing,
        discovery: Discovery,
        inspector: Introspection,
        holder: Callable[[uuid.UUID], Awaitable[Caller | None]],
    ) -> None:
        self._keys = keys
        self._discovery = discovery
        self._inspector = inspector
        self._holder = holder

    async def GetJwks(self, _request: pb.GetJwksRequest, context: ServicerContext) -> pb.GetJwksResponse:
        """Return the published keys."""
        await cache_for(context, self._keys.cached_for)
        return pb.GetJwksResponse(keys=map(jwk, self._keys.published()))

    async def GetDiscovery(self, _request: pb.GetDiscoveryRequest, context: ServicerContext) -> pb.GetDiscoveryResponse:
        """Return the discovery document."""
        await cache_for(context, DISCOVERY_CACHED_FOR)
        return discovery_document(self._discovery)

    async def IntrospectToken(
        self, request: pb.IntrospectTokenRequest, context: ServicerContext
    ) -> pb.IntrospectTokenResponse:
        """Return whether a credential is valid, and its caller."""
        key_id = parse_uuid(request.key_id)
        refuse(
            {
                "token": None if request.token or request.key_id else "is required",
                "key_id": _key_problem(request, key_id) if request.key_id else None,
            }
        )
        caller = await (self._inspector.inspect(request.token) if key_id is None else self._holder(key_id))
        await forbid_caching(context)
        return introspection(caller)


def _key_problem(request: pb.IntrospectTokenRequest, key_id: uuid.UUID | None) -> str | None:
    """Return the rule that the id of a key breaks, or None."""
    if key_id is None:
        return "must be the UUID of an API key"
    return "must stand alone: it asks about a key whose text the caller does not have" if request.token else None
