"""The makers of links: what is kept of one, and the port that says what it may do now. Adapter: auth_svc."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import grpc

from tenantmesh.auth.v1 import token_service_pb2 as pb
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.interceptors.backends.grpc.answers import TIMEOUT, no_answer, unreachable
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import parse_uuid

__all__ = ["GrpcLinkMakers", "LinkMaker", "LinkMakers"]


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """The credential that makes a link.

    key_id: the API key; None for a user. expire_time: when the credential expires; None: it does not.
    """

    credential_id: str
    key_id: uuid.UUID | None = None
    expire_time: datetime | None = None

    @classmethod
    def of(cls, caller: Caller) -> LinkMaker:
        """Return what is kept of the caller."""
        expires = None if caller.expires_at is None else datetime.fromtimestamp(caller.expires_at, UTC)
        key_id = None if caller.kind is CallerKind.USER else parse_uuid(caller.credential_id)
        return cls(caller.credential_id, key_id, expires)


class LinkMakers(Protocol):
    """Knows the API keys that make links."""

    async def permissions(self, key_id: uuid.UUID) -> frozenset[str]:
        """Must return what the key permits now: nothing where it is revoked, expired or unknown. Must raise Unavailable
        when that can't be found out."""
        ...


class GrpcLinkMakers(LinkMakers):
    """See LinkMakers. It asks TokenService. `connect` opens the channel, on first use."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._channel: grpc.aio.Channel | None = None

    async def permissions(self, key_id: uuid.UUID) -> frozenset[str]:
        """See LinkMakers."""
        if self._channel is None:
            self._channel = self._connect()
        stub: Any = TokenServiceStub(self._channel)
        try:
            answer = await stub.IntrospectToken(pb.IntrospectTokenRequest(key_id=str(key_id)), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            away = Unavailable("CREDENTIALS_UNVERIFIABLE", unreachable("auth_svc"))
            raise no_answer(error, "auth_svc", away) from error
        return frozenset(answer.permissions if answer.active else ())

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
